"""One job of an agent, from its files to its end: fetched, measured in a process of its own, handed back."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from oakmill.agent.child import PASSPORT
from oakmill.agent.keeper import Cancelled, Keeper, Lost
from oakmill.client import Hub, Instance
from oakmill.devices import Camera
from oakmill.errors import Conflict, LimitExceeded, NotFound, OakmillError, SpecError
from oakmill.hub.wire_agents import Claimed
from oakmill.jobs.kinds import PROVE
from oakmill.jobs.on_camera import Measurement
from oakmill.jobs.supervise import Child, harmless_environment
from oakmill.jobs.told import storable
from oakmill.processes import sandbox
from oakmill.processes.running import Running
from oakmill.registry.states import Role


class Work:
    """A job that is held."""

    def __init__(self, hub: Hub, agent: str, held: Claimed, camera: Camera) -> None:
        self._hub, self._held, self._camera = hub, held, camera
        self._keeper = Keeper(hub, agent, held)
        self._ends = time.monotonic() + held.job_seconds

    def run(self) -> Mapping[str, Any]:
        """Do it, and hand back what came of it; the camera as it was opened, empty where it was not.

        A job that is lost to another agent ends here without a word. Interrupted, it is given back.
        """
        try:
            with self._keeper as keeper, tempfile.TemporaryDirectory(prefix="oakmill-agent-") as folder:
                return self._run(keeper, Path(folder))
        except (Lost, Conflict, NotFound):
            return {}

    def _run(self, keeper: Keeper, folder: Path) -> Mapping[str, Any]:
        try:
            message = self._measured(self._request(folder), folder)
            if "failure" in message:
                return self._fail(message["failure"])
            keeper.deliver()
            self._hand_back(message["result"], folder)
            device: Mapping[str, Any] = message["result"]["device"]
            return device
        except Cancelled:
            keeper.add_line("the job was cancelled", "note")
            keeper.deliver(failed=True)
            self._hub.agents.cancelled(self._held)
            return {}
        except KeyboardInterrupt:
            keeper.add_line("the agent was asked to end; the job waits for another", "note")
            keeper.deliver()
            self._hub.agents.release(self._held)
            raise
        except Lost:
            raise
        except OakmillError as error:
            return self._fail({**error.as_dict(), "stage": keeper.stage})

    def _fail(self, failure: Mapping[str, Any]) -> Mapping[str, Any]:
        """End the job with what went wrong; its words stand in the log too."""
        said = {name: storable(str(value)) for name, value in failure.items() if value is not None}
        self._keeper.add_line(said["message"], "error")
        self._keeper.deliver(failed=True)
        self._hub.agents.fail(self._held, said)
        return {}

    def _hand_back(self, result: Mapping[str, Any], folder: Path) -> None:
        if self._held.job.kind == PROVE:
            self._hub.agents.proved(self._held, folder / PASSPORT, lambda done, total: self._keeper.require())
        else:
            self._hub.agents.timed(self._held, result["benchmark"])

    def _request(self, folder: Path) -> dict[str, Any]:
        """What the child is asked for, once all files are here."""
        asked = self._asked()
        instance = self._hub.instances.get(str(self._held.job.source_id))
        archive, *others = self._fetched(instance.id, folder / "file", "the file")
        source = None
        if self._held.source_id:
            source = str(self._fetched(self._held.source_id, folder / "source", "its source")[0])
        return {
            **asked.model_dump(),
            "kind": self._held.job.kind,
            "folder": str(folder),
            "archive": str(archive),
            "source": source,
            "images": self._images(folder),
            "set": self._held.set,
            "names": self._names(instance, others),
            "camera": self._camera.identifier or self._camera.name,
        }

    def _asked(self) -> Measurement:
        """How it is to be measured.

        Raises:
            SpecError: a hub of another version asks for what this one does not know.
        """
        try:
            return Measurement.of(self._held.job.spec)
        except ValidationError as error:
            said = f"The agent does not know what it is asked for: {error.errors()[0]['msg']}"
            raise SpecError(said, remedy="Update the agent to the hub's version of Oakmill.") from None

    def _fetched(self, instance_id: str, folder: Path, words: str) -> list[Path]:
        self._keeper.add_line(f"fetching {words}", "note")
        everything = instance_id == self._held.job.source_id
        return [
            *self._hub.instances.download(
                instance_id, folder, everything=everything, progress=lambda done, total: self._keeper.require()
            )
        ]

    def _images(self, folder: Path) -> str | None:
        if self._held.images is None:
            return None
        self._keeper.add_line(f"fetching the images of {self._held.images.name}", "note")
        target = folder / "images" / Path(self._held.images.name).name
        return str(self._hub.agents.images(self._held, target, lambda done, total: self._keeper.require()))

    def _names(self, instance: Instance, files: list[Path]) -> list[str]:
        """The images that the file's own passport was made on; none where others may be taken as well.

        A model of several inputs has files of each, of which a passport names the first input's alone.
        """
        known = {file.name: file.role for file in instance.files}
        path = next((path for path in files if known.get(path.name) == Role.PASSPORT), None)
        if not self._held.held_out or path is None or len(instance.input_shape) > 1:
            return []
        try:
            return [str(name) for name in json.loads(path.read_text())["images"]["names"]]
        except (ValueError, KeyError, TypeError):  # it is none that can be read; the file is proved all the same
            return []

    def _measured(self, request: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """The child's last message; however it ends, nothing of it runs any more.

        Raises:
            ToolKilled: the child was ended from outside.
            LimitExceeded: it took longer than a job may.
            Lost, Cancelled: as `Keeper.require`.
        """
        command = sandbox.leashed([sys.executable, "-P", "-m", "oakmill.agent.child"])
        child = Child(Running.start(command, env=harmless_environment(), cwd=folder, takes_input=True))
        try:
            child.send(request)
            return child.follow(self._keeper.add_event, self._keeper.add_line, self._look)
        finally:
            child.stop()

    def _look(self) -> None:
        self._keeper.require()
        if time.monotonic() > self._ends:
            raise LimitExceeded(f"The job was not done after {self._held.job_seconds:g} s, and was ended.")
