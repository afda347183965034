"""Ends connections that only hold a place: without a request, without its rest, or without taking the answer."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_SECONDS = 15.0
"""How long the head of a request may take from its connection, or its first byte, on; browsers connect ahead, and try
again by themselves."""
STALLED_SECONDS = 90.0
"""How long nothing may come of a body that was announced, or go of an answer."""
LOOK_SECONDS = 3.0
MOST = 4096
"""Connections at once. One more ends the one that has waited the longest for its request."""
_FILES = 1 << 16
_SPARE_FILES = 512
"""Files that the process needs beside its connections: database, store, uploads."""
AT_ONCE = _SPARE_FILES // 2
"""Connections that are accepted before one of too many is ended: their files are spare ones for that moment."""


def allow_many() -> int:
    """Raise this process's limit of open files as far as it may; how many connections it can hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return min(MOST, max(soft if soft != resource.RLIM_INFINITY else most, most) - _SPARE_FILES)


class Connection(H11Protocol):
    """uvicorn's connection, which loses patience; uvicorn's own limit is on what lies between two requests alone."""

    most = MOST

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; another one that has waited for long goes where there are too many."""
        super().connection_made(transport)
        self._waits_since: float | None = time.monotonic()
        self._moved = self._waits_since
        self._unsent = 0
        self._look_again()
        if len(self.connections) > self.most:
            _end_longest(self.connections)

    def data_received(self, data: bytes) -> None:
        """Take it; the first byte of a request begins the time that its head may take."""
        self._moved = time.monotonic()
        if self._waits_since is None and not self._is_answering:
            self._waits_since = self._moved
        super().data_received(data)
        if self._is_answering:
            self._waits_since = None

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def waits_since(self) -> float:
        """When it began to hold a place without a request; infinite while it is answered."""
        if self._is_answering:
            return float("inf")
        return self._moved if self._waits_since is None else self._waits_since

    def _look_again(self) -> None:
        self.loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            return
        if self._is_late(time.monotonic()):
            self.transport.abort()
        else:
            self._look_again()

    def _is_late(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent != self._unsent:
            self._moved = now
        self._unsent = unsent
        if not self._is_answering and not unsent:
            return self._waits_since is not None and now - self._waits_since > REQUEST_SECONDS
        awaits_body = self._is_answering and self.cycle.more_body and not self.flow.read_paused
        return bool(unsent or awaits_body) and now - self._moved > STALLED_SECONDS


def _end_longest(connections: Iterable[Any]) -> None:
    """Of those that wait for a request; where all are being answered, none."""
    waiting = [item for item in connections if isinstance(item, Connection) and item.waits_since != float("inf")]
    if waiting:
        min(waiting, key=lambda item: item.waits_since).transport.abort()


class Rarely(logging.Filter):
    """Lets a message below a level pass once a minute, and tells how often it would have come."""

    def __init__(self, below: int, seconds: float = 60.0) -> None:
        super().__init__()
        self._below, self._seconds = below, seconds
        self._said: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one is written; it tells how many were not since the one before."""
        if record.levelno >= self._below:
            return True
        now, key = time.monotonic(), str(record.msg)[:80]
        when, dropped = self._said.get(key, (float("-inf"), 0))
        if now - when < self._seconds:
            self._said[key] = (when, dropped + 1)
            return False
        if len(self._said) > 1000:
            self._said.clear()
        self._said[key] = (now, 0)
        if dropped:
            record.msg = f"{record.msg} ({dropped} more like this since the last line)"
        return True
