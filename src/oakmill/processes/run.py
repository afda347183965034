"""Runs a vendor's tool to its end: live log and progress, limits kept, no process left behind."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from oakmill.errors import LimitExceeded, ToolchainBroken
from oakmill.processes.events import ToolEvent, Watcher, ignore
from oakmill.processes.log import Lines, Log
from oakmill.processes.running import Running
from oakmill.processes.sandbox import Limits
from oakmill.processes.tree import Tree

__all__ = ["Finished", "Limits", "run"]

LOG = "log.txt"

_LOG_MB = 64
_MOST_FILES = 200_000
"""Of a run's folder; a calibration set has up to some ten thousand."""
_ROOM_SECONDS = 1.0
"""Between two looks at what a run has written, at the least: looking takes a twentieth of the time at most."""

Written = Callable[[int], None]
"""Is told how many bytes a run has written so far."""


def nobody(written: int) -> None:
    """Is told, and does nothing."""


@dataclass(frozen=True)
class Finished:
    """A run that came to its own end.

    `returncode` is negative for a signal; `log_tail` is the end of its output, 64 kB at most; `peak_mb` the
    most memory that it was seen to hold; `seconds` its wall-clock time.
    """

    returncode: int
    log_tail: str
    peak_mb: float
    seconds: float


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    limits: Limits,
    watch: Watcher = ignore,
    name: str = "the tool",
    written: Written = nobody,
) -> Finished:
    """Run `command` to its end; its output goes to `cwd`/log.txt and, line by line, to `watch`.

    The command finds in the variable OAKMILL_EVENTS_FD the number of a descriptor for JSON lines such as
    `{"progress": {"done": 3, "of": 16, "what": "4 SHAVEs"}}`. About once a second `written` is told how many bytes
    the files in `cwd` have more than before. However this function ends, by return, Ctrl-C
    or an error that `watch` raises, all processes that the command started are ended before.

    Call it from the main thread, or from one that lives longer than the run: a sandboxed tool is killed by
    the kernel when the *thread* that started it ends.

    Raises:
        LimitExceeded: it needed more time or memory than `limits` allow.
        ToolchainBroken: it cannot be started.
        OutputError: its log cannot be written.
    """
    running = start(command, cwd=cwd, name=name)
    return finish(running, cwd=cwd, limits=limits, watch=watch, name=name, written=written)


def start(command: Sequence[str], *, cwd: Path, name: str, takes_input: bool = False) -> Running:
    """Start a command that `finish` carries to its end; until then, whoever started it must stop it.

    Raises:
        ToolchainBroken: it cannot be started.
    """
    # A command without a sandbox, such as uv, needs the user's own variables: proxies, certificates.
    try:
        return Running.start(command, cwd=cwd, env=os.environ, takes_input=takes_input)  # noqa: TID251
    except OSError as error:
        raise ToolchainBroken(f"{name} does not start: {command[0]}: {error.strerror}") from None


def finish(
    running: Running, *, cwd: Path, limits: Limits, watch: Watcher = ignore, name: str, written: Written = nobody
) -> Finished:
    """Carry a process that was started to its end, as `run` does; its time counts from now.

    Raises:
        LimitExceeded, OutputError: as `run`.
    """
    started = time.monotonic()
    with running, Log(cwd / LOG, min(limits.output_mb, _LOG_MB) << 20, watch) as log:
        guard = _Guard(running.tree, limits, name, log, cwd, written)
        running.follow(log.feed, Lines(lambda line: _tell(line, watch)).feed, guard.check)
        running.stop()
    return Finished(running.process.wait(), log.tail(), running.tree.peak_mb, time.monotonic() - started)


@dataclass
class _Guard:
    """Keeps the limits of one run."""

    tree: Tree
    limits: Limits
    name: str
    log: Log
    folder: Path
    tell: Written

    def __post_init__(self) -> None:
        now = time.monotonic()
        self._deadline, self._next_room = now + self.limits.seconds, now
        self._before = _written(self.folder)
        self._most_bytes = self._before + (self.limits.total_mb << 20)

    def check(self) -> None:
        """Measure, and end the run by LimitExceeded if it is beyond its limits."""
        memory, seconds = self.limits.memory_mb, self.limits.seconds
        if self.tree.exceeds(memory):
            self._refuse(f"needed more than {memory} MB of memory", f"OAKMILL_TOOL_MEMORY_MB={2 * memory}")
        if self.tree.size > self.limits.processes:
            self._refuse(f"started more than {self.limits.processes} processes")
        if time.monotonic() > self._deadline:
            self._refuse(f"was not done after {seconds:g} s", f"OAKMILL_TOOL_SECONDS={2 * seconds:g}")
        self.check_room()

    def check_room(self) -> None:
        """As `check`, of what it wrote, which takes longer to measure, and so is not measured each time."""
        now = time.monotonic()
        if now < self._next_room:
            return
        written = _written(self.folder)
        took = time.monotonic() - now
        self._next_room = now + max(_ROOM_SECONDS, 20 * took)
        if written > self._most_bytes:
            total = self.limits.total_mb
            self._refuse(f"wrote more than {total} MB", f"OAKMILL_TOOL_TOTAL_OUTPUT_MB={2 * total}")
        self.tell(max(0, written - self._before))

    def _refuse(self, what: str, more: str = "") -> NoReturn:
        self.tree.stop(grace=0)
        raise LimitExceeded(
            f"{self.name} {what}, and was ended.",
            remedy=f"Allow it more, for example {more}, if the machine has it." if more else "",
            log=self.log.tail(),
        )


def _written(folder: Path) -> int:
    """Bytes on the disk of all files below a folder; more than any limit where there are too many of them."""
    total = count = 0
    for below, folders, names in os.walk(folder):
        count += len(folders) + len(names)
        if count > _MOST_FILES:
            return sys.maxsize
        for name in names:
            with suppress(OSError):  # it went while we looked
                total += os.lstat(Path(below, name)).st_blocks * 512
    return total


def _tell(line: str, watch: Watcher) -> None:
    """Pass on a progress event; whatever else a tool may write there is not for us."""
    try:
        progress = json.loads(line)["progress"]
        event = ToolEvent(
            done=int(progress["done"]), total=int(progress["of"]), what=str(progress.get("what", ""))[:200]
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return
    watch(event)
