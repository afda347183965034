"""How many requests a key, or a user by all theirs, may make in a minute: one's haste is not another's waiting."""

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
_OWNERS = 10_000


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
    """A minute's requests for each owner, which come back evenly; kept in this process's memory, for the latest."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._owners: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, owner_id: str, name: str, own: int | None = None) -> None:
        """Count a request of a key, or of the user whose it is; `name` is what they are called.

        `own` is a limit of its own, where it has one.

        Raises:
            TooManyRequests: it made too many; the message says when to go on.
        """
        limit = own or self.limit
        if not limit:
            return
        with self._lock:
            left = self._left(owner_id, limit)
            self._owners[owner_id] = (max(left - 1, 0.0) if left >= 1 else left, self._clock())
            self._owners.move_to_end(owner_id)
            if len(self._owners) > _OWNERS:
                self._owners.popitem(last=False)
        if left < 1:
            wait = math.ceil((1 - left) * 60 / limit)
            setting = "it is the key's own limit" if own else "the operator's setting is requests_per_minute"
            raise TooManyRequests(
                f"{name!r} made more than {limit} requests in a minute.",
                subject=name,
                remedy=f"Go on in {wait} seconds; {setting}.",
            )

    def _left(self, owner_id: str, limit: int) -> float:
        left, when = self._owners.get(owner_id, (float(limit), self._clock()))
        return min(limit, left + (self._clock() - when) * limit / 60)
