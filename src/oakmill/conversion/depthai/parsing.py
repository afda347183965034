"""depthai's own parsers, in a process that loads it while the outputs are computed, behind the wall of a tool."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from oakmill.conversion.depthai.parser import HANGS_AFTER, IMAGE
from oakmill.errors import LimitExceeded, VerificationFailed
from oakmill.processes import plain, sandbox
from oakmill.processes.run import Limits, finish, start
from oakmill.processes.running import Running
from oakmill.settings import Settings

SECONDS = 60.0
"""How long all images may take together, with the load of depthai: 2 s on a machine that is not busy."""
PATIENCE = (6.0, 12.0, 24.0, HANGS_AFTER)
"""Seconds of each try: depthai's threads wait for each other for ever now and then, of some parsers every second time,
where an answer takes less than one; on a machine that is busy it may take many."""
_HUNG = ("Timeout (", "TimeoutError: ")
"""What its log says where it ended itself: faulthandler's word, and its own."""
_SAID = "Exception message: "
_PROGRAM = ("-P", "-m", "oakmill.conversion.depthai.parser")


class Parsing:
    """Asks depthai's parsers once. Nothing of the process outlives `stop`, or a kill -9 of this process."""

    def __init__(self, archive: Path, folder: Path, settings: Settings) -> None:
        """`archive` is what may be read, and `folder`, which is there, is what may be read and written."""
        self._archive, self._folder, self._settings = archive.absolute(), folder.absolute(), settings
        self._running: Running | None = None

    def start(self) -> None:
        """Begin to load depthai; it waits for the request then.

        Raises:
            ToolchainBroken: no process can be started.
            IsolationMissing: the settings require a wall, and none works here.
        """
        self._running = start(self._command(), cwd=self._folder, name="depthai's parser", takes_input=True)

    def _command(self) -> list[str]:
        return sandbox.command(
            [sys.executable, *_PROGRAM],
            read=[self._archive, *sandbox.own_code()],
            write=[self._folder],
            env={
                "HOME": str(self._folder), "TMPDIR": str(self._folder), "LANG": "C.UTF-8",
                "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1",
            },
            limits=self._limits,
            isolation=sandbox.choose(self._settings),
        )  # fmt: skip

    @property
    def _limits(self) -> Limits:
        of_tools = Limits.of(self._settings)
        return Limits(min(SECONDS, of_tools.seconds), of_tools.memory_mb, of_tools.output_mb)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the parsers find, as `parser.parse` tells it; `request` is as there, without archive and answer.

        Raises:
            VerificationFailed: a parser ended the process; its log's last line says how.
                LimitExceeded: it gave no answer in time, asked several times.
            ToolKilled: it left links where files belong.
        """
        *first, last = PATIENCE
        for seconds in first:
            with suppress(LimitExceeded):
                return self._ask(request, seconds)
        return self._ask(request, last)

    def _ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        if self._running is None:
            self.start()
        assert self._running is not None
        running, self._running = self._running, None
        answer = self._folder / "answer.json"
        question = {**request, "archive": str(self._archive), "answer": str(answer), "seconds": seconds}
        with suppress(BrokenPipeError):  # it has ended: its log says why
            running.send(json.dumps(question).encode() + b"\n")
        finished = finish(running, cwd=self._folder, limits=self._limits, name="depthai's parser")
        plain.require(self._folder, "depthai's parser", log=finished.log_tail)
        try:
            found = json.loads(answer.read_text())
        except (OSError, ValueError):
            found = None
        if any(mark in finished.log_tail for mark in _HUNG):
            raise LimitExceeded(f"it was not done after {seconds:g} s", log=finished.log_tail)
        if finished.returncode or not isinstance(found, dict):
            raise VerificationFailed(_last_words(finished.log_tail), log=finished.log_tail)
        return found

    def stop(self) -> None:
        """End the process, where it was never asked."""
        if self._running is not None:
            self._running.stop(grace=0)
            self._running = None


def last_image(log: str) -> str:
    """The file of outputs on which a parser ended its process; empty where it read none."""
    files = [line.removeprefix(IMAGE) for line in log.splitlines() if line.startswith(IMAGE)]
    return files[-1] if files else ""


def _last_words(log: str) -> str:
    """What depthai says of the node that failed, else the last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip() and "[warning]" not in line]
    lines = [line for line in lines if not line.startswith(IMAGE)]
    said = [line.partition(_SAID)[2] for line in lines if _SAID in line]
    return (said or lines or ["it ended without a word"])[-1][:500]
