"""Does parts of one conversion as Ray tasks of one core each, for the worker that a Ray task has started.

A part is a pure function of its request and one file: Ray may do it again elsewhere when a machine is lost. What comes
from a job's process is what a hostile model may have made of it: JSON and open files. A work is looked up by name.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from oakmill.files import private_folder
from oakmill.processes.parts_socket import LONGEST, MOST_HANDLES
from oakmill.processes.running import readable
from oakmill.settings import Settings
from oakmill.toolchains.helpers import LARGEST_BYTES, Answer, Work
from oakmill.toolchains.rvc2 import parts as rvc2_parts
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain

_HOME = "OAKMILL_HOME"
_LOOK_SECONDS = 0.5
_log = logging.getLogger(__name__)


def _superblob(settings: Settings, request: Mapping[str, Any], source: Path, folder: Path) -> tuple[Answer, Path]:
    model = source.rename(source.with_suffix(".onnx"))  # OpenVINO tells formats by the name
    return Rvc2Toolchain(settings).compile_part(model, folder, request)


WORKS: Mapping[str, Work] = {rvc2_parts.WORK: _superblob}


def on_this_machine(environment: Mapping[str, str]) -> dict[str, str]:
    """The hub's variables, but for its home where this machine names one: its toolchains and caches lie there."""
    return {name: value for name, value in environment.items() if name != _HOME or name not in os.environ}  # noqa: TID251


def run_part(
    work: str, request: Mapping[str, Any], data: bytes, environment: Mapping[str, str]
) -> tuple[Answer, bytes]:
    """What a task does: the work, in a folder of its own; its answer, and the file that it made."""
    os.environ.update(on_this_machine(environment))  # noqa: TID251 - Ray's own process, which does nothing else
    settings = Settings()
    with TemporaryDirectory(prefix="part-", dir=private_folder(settings.hub / "work")) as folder:
        source = Path(folder) / "read" / "source"
        source.parent.mkdir()
        source.write_bytes(data)
        answer, made = WORKS[work](settings, request, source, Path(folder) / "job")
        return answer, made.read_bytes()


class Desk:
    """Answers a worker's questions until the worker ends."""

    def __init__(self, ray: Any, door: socket.socket, environment: Mapping[str, str], *, cores: float = 1) -> None:
        self._ray, self._door, self._environment = ray, door, environment
        self._task = ray.remote(run_part).options(num_cpus=cores)

    def serve(self, worker: subprocess.Popen[bytes]) -> None:
        """Answer until it has ended."""
        while worker.poll() is None:
            if not readable(self._door.fileno(), _LOOK_SECONDS):
                continue
            message, handles, _, _ = socket.recv_fds(self._door, LONGEST, MOST_HANDLES)
            if not message:
                return
            try:
                self._answer(json.loads(message), handles)
            finally:
                for handle in handles:
                    os.close(handle)

    def _answer(self, asked: Mapping[str, Any], handles: Sequence[int]) -> None:
        if asked.get("ask") == "free":
            self._say(asked, free=self._free())
            return
        try:
            answers = self._done(asked, handles)
        except (self._ray.exceptions.RayError, OSError, ValueError, LookupError) as error:
            _log.warning("parts are done by the job itself, for elsewhere they are not: %s", error)
            self._say(asked, answers=None)
        else:
            self._say(asked, answers=answers)

    def _free(self) -> int:
        """Cores with nothing to do, and the one that is lent while its own task waits; none where there is no other."""
        free = int(self._ray.available_resources().get("CPU", 0))
        return free + 1 if free else 0

    def _done(self, asked: Mapping[str, Any], handles: Sequence[int]) -> list[Answer]:
        wanted = asked["parts"]
        data = self._ray.put(_read(handles[0]))  # all parts read the same file
        tasks = [self._task.remote(part["work"], part["request"], data, self._environment) for part in wanted]
        self._follow(asked, tasks)
        answers = []
        for target, (answer, made) in zip(handles[len(wanted) :], self._ray.get(tasks), strict=True):
            with open(target, "wb", closefd=False) as file:
                file.write(made)
            answers.append(answer)
        return answers

    def _follow(self, asked: Mapping[str, Any], tasks: Sequence[Any]) -> None:
        """Tell of each that ends, until all have."""
        waiting = list(tasks)
        while waiting:
            _, waiting = self._ray.wait(waiting, num_returns=1)
            self._say(asked, ended=len(tasks) - len(waiting))

    def _say(self, asked: Mapping[str, Any], **answer: Any) -> None:
        self._door.send(json.dumps({"id": asked.get("id"), **answer}).encode())


def _read(handle: int) -> bytes:
    """A file that somebody has opened.

    Raises:
        ValueError: it is no file, or larger than may be sent about.
    """
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST_BYTES:
        raise ValueError(f"what is to be read is no file of {LARGEST_BYTES} bytes at most")
    with open(handle, "rb", closefd=False) as file:
        return file.read(LARGEST_BYTES)
