"""The hub's parent keeps it answering: a web process that hangs is replaced, and no room for another is no end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.hub_servers import PATIENCE, ServedHub

pytestmark = pytest.mark.heavy

SERVE = """
import errno, os, subprocess, sys
from pathlib import Path
from oakmill.server import parent
parent.HANGING_SECONDS = 8.0
class Popen(subprocess.Popen):
    def __init__(self, *rest, **more):
        if Path(os.environ["OAKMILL_HOME"], "no-room").exists():
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        super().__init__(*rest, **more)
subprocess.Popen = Popen
from oakmill.cli.main import main
sys.argv[0] = "oakmill"
main()
"""
"""`oakmill serve`, which has less patience, and cannot fork while a file is there: root's processes have no limit."""


class Hub(ServedHub):
    def run(self, command: list[str], **more: Any) -> Self:
        return super().run([sys.executable, "-c", SERVE, *command[3:]], **more)

    @property
    def web(self) -> int:
        """The process that answers now: the youngest."""
        asked = ["pgrep", "--newest", "-P", str(self.process.pid), "-f", "oakmill.server.web"]
        return int(subprocess.check_output(asked, text=True))

    def answers(self, seconds: float) -> bool:
        """Whether it does, within that time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                return httpx.get(f"{self.url}/api/v1/health", timeout=2, trust_env=False).status_code == 200
            except httpx.HTTPError:
                time.sleep(0.1)
        return False


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("hub")) as found:
        yield found


def test_a_web_process_that_hangs_is_replaced(hub: Hub) -> None:
    """It was thought alive as long as its process was: nobody was answered until somebody looked."""
    hung = hub.web
    os.kill(hung, signal.SIGSTOP)
    assert not hub.answers(1)
    assert hub.answers(PATIENCE)
    assert hub.web != hung
    assert not Path(f"/proc/{hung}").exists()
    assert "has not been heard of for 8 s" in hub.log.read_text()


def test_no_room_for_another_process_ends_nothing(hub: Hub) -> None:
    """The parent, and with it the hub, ended with BlockingIOError when the machine had no room for one process."""
    barrier = hub.home / "no-room"
    barrier.touch()
    os.kill(hub.web, signal.SIGKILL)
    hub.wait_for("a web process cannot be started")
    assert hub.process.poll() is None
    barrier.unlink()
    assert hub.answers(PATIENCE)
