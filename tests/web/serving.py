"""Hubs in processes of their own, for tests that stop and start them, and for the pictures of the docs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools import link_toolchains
from tests.web.furnish import Hub

STARTING_SECONDS = 120


class Running(Hub):
    """A hub that can be ended and started again, on the same port and with the same home."""

    def __init__(self, home: Path, workers: int) -> None:
        super().__init__("", "")
        self.home, self._workers = home, workers
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "toolchains").exists():
            link_toolchains(home)
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that belongs to this hub."""
        return {**os.environ, "OAKMILL_HOME": str(self.home)}  # noqa: TID251

    def start(self) -> None:
        """Start, and wait until it answers. The first start tells the key."""
        log, port = self.home / "log", self.url.rpartition(":")[2] or "0"
        before = log.stat().st_size if log.exists() else 0
        command = [sys.executable, "-m", "oakmill", "serve", "--port", port, "--workers", str(self._workers)]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env=self.environment,
            )
        text = self._said(log, before)
        self.url = re.findall(r"listens on (\S+)", text)[0]
        self.key = self.key or re.findall(r"oak_\w+", log.read_text())[0]

    def _said(self, log: Path, before: int) -> str:
        deadline = time.monotonic() + STARTING_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            text = log.read_bytes()[before:].decode()
            if re.search(rf"{self._workers} workers?", text):
                return text
            time.sleep(0.1)
        raise AssertionError(log.read_text())

    def end(self) -> None:
        """End in order, as an operator does."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)


@contextmanager
def running(home: Path, workers: int = 0) -> Iterator[Running]:
    """A hub for the time of the block."""
    hub = Running(home, workers)
    try:
        yield hub
    finally:
        hub.end()
