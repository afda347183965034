"""Lets few run at once, so that what one owner asks for never takes the machine, or the server, from others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from oakmill.errors import Unavailable

AT_ONCE = 3
WAITING = 12
"""Callers that may wait: each holds a thread of the server's, of which there are 40."""
WAIT_SECONDS = 300.0


@dataclass(frozen=True, eq=False)
class _Ticket:
    owner: str


class FairSemaphore:
    """At most `at_once` slots, and one less for any single owner; more than `waiting` callers are sent away."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING, seconds: float = WAIT_SECONDS) -> None:
        self._at_once, self._most, self._seconds = at_once, waiting, seconds
        self._running: Counter[str] = Counter()
        self._queue: list[_Ticket] = []
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, owner: str) -> Iterator[None]:
        """A slot for the time of the block.

        Raises:
            Unavailable: too many wait already, or none came free in time.
        """
        self._wait(owner)
        try:
            yield
        finally:
            with self._changed:
                self._running[owner] -= 1
                self._changed.notify_all()

    def _wait(self, owner: str) -> None:
        mine = _Ticket(owner)
        with self._changed:
            if len(self._queue) >= self._most:
                raise _busy()
            self._queue.append(mine)
            try:
                if not self._changed.wait_for(lambda: self._next() is mine, self._seconds):
                    raise _busy()
                self._running[owner] += 1
            finally:
                self._queue.remove(mine)
                self._changed.notify_all()

    def _next(self) -> _Ticket | None:
        """Who goes next: the first that waits whose owner has a slot to spare."""
        if self._running.total() >= self._at_once:
            return None
        share = max(1, self._at_once - 1)
        return next((one for one in self._queue if self._running[one.owner] < share), None)


def _busy() -> Unavailable:
    return Unavailable(
        "The hub looks at as many files as it can; this one has to wait.",
        remedy="Ask again in a moment; an upload is completed again, and its bytes are not sent twice.",
    )
