"""Failed tries at keys, counted for each address, so that nobody guesses on."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from oakmill.errors import TooManyTries


class Tries:
    """Up to `limit` failures from one address within `seconds`; kept in memory, for the latest `addresses`."""

    def __init__(
        self,
        limit: int = 20,
        seconds: float = 60,
        addresses: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit, self.seconds, self.addresses = limit, seconds, addresses
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Go on only when the address may try again.

        Raises:
            TooManyTries: It failed too often; the message says when to try again.
        """
        with self._lock:
            failures = self._recent(address)
            if failures is None or len(failures) < self.limit:
                return
            wait = math.ceil(failures[0] + self.seconds - self._clock())
        raise TooManyTries(
            f"{self.limit} tries with a wrong key came from {address}.", remedy=f"Try again in {wait} seconds."
        )

    def failed(self, address: str) -> None:
        """Note a failure."""
        with self._lock:
            failures = self._recent(address) or deque(maxlen=self.limit)
            failures.append(self._clock())
            self._failures[address] = failures
            self._failures.move_to_end(address)
            while len(self._failures) > self.addresses:
                self._failures.popitem(last=False)

    def _recent(self, address: str) -> deque[float] | None:
        failures = self._failures.get(address)
        while failures and failures[0] <= self._clock() - self.seconds:
            failures.popleft()
        if not failures:
            self._failures.pop(address, None)
        return failures
