"""How many requests a key may make in a minute, so that one client's haste is not another's waiting."""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from oakmill.errors import TooManyRequests
from oakmill.settings import Settings

AMONG_OTHERS = 1200
"""Requests a minute where the operator says nothing and others can reach the hub."""
_KEYS = 10_000


def limit_of(settings: Settings) -> int:
    """The requests that a key may make in a minute; 0 is no limit."""
    if settings.requests_per_minute is not None:
        return settings.requests_per_minute
    shared = settings.public_url or settings.trusted_proxies or not is_loopback(settings.host)
    return AMONG_OTHERS if shared else 0


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Rates:
    """A minute's requests for each key, which come back evenly; kept in memory, for the latest keys."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key_id: str, name: str) -> None:
        """Count a request of a key; `name` is what its holder calls it.

        Raises:
            TooManyRequests: it made too many; the message says when to go on.
        """
        if not self.limit:
            return
        with self._lock:
            left = self._left(key_id)
            self._keys[key_id] = (max(left - 1, 0.0) if left >= 1 else left, self._clock())
            self._keys.move_to_end(key_id)
            if len(self._keys) > _KEYS:
                self._keys.popitem(last=False)
        if left < 1:
            wait = math.ceil((1 - left) * 60 / self.limit)
            raise TooManyRequests(
                f"The key {name!r} made more than {self.limit} requests in a minute.",
                subject=name,
                remedy=f"Go on in {wait} seconds; the operator's setting is requests_per_minute.",
            )

    def _left(self, key_id: str) -> float:
        left, when = self._keys.get(key_id, (float(self.limit), self._clock()))
        return min(self.limit, left + (self._clock() - when) * self.limit / 60)
