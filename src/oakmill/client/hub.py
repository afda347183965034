"""A hub and a key to it: the whole of the client in one object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from oakmill.client.agents import Agents
from oakmill.client.bundles import Bundles
from oakmill.client.connection import Connection
from oakmill.client.instances import Instances
from oakmill.client.jobs import Jobs
from oakmill.client.login import Logins
from oakmill.client.problems import no_hub
from oakmill.client.resources import Aliases, Datasets, Keys, Models, TrashCan, Webhooks
from oakmill.client.uploads import Progress, Uploads, unwatched
from oakmill.errors import NotFound
from oakmill.hub.wire import EvidenceKey, Instance, Job, Me
from oakmill.spec import ConversionSpec


class Hub:
    """A hub at an address, with a key. Close it, or use it as a context.

        with Hub("http://localhost:8411", key) as hub:
            job = hub.jobs.wait(hub.convert("yolo:small", Rvc4Spec()))
            job.require_success()
            hub.instances.download(job.result_id, Path("converted"))

    A connection that breaks is tried again for `patience` seconds where that does no harm.
    """

    def __init__(self, url: str, key: str | None = None, *, patience: float = 60.0) -> None:
        self._connection = Connection(url, key, patience)
        self.url = self._connection.url
        self.uploads = Uploads(self._connection)
        self.models = Models(self._connection)
        self.aliases = Aliases(self._connection)
        self.trash = TrashCan(self._connection)
        self.instances = Instances(self._connection, self.uploads)
        self.datasets = Datasets(self._connection, self.uploads)
        self.bundles = Bundles(self._connection, self.uploads)
        self.jobs = Jobs(self._connection)
        self.agents = Agents(self._connection, self.uploads)
        self.keys = Keys(self._connection)
        self.logins = Logins(self._connection)
        self.webhooks = Webhooks(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def version(self) -> str:
        """The hub's version. Needs no key.

        Raises:
            HubUnreachable: the hub does not answer, or something else does.
        """
        found = self._connection.get("/health")
        if not isinstance(found, dict) or "version" not in found:
            raise no_hub(self.url)
        return str(found["version"])

    def evidence_key(self) -> str | None:
        """The public key that the hub signs with; None of a hub that signs nothing yet. Needs no key.

        Raises:
            HubUnreachable: the hub does not answer.
        """
        try:
            return EvidenceKey.model_validate(self._connection.get("/evidence-key")).public_key
        except NotFound:
            return None

    def me(self) -> Me:
        """The key that asks, and its team.

        Raises:
            NoKey: the key is not in force.
            HubUnreachable: the hub does not answer.
        """
        return Me.model_validate(self._connection.get("/teams/me"))

    def convert(
        self,
        source: Instance | str,
        spec: ConversionSpec | Mapping[str, Any],
        *,
        images: Path | None = None,
        name: str | None = None,
        priority: int = 0,
        force: bool = False,
        progress: Progress = unwatched,
    ) -> Job:
        """The job that converts a source, given as an instance or by its address; the same request gets the same job.

        Where `quantization_data` and `verification_images` are named in the spec, they are calibration sets of the
        hub. `images` is a zip of your own, uploaded for this conversion's quantization alone.

        Raises:
            NotFound: there is no such source or calibration set that the key sees.
            Forbidden: the key does not allow conversions.
            SpecError: the spec is not valid, or names files of this machine.
            HubUnreachable: the hub does not answer.
        """
        found = self.source(source) if isinstance(source, str) else source
        values = _values(spec)
        body = {
            "platform": values.pop("platform", None),
            "spec": values,
            "name": name,
            "priority": priority,
            "force": force,
            "wait_for_upload": images is not None,
        }
        path, again = f"/instances/{found.id}/conversions", not force and images is None
        job = Job.model_validate(self._connection.ask("POST", path, again=again, json=body))
        if images is None:
            return job
        self.uploads.file(images, {"kind": "quantization", "job_id": job.id}, progress=progress)
        return self.jobs.get(job.id)

    def source(self, address: str) -> Instance:
        """The uploaded instance at an address, from which its conversions are made.

        Raises:
            NotFound: there is none that the key sees.
            SpecError: it is no address.
            HubUnreachable: the hub does not answer.
        """
        found = self.instances.resolve(address)
        while found.parent_id is not None:
            found = self.instances.get(found.parent_id)
        return found


def _values(spec: ConversionSpec | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(spec, Mapping):
        return dict(spec)
    return {**spec.model_dump(mode="json", exclude_unset=True), "platform": spec.platform}
