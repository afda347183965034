"""Runs a vendor's tool to its end: live log and progress, limits kept, no process left behind."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from oakmill.errors import LimitExceeded, ToolchainBroken
from oakmill.processes.events import ToolEvent, Watcher, ignore
from oakmill.processes.log import Lines, Log
from oakmill.processes.sandbox import EVENTS_FD, Limits
from oakmill.processes.tree import Tree

__all__ = ["Finished", "Limits", "run"]

LOG = "log.txt"

_CHUNK = 1 << 16
_LOG_MB = 64
_FIRST_LOOK, _LONGEST_LOOK = 0.025, 0.2


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
) -> Finished:
    """Run `command` to its end; its output goes to `cwd`/log.txt and, line by line, to `watch`.

    The command finds in the variable OAKMILL_EVENTS_FD the number of a descriptor for JSON lines such as
    `{"progress": {"done": 3, "of": 16, "what": "4 SHAVEs"}}`. However this function ends, by return, Ctrl-C
    or an error that `watch` raises, all processes that the command started are ended before.

    Call it from the main thread, or from one that lives longer than the run: a sandboxed tool is killed by
    the kernel when the *thread* that started it ends.

    Raises:
        LimitExceeded: it needed more time or memory than `limits` allow.
        ToolchainBroken: it cannot be started.
        OutputError: its log cannot be written.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        log = stack.enter_context(Log(cwd / LOG, min(limits.output_mb, _LOG_MB) << 20, watch))
        events, sending = os.pipe()
        stack.callback(os.close, events)
        try:
            process = _start(command, cwd, sending, name)
        finally:
            os.close(sending)
        tree = Tree(process.pid)
        stack.callback(process.wait)
        stack.callback(tree.stop)  # callbacks run last first
        assert process.stdout is not None
        stack.enter_context(process.stdout)
        guard = _Guard(tree, limits, name, log)
        streams = {process.stdout.fileno(): log.feed, events: Lines(lambda line: _tell(line, watch)).feed}
        _follow(process.pid, streams, guard)
    return Finished(process.returncode, log.tail(), tree.peak_mb, time.monotonic() - started)


def _start(command: Sequence[str], cwd: Path, sending: int, name: str) -> subprocess.Popen[bytes]:
    """Start the command in a session of its own."""
    try:
        return subprocess.Popen(
            list(command),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(sending,),
            start_new_session=True,
            bufsize=0,
            # A command without a sandbox, such as uv, needs the user's own variables: proxies, certificates.
            env={**os.environ, EVENTS_FD: str(sending)},  # noqa: TID251
        )
    except OSError as error:
        raise ToolchainBroken(f"{name} does not start: {command[0]}: {error.strerror}") from None


@dataclass
class _Guard:
    """Keeps the limits of one run."""

    tree: Tree
    limits: Limits
    name: str
    log: Log

    def __post_init__(self) -> None:
        self._deadline = time.monotonic() + self.limits.seconds

    def check(self) -> None:
        """Measure, and end the run by LimitExceeded if it is beyond its limits."""
        memory, seconds = self.limits.memory_mb, self.limits.seconds
        if self.tree.exceeds(memory):
            self.tree.stop(grace=0)
            self._refuse(f"needed more than {memory} MB of memory", f"OAKMILL_TOOL_MEMORY_MB={2 * memory}")
        if time.monotonic() > self._deadline:
            self._refuse(f"was not done after {seconds:g} s", f"OAKMILL_TOOL_SECONDS={2 * seconds:g}")

    def _refuse(self, what: str, more: str) -> None:
        raise LimitExceeded(
            f"{self.name} {what}, and was ended.",
            remedy=f"Allow it more, for example {more}, if the machine has it.",
            log=self.log.tail(),
        )


def _follow(pid: int, streams: Mapping[int, Callable[[bytes], None]], guard: _Guard) -> None:
    """Carry what the process writes to its readers until it ends, and keep its limits meanwhile."""
    pause = _FIRST_LOOK
    next_look = time.monotonic() + pause
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        ended = os.pidfd_open(pid)
        stack.callback(os.close, ended)
        selector.register(ended, selectors.EVENT_READ)
        for stream in streams:
            os.set_blocking(stream, False)
            selector.register(stream, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select(max(0.0, next_look - time.monotonic()))}
            for stream in ready & streams.keys():
                if not _carry(stream, streams[stream]):
                    selector.unregister(stream)
            if ended in ready:
                break
            if time.monotonic() >= next_look:
                guard.check()
                pause = min(2 * pause, _LONGEST_LOOK)
                next_look = time.monotonic() + pause
    for stream, take in streams.items():
        _drain(stream, take)


def _carry(stream: int, take: Callable[[bytes], None]) -> bool:
    """Hand on one piece; False when there is none and will be none."""
    try:
        piece = os.read(stream, _CHUNK)
    except BlockingIOError:
        return True
    take(piece)
    return bool(piece)


def _drain(stream: int, take: Callable[[bytes], None]) -> None:
    """Hand on what a pipe still holds, and its end, without waiting for what a leftover process adds."""
    for _ in range(1 + (1 << 20) // _CHUNK):  # a pipe holds 1 MB at most
        try:
            piece = os.read(stream, _CHUNK)
        except BlockingIOError:
            break
        if not piece:
            break
        take(piece)
    take(b"")


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
