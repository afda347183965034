"""depthai, the vendor's own reader, in a process that loads it while a conversion works, and reads files at its end."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from oakmill.errors import VerificationFailed
from oakmill.processes import sandbox
from oakmill.processes.run import Limits, finish, start
from oakmill.processes.running import Running
from oakmill.settings import Settings

_READER = (sys.executable, "-P", str(Path(__file__).with_name("reader.py")))
"""By its path: by its name it would load this module too, and all that is imported here, for a third of a second."""


class Depthai:
    """Reads files once, within the limits of a tool. Nothing of it outlives the block, or a kill -9 of this process."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """`folder` is made where there is none; it gets the reader's log and answer."""
        self._folder, self._settings = folder, settings
        self._running: Running | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.stop(grace=0)
            self._running = None

    def start(self) -> None:
        """Begin to load depthai, which takes a second; it waits for files then.

        Raises:
            ToolchainBroken: no process can be started.
        """
        self._folder.mkdir(exist_ok=True)
        self._running = start(sandbox.leashed(_READER), cwd=self._folder, name="depthai", takes_input=True)

    def read(self, files: Sequence[Path]) -> list[dict[str, Any]]:
        """What depthai finds in each file, as `reader.read` tells it.

        Raises:
            VerificationFailed: depthai cannot read them.
            LimitExceeded: it needed more than the settings allow.
        """
        if self._running is None:
            self.start()
        assert self._running is not None
        answer = self._folder / "depthai.json"
        with suppress(BrokenPipeError):  # it has ended: its log says why
            self._running.send(json.dumps([str(answer), *map(str, files)]).encode() + b"\n")
        finished = finish(self._running, cwd=self._folder, limits=Limits.of(self._settings), name="depthai")
        self._running = None
        if finished.returncode or not answer.is_file():
            said = finished.log_tail.strip().splitlines() or ["it said nothing"]
            raise VerificationFailed(
                f"depthai cannot read {files[-1].name}: {said[-1]}", subject=files[-1].name, log=finished.log_tail
            )
        found: list[dict[str, Any]] = json.loads(answer.read_text())
        return found
