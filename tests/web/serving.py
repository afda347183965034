"""Hubs in processes of their own, for tests that stop and start them, and for the pictures of the docs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.hub_servers import ServedHub
from tests.tools import link_toolchains
from tests.web.furnish import Hub


class Running(Hub):
    """A hub that can be ended and started again, on the same port and with the same home."""

    def __init__(self, home: Path, workers: int) -> None:
        super().__init__("", "")
        self.home, self._served = home, ServedHub(home, workers)
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "toolchains").exists():
            link_toolchains(home)
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that belongs to this hub."""
        return self._served.environment

    def start(self) -> None:
        """Start, and wait until it answers. The first start tells the key."""
        self._served.start()
        self.url, self.key = self._served.url, self._served.key

    def end(self) -> None:
        """End in order, as an operator does."""
        self._served.end()


@contextmanager
def running(home: Path, workers: int = 0) -> Iterator[Running]:
    """A hub for the time of the block."""
    hub = Running(home, workers)
    try:
        yield hub
    finally:
        hub.end()
