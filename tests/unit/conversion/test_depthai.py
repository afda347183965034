"""depthai in a process of its own: it waits for files, reads them once, and outlives no conversion."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oakmill.conversion.depthai import Depthai
from oakmill.conversion.pipeline import convert
from oakmill.errors import CompileFailed, LimitExceeded, VerificationFailed
from oakmill.settings import Settings
from tests import fakes

pytestmark = pytest.mark.heavy

PATIENCE = 30.0

WAITING = """
import sys, time
from pathlib import Path
from oakmill.conversion.depthai import Depthai
from oakmill.settings import Settings

with Depthai(Path(sys.argv[1]), Settings()) as depthai:
    depthai.start()
    print(depthai._running.process.pid, flush=True)
    time.sleep(60)
"""


def gone(pid: int) -> bool:
    """Whether a process has ended, waiting for it a while."""
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def number_of(depthai: Depthai) -> int:
    assert depthai._running is not None
    return depthai._running.process.pid


def test_it_ends_with_the_block_though_it_was_given_nothing(tmp_path: Path) -> None:
    with Depthai(tmp_path / "depthai", Settings()) as depthai:
        depthai.start()
        assert depthai._running is not None
        process = depthai._running.process
    assert not Path(f"/proc/{process.pid}").exists()
    assert process.wait() < 0, "a conversion that fails does not wait for a library to load: it ends it"


def test_a_file_that_it_cannot_read_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.blob"
    broken.write_bytes(b"nothing")
    with Depthai(tmp_path / "depthai", Settings()) as depthai:
        depthai.start()
        pid = number_of(depthai)
        with pytest.raises(VerificationFailed, match=r"depthai cannot read broken\.blob"):
            depthai.read([broken])
        assert gone(pid)


def test_a_reader_that_died_meanwhile_is_told(tmp_path: Path) -> None:
    with Depthai(tmp_path / "depthai", Settings()) as depthai:
        depthai.start()
        os.kill(number_of(depthai), signal.SIGKILL)
        with pytest.raises(VerificationFailed, match="it said nothing"):
            depthai.read([tmp_path / "any.blob"])


def test_it_stays_within_a_tools_limits(tmp_path: Path) -> None:
    small = Settings().model_copy(update={"tool_memory_mb": 16})
    with Depthai(tmp_path / "depthai", small) as depthai, pytest.raises(LimitExceeded):
        depthai.read([tmp_path / "any.blob"])


def test_it_ends_with_a_conversion_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path / "depthai")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert gone(pid)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The readers that were started."""
    found: list[int] = []
    start = Depthai.start

    def noted(self: Depthai) -> None:
        start(self)
        found.append(number_of(self))

    monkeypatch.setattr(Depthai, "start", noted)
    return found


def test_a_conversion_that_fails_leaves_no_reader(
    started: list[int], settings: Settings, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes.Toy, "asks_depthai", True)
    with pytest.raises(CompileFailed):
        convert(model, fakes.ToySpec(refused="Conv"), tmp_path / "out", settings=settings)
    (pid,) = started
    assert not Path(f"/proc/{pid}").exists()


def test_where_nothing_asks_it_none_is_started(
    started: list[int], settings: Settings, model: Path, tmp_path: Path
) -> None:
    convert(model, fakes.ToySpec(), tmp_path / "out", settings=settings)
    assert started == []


def test_a_source_that_cannot_be_read_starts_none(
    started: list[int], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes.Toy, "asks_depthai", True)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(Exception, match=r"model\.onnx"):
        convert(tmp_path / "model.onnx", fakes.ToySpec(), tmp_path / "out", settings=settings)
    assert started == []
