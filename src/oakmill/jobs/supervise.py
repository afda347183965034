"""Starts the process that runs a job, follows what it tells, and ends it with all that it started."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from oakmill.errors import ToolKilled
from oakmill.jobs.notify import Subscription
from oakmill.processes import sandbox
from oakmill.processes.log import Lines
from oakmill.processes.tree import Tree

GRACE_SECONDS = 0.3
LOOK_SECONDS = 0.1

Message = Mapping[str, Any]

_SECRET = ("OAKMILL_DATABASE", "OAKMILL_STORE", "AWS_", "PGPASS")
"""Variables that a process which reads other people's models does not get."""
_CHUNK = 1 << 16
_TAIL_LINES = 40


@dataclass
class Child:
    """A warm process that takes one request. It ends with the thread that started it, unless it is not leashed."""

    process: subprocess.Popen[bytes]
    events: int
    tree: Tree
    _said: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))

    @classmethod
    def start(cls, *, leashed: bool = True) -> Child:
        """Start it; it warms up by itself while we do something else."""
        events, sending = os.pipe()
        try:
            argv = [sys.executable, "-m", "oakmill.jobs.runner", str(sending)]
            process = subprocess.Popen(
                sandbox.leashed(argv) if leashed else argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(sending,),
                start_new_session=True,
                bufsize=0,
                env={name: value for name, value in os.environ.items() if not name.startswith(_SECRET)},  # noqa: TID251
            )
        finally:
            os.close(sending)
        return cls(process, events, Tree(process.pid))

    def send(self, request: Message) -> None:
        """Give it its one request.

        Raises:
            ToolKilled: it has ended.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._killed() from None

    def follow(
        self,
        hear: Callable[[Message], None],
        say: Callable[[str], None],
        look: Callable[[], None],
        wake: Subscription | None = None,
    ) -> Message:
        """Hand on events to `hear` and bare output to `say` until the last message, which is returned.

        `look` is called every LOOK_SECONDS, and at once when `wake` is notified; what it raises ends the run.

        Raises:
            ToolKilled: the process ended without a last message.
        """
        last: Message = {}
        for message in self._told(say, look, wake):
            if "event" in message:
                hear(message["event"])
            elif "ready" not in message:
                last = message
        if not last:
            raise self._killed()
        return last

    def _told(
        self, say: Callable[[str], None], look: Callable[[], None], wake: Subscription | None
    ) -> Iterator[Message]:
        """The messages until the process has closed its descriptor."""
        assert self.process.stdout is not None

        def keep(line: str) -> None:
            self._said.append(line)
            say(line)

        messages, output = _Messages(), Lines(keep)
        streams = {self.events: messages.feed, self.process.stdout.fileno(): output.feed}
        with _selecting(*streams, *([wake] if wake else [])) as selector:
            next_look = time.monotonic() + LOOK_SECONDS
            while self.events in selector.get_map():
                ready = {key.fd for key, _ in selector.select(max(0.0, next_look - time.monotonic()))}
                for stream in ready & streams.keys():
                    if not _carry(stream, streams[stream]):
                        selector.unregister(stream)
                yield from messages.taken()
                if time.monotonic() >= next_look or (wake and wake.fileno() in ready):
                    look()
                    next_look = time.monotonic() + LOOK_SECONDS
        while _carry(self.process.stdout.fileno(), output.feed, more=True):
            pass

    def _killed(self) -> ToolKilled:
        code = self.process.wait()
        if code < 0:
            return ToolKilled(
                f"The process that ran the job was ended by signal {-code}.",
                remedy="The kernel does this when the machine runs out of memory; or somebody ended it. Try it again.",
                log="\n".join(self._said),
            )
        return ToolKilled(
            f"The process that ran the job ended with exit code {code} and no result.",
            remedy="Its log says more.",
            log="\n".join(self._said),
        )

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """End it and all that it started, within two seconds; once it is ended, there is nothing to do."""
        if self.events < 0:
            return
        self.tree.stop(grace)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        os.close(self.events)
        self.events = -1


def _carry(stream: int, take: Callable[[bytes], None], *, more: bool = False) -> bool:
    """Hand on one piece; False when there is none and will be none. `more` counts nothing yet as none."""
    try:
        piece = os.read(stream, _CHUNK)
    except BlockingIOError:
        return not more
    take(piece)
    return bool(piece)


@contextmanager
def _selecting(*streams: int | Subscription) -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            if isinstance(stream, int):
                os.set_blocking(stream, False)
            selector.register(stream, selectors.EVENT_READ)
        yield selector


class _Messages:
    """Cuts a stream into lines of JSON, however long they are."""

    def __init__(self) -> None:
        self._rest = b""
        self._found: list[Message] = []

    def feed(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._found += [json.loads(line) for line in lines]

    def taken(self) -> list[Message]:
        found, self._found = self._found, []
        return found
