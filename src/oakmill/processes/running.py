"""A process that we started: what it writes is carried to its readers, and it ends with all that it started."""

from __future__ import annotations

import json
import os
import select
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from oakmill.processes.tree import Tree

EVENTS_FD = "OAKMILL_EVENTS_FD"
"""The variable that tells a process the number of the descriptor for its messages."""

Tell = Callable[[Mapping[str, Any]], None]
"""Takes a message for whoever started this process."""

Feed = Callable[[bytes], None]
"""Takes a stream piece by piece; b"" is its end."""

_CHUNK = 1 << 16
_FIRST_LOOK, _LONGEST_LOOK = 0.025, 0.2


def telling() -> Tell:
    """Within a child of `Running`: what writes a message to whoever started it; no child of its own inherits that."""
    events = os.fdopen(int(os.environ[EVENTS_FD]), "w", buffering=1)  # noqa: TID251
    os.set_inheritable(events.fileno(), False)

    def tell(message: Mapping[str, Any]) -> None:
        events.write(json.dumps(message) + "\n")

    return tell


class Process(Protocol):
    """One that was started here, or by a zygote."""

    pid: int
    returncode: int | None
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def wait(self) -> int:
        """Wait for its end; its exit code, negative for a signal. Until then its number stays its own."""


class Running:
    """A process in a session of its own, with its output, its messages and, where it was asked for, its input."""

    def __init__(self, process: Process, events: int) -> None:
        self.process = process
        self.tree = Tree(process.pid)
        self._ended = os.pidfd_open(process.pid)
        self._events = events

    @classmethod
    def start(
        cls, command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None, takes_input: bool = False
    ) -> Running:
        """Start it; it finds in the variable OAKMILL_EVENTS_FD where to write its messages.

        Raises:
            OSError: it cannot be started.
        """
        events, sending = os.pipe()
        try:
            process = subprocess.Popen(
                list(command),
                cwd=cwd,
                stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(sending,),
                start_new_session=True,
                bufsize=0,
                env={**env, EVENTS_FD: str(sending)},
            )
        except OSError:
            os.close(events)
            raise
        finally:
            os.close(sending)
        return cls(process, events)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def has_ended(self) -> bool:
        """Whether it has; its number stays its own until `stop`."""
        return self._events < 0 or readable(self._ended, 0)

    def send(self, line: bytes) -> None:
        """Write to its input.

        Raises:
            BrokenPipeError: it has ended.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(line)

    def follow(
        self,
        output: Feed,
        events: Feed,
        look: Callable[[], None],
        *,
        wake: int | None = None,
        longest: float = _LONGEST_LOOK,
    ) -> None:
        """Carry what it writes to the readers of its output and messages until it ends.

        `look` is called soon, then ever later, at last every `longest` seconds, and at once while the descriptor
        `wake` is readable; what it raises ends this too, and the process goes on until `stop`.
        """
        assert self.process.stdout is not None
        streams = {self.process.stdout.fileno(): output, self._events: events}
        with ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            for stream in streams:
                os.set_blocking(stream, False)
            for descriptor in (self._ended, *streams, *([] if wake is None else [wake])):
                selector.register(descriptor, selectors.EVENT_READ)
            _carry_all(selector, streams, _Looks(look, longest), ended=self._ended, wake=wake)
        for stream, take in streams.items():
            _drain(stream, take)

    def stop(self, grace: float = 0.5) -> None:
        """End it and all that it started; once it is ended, there is nothing to do."""
        if self._events < 0:
            return
        try:
            self.tree.stop(grace)
        finally:
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
            os.close(self._ended)
            os.close(self._events)
            self._events = -1


def readable(descriptor: int, seconds: float | None = None) -> bool:
    """Whether there is something to read, or, of a process's, whether it has ended, within that time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds is None else 1000 * seconds))


class _Looks:
    """Calls a function ever later, until its pause is the longest."""

    def __init__(self, look: Callable[[], None], longest: float) -> None:
        self._look, self._longest = look, longest
        self._pause = _FIRST_LOOK
        self._next = time.monotonic() + self._pause

    @property
    def left(self) -> float:
        """Seconds until the next call."""
        return max(0.0, self._next - time.monotonic())

    def now(self) -> None:
        self._look()
        self._pause = min(2 * self._pause, self._longest)
        self._next = time.monotonic() + self._pause


def _carry_all(
    selector: selectors.BaseSelector, streams: Mapping[int, Feed], looks: _Looks, *, ended: int, wake: int | None
) -> None:
    while True:
        ready = {key.fd for key, _ in selector.select(looks.left)}
        for stream in ready & streams.keys():
            if not _carry(stream, streams[stream]):
                selector.unregister(stream)
        if ended in ready:
            return
        if not looks.left or wake in ready:
            looks.now()


def _carry(stream: int, take: Feed) -> bool:
    """Hand on one piece; False when there is none and will be none."""
    try:
        piece = os.read(stream, _CHUNK)
    except BlockingIOError:
        return True
    take(piece)
    return bool(piece)


def _drain(stream: int, take: Feed) -> None:
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
