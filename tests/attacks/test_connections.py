"""A hub answers while strangers hold connections to it, and its log does not grow by their number."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path
from typing import Any, Self

import pytest

from tests.hub_servers import ServedHub

pytestmark = pytest.mark.heavy

SILENT = 1100


class CrampedHub(ServedHub):
    """A hub that may open fewer files than there are strangers, as many systems allow it."""

    def run(self, command: list[str], **more: Any) -> Self:
        """Start it so."""
        return super().run(["prlimit", f"--nofile={SILENT}:{SILENT}", *command], **more)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_a_hub_answers_while_strangers_say_nothing(tmp_path: Path) -> None:
    """1,100 connections without a word stopped it, without a key; its log grew by 191 MB a minute."""
    hub = CrampedHub(tmp_path / "hub")
    with hub, hub.client() as client:
        before = hub.log.stat().st_size
        strangers = [socket.create_connection(("127.0.0.1", hub.port), 30) for _ in range(SILENT)]
        began = time.monotonic()
        for _ in range(20):
            client.get("models").raise_for_status()
        took = time.monotonic() - began
        for stranger in strangers:
            stranger.close()
        assert took < 60  # it was never; a machine may be loaded
        assert hub.log.stat().st_size - before < 20_000
