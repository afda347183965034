"""The process of a job, ended from outside: what it was ended by is told, and the next one is there."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from oakmill.errors import ToolKilled
from oakmill.jobs import supervise
from oakmill.jobs.supervise import Child, Children

pytestmark = pytest.mark.heavy


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[Children]:
    """Processes that, as those of jobs, wait for a line, and take no seconds to load."""
    monkeypatch.setattr(supervise, "_ZYGOTE", "oakmill.processes.zygote")
    found = Children()
    yield found
    found.close()


def ending(child: Child) -> str:
    """What is said of its end."""
    with pytest.raises(ToolKilled) as caught:
        child.follow(print, print, lambda: None)
    child.stop()
    return caught.value.message


def test_one_that_is_killed_is_told_by_its_signal(children: Children) -> None:
    child = children.start()
    os.kill(child.pid, signal.SIGKILL)
    assert ending(child) == "The process that ran the job was ended by signal 9."
    assert ending(_asked(children)) == "The process that ran the job ended with exit code 0 and no result."


def test_one_whose_zygote_is_killed_is_told_as_itself(children: Children) -> None:
    child = children.start()
    os.kill(int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
    assert ending(child) == "The process that ran the job was ended by signal 9."
    assert ending(_asked(children)) == "The process that ran the job ended with exit code 0 and no result."


def test_it_has_no_secret_of_the_hub(monkeypatch: pytest.MonkeyPatch, children: Children) -> None:
    monkeypatch.setenv("OAKMILL_DATABASE", "postgresql://user:password@host/db")
    found = Children()
    child = found.start()
    variables = Path(f"/proc/{child.pid}/environ").read_bytes()
    assert b"PATH=" in variables and b"password" not in variables
    child.stop()
    found.close()


def _asked(children: Children) -> Child:
    """One that ends without a result."""
    child = children.start()
    child.send({})
    child._running.process.stdin.close()  # type: ignore[union-attr]
    return child
