"""Starts the process that runs a job, follows what it tells, and ends it with all that it started."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from oakmill.errors import ToolKilled
from oakmill.jobs.notify import Subscription
from oakmill.processes import sandbox
from oakmill.processes.enclosure import ONE_THREAD
from oakmill.processes.forks import Zygotes
from oakmill.processes.log import Lines
from oakmill.processes.running import Running

GRACE_SECONDS = 0.3
LOOK_SECONDS = 0.1

Message = Mapping[str, Any]

_SECRET = (
    "OAKMILL_DATABASE",
    "OAKMILL_STORE",
    "OAKMILL_METRICS_KEY",
    "OAKMILL_OIDC",
    "OAKMILL_KEY",
    "AWS_",
    "OTEL_",
    "PGPASS",
)
"""Variables that a process which reads other people's models does not get."""
_TAIL_LINES = 40
_ZYGOTE = "oakmill.jobs.zygote"


def harmless_environment() -> dict[str, str]:
    """This process's variables without those."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_SECRET)}  # noqa: TID251


class Children:
    """Starts them one after another: each is forked by a zygote, which has loaded what a conversion needs."""

    def __init__(self) -> None:
        self._zygotes = Zygotes(_ZYGOTE, {**harmless_environment(), **ONE_THREAD})

    def warm(self) -> bool:
        """Begin to load, which takes seconds; whether that is done.

        Raises:
            OSError: there is no room for another process.
        """
        return self._zygotes.warm()

    def start(self) -> Child:
        """One that waits for its request.

        Raises:
            OSError: as `warm`.
        """
        argv = sandbox.leashed([sys.executable, "-m", "oakmill.jobs.runner"], own_memory=True)
        return Child(self._zygotes.start(argv, folder=Path.cwd()))

    def close(self) -> None:
        """End all of it."""
        self._zygotes.close()


class Child:
    """A process that takes one request. It ends with the thread that warmed its zygote."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._said: deque[str] = deque(maxlen=_TAIL_LINES)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._running.process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has, with or without a request."""
        return self._running.has_ended

    def exceeds(self, memory_mb: float) -> bool:
        """Whether it and all that it started hold more memory."""
        return self._running.tree.exceeds(memory_mb)

    def send(self, request: Message) -> None:
        """Give it its one request.

        Raises:
            ToolKilled: it has ended.
        """
        try:
            self._running.send(json.dumps(request).encode() + b"\n")
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
        last: dict[str, Any] = {}

        def take(message: Message) -> None:
            if "event" in message:
                hear(message["event"])
            else:
                last.update(message)

        def keep(line: str) -> None:
            self._said.append(line)
            say(line)

        self._running.follow(
            Lines(keep).feed,
            _Messages(take).feed,
            look,
            wake=None if wake is None else wake.fileno(),
            longest=LOOK_SECONDS,
        )
        if not last:
            raise self._killed()
        return last

    def _killed(self) -> ToolKilled:
        code = self._running.process.wait()
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
        self._running.stop(grace)


class _Messages:
    """Cuts a stream into lines of JSON, however long they are."""

    def __init__(self, take: Callable[[Message], None]) -> None:
        self._take = take
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._take(json.loads(line))
