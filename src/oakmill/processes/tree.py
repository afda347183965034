"""Processes that we start: a quick question to a program, and the whole tree that a longer run becomes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_STARTED = 19  # the field of /proc/PID/stat, counted behind the name, that no two processes of one number share
_LONGEST = 1 << 16
_ALL_SECONDS = 1.0
"""How often all processes of the machine are looked at while a tree's memory is measured many times a second."""
_TELLS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()
_PAUSE = 0.01
_SURE_END_SECONDS = 2.0


def ask(command: Sequence[str | Path], seconds: float) -> tuple[int, str]:
    """Run a small program to its end and return its exit code with all that it printed.

    A program that cannot be started answers 127, one that is not done in `seconds` answers -SIGKILL; the text
    says so.
    """
    try:
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            errors="replace",
        )
    except OSError as error:
        return 127, f"{command[0]} does not start: {error.strerror}"
    with process:
        try:
            text, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL, f"{command[0]} gave no answer within {seconds:g} s"
        finally:
            _kill_group(process)
    return process.returncode, text


def _kill_group(process: subprocess.Popen[str]) -> None:
    """End what still runs: nothing does after an answer, all of it does after a deadline or Ctrl-C."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()  # where a wall kept it from a group of its own


@dataclass(frozen=True, slots=True)
class _Process:
    """One line of /proc: see proc_pid_stat(5)."""

    pid: int
    parent: int
    session: int
    started: int
    ended: bool


def _processes() -> Iterator[_Process]:
    """All of this machine's."""
    names = os.listdir(_PROC)  # noqa: PTH208 - a Path for each takes longer than all the rest
    found = (_process(int(name)) for name in names if name.isdigit())
    return (process for process in found if process is not None)


def _process(pid: int) -> _Process | None:
    """None where it has ended, and was reaped."""
    # The name, second field, is the only one that may hold blanks and brackets.
    fields = _read(f"{_PROC}/{pid}/stat").rpartition(b")")[2].split(None, _STARTED + 1)
    if len(fields) <= _STARTED:
        return None
    return _Process(pid, int(fields[1]), int(fields[3]), int(fields[_STARTED]), fields[0] in b"ZX")


def _children(pid: int) -> list[int]:
    """What the process has started itself and not yet reaped, by each of its threads.

    Raises:
        OSError: the process has ended, or this kernel does not tell (CONFIG_PROC_CHILDREN).
    """
    tasks = f"{_PROC}/{pid}/task"
    threads = os.listdir(tasks)  # noqa: PTH208 - as above
    return [int(child) for thread in threads for child in _read(f"{tasks}/{thread}/children").split()]


def _read(path: str) -> bytes:
    """A small file of /proc, in one call each to open, read and close it; nothing where its process has ended."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, _LONGEST)
    except OSError:
        return b""
    finally:
        os.close(file)


class Tree:
    """A process that leads its own session, where a wall does not keep it from that, and all that it started.

    A process that was seen once stays known even if its parent ends; one that left the session and lost its
    parent between two looks is out of reach here, and is ended by the sandbox's process namespace alone.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self.peak_mb = 0.0
        self.size = 0
        self._known: dict[int, int] = {}
        self._looked_at_all = -_ALL_SECONDS

    def alive(self) -> list[int]:
        """The process ids of the tree that have not ended; zombies have."""
        running = {process.pid: process for process in _processes()}
        children: dict[int, list[int]] = {}
        for process in running.values():
            children.setdefault(process.parent, []).append(process.pid)
        todo = [process.pid for process in running.values() if self._belongs(process)]
        found: dict[int, int] = {}
        while todo:
            pid = todo.pop()
            if pid not in found:
                found[pid] = running[pid].started
                todo += children.get(pid, [])
        self._known = found
        self.size = len(found)
        self._looked_at_all = time.monotonic()
        return [pid for pid in found if not running[pid].ended]

    def _alive_as_known(self) -> list[int]:
        """As `alive`, but without those whose parents ended since all processes were last looked at.

        It reads a file for each process and thread of the tree, `alive` one for each process of the machine.
        """
        if not _TELLS_CHILDREN or time.monotonic() - self._looked_at_all >= _ALL_SECONDS:
            return self.alive()
        todo, found = list(self._known), dict[int, _Process]()
        while todo:
            pid = todo.pop()
            process = None if pid in found else _process(pid)
            if process is not None and self._known.get(pid, process.started) == process.started:
                found[pid] = process
                with suppress(OSError):  # it ended while we looked
                    todo += _children(pid)
        self._known = {pid: process.started for pid, process in found.items()}
        self.size = len(found)
        return [pid for pid, process in found.items() if not process.ended]

    def _belongs(self, process: _Process) -> bool:
        if self.root in (process.session, process.pid):  # behind a wall a process may lead no session
            return True
        return self._known.get(process.pid) == process.started

    def exceeds(self, limit_mb: float) -> bool:
        """Whether the tree holds more memory than `limit_mb`; keeps `peak_mb` and `size` on the way."""
        pids = self._alive_as_known()
        now, highest = 0.0, 0.0
        for pid in pids:
            status = _kilobytes(pid, "status")
            now += status.get("VmRSS", 0) / 1024
            highest = max(highest, status.get("VmHWM", 0) / 1024)
        # Pages that processes share count in each one's RSS, so the dearer PSS has the last word.
        over = now > limit_mb and self._shared_fairly(pids) > limit_mb
        self.peak_mb = max(self.peak_mb, now, highest)
        return over

    @staticmethod
    def _shared_fairly(pids: Sequence[int]) -> float:
        total = 0
        for pid in pids:
            fair = _kilobytes(pid, "smaps_rollup").get("Pss")
            total += _kilobytes(pid, "status").get("VmRSS", 0) if fair is None else fair
        return total / 1024

    def stop(self, grace: float = 0.5) -> None:
        """End every process of the tree: ask (SIGTERM), wait for `grace` seconds, then insist (SIGKILL).

        The root must not have been reaped yet, lest its number belong to a stranger.
        """
        try:
            if grace and self._signal(signal.SIGTERM):
                self._wait(grace)
        finally:  # a second Ctrl-C shortens the wait, and a third one does not spare what is left
            try:
                self._insist()
            except KeyboardInterrupt:
                self._insist()
                raise

    def _signal(self, number: signal.Signals) -> bool:
        pids = self.alive()
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        return bool(pids)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(_PAUSE)

    def _insist(self) -> None:
        """Kill until none is left: a tree may grow while it is cut down."""
        deadline = time.monotonic() + _SURE_END_SECONDS
        while self._signal(signal.SIGKILL) and time.monotonic() < deadline:
            self._wait(_PAUSE)


def _kilobytes(pid: int, name: str) -> dict[str, int]:
    """The sizes that /proc/PID/<name> lists, in kB; none if the process is gone or not ours to read."""
    try:
        lines = (_PROC / str(pid) / name).read_text(errors="replace").splitlines()
    except OSError:
        return {}
    fields = (line.partition(":") for line in lines if line.endswith(" kB"))
    return {key: int(value.split()[0]) for key, _, value in fields}
