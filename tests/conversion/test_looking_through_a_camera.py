"""`oakmill run --images camera`: what an attached camera's own sensor sees, until somebody has seen enough.

The camera is not there (`tests/cameras.py`): its sensor gives made-up pictures, its network what onnxruntime computes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime import InferenceSession
from PIL import Image

from oakmill.devices import vendor
from oakmill.settings import current
from tests import in_process
from tests.cameras import Arrays, Recorded, attached
from tests.compat import makers

HOME = str(current().home)
_, _, HEIGHT, WIDTH = makers.SHAPE
SIGHTS = [np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for number in range(3)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return makers.tiny(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def archive(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a classifier's head, so that there is something to see."""
    folder = tmp_path_factory.mktemp("made")
    given = ("--to", "rvc2", "--max-images", "4", "--encoding-to", "RGB", "--head", "classification", "-o", folder)
    done = in_process.run("convert", model, *given, "--json", OAKMILL_HOME=HOME, OAKMILL_CACHE_MAX_MB="0")
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout.splitlines()[-1])["result"]["files"][0])


def camera(model: Path, interrupted_at: int = 0) -> Recorded:
    """A camera for RVC2; at a frame somebody presses Ctrl-C."""
    session = InferenceSession(model)
    seen = list[int]()

    def answers(given: Any) -> Arrays:
        seen.append(1)
        if len(seen) == interrupted_at:
            os.kill(os.getpid(), signal.SIGINT)
        return {"scores": session.run(None, {"image": np.asarray(given).reshape(makers.SHAPE).astype(np.float32)})[0]}

    return Recorded(answers, platform="RVC2", product="OAK-D-LITE", system="", sights=SIGHTS, answer_seconds=0.01)


def test_so_many_frames_are_seen_and_drawn(model: Path, archive: Path, tmp_path: Path) -> None:
    asked = ("run", archive, "--images", "camera", "--max-images", "3", "-o", tmp_path)
    with attached(camera(model)):
        done = in_process.run(*asked, "--json", OAKMILL_HOME=HOME)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["result"]
    names = [f"frame-{number:05}" for number in (1, 2, 3)]
    assert [Path(path).stem for path in found["frames"]] == names
    assert list(found["seen"]) == names
    with Image.open(found["frames"][0]) as frame:
        assert frame.size == (WIDTH, HEIGHT)
        drawn = np.asarray(frame)
    assert max(np.mean(drawn == sight[..., ::-1]) for sight in SIGHTS) > 0.1  # words stand over the rest
    with attached(camera(model)):
        again = in_process.run(*asked, OAKMILL_HOME=HOME)
        told = in_process.run(*asked, "--overwrite", OAKMILL_HOME=HOME)
    assert again.returncode == 9 and "frame-00001.png" in again.stderr
    assert "3 frames, and something seen on 3" in told.stdout and "frame-00003" in told.stdout


def test_ctrl_c_ends_it_and_what_was_seen_until_then_is_kept(model: Path, archive: Path, tmp_path: Path) -> None:
    with attached(camera(model, interrupted_at=4)):
        done = in_process.run("run", archive, "--images", "camera", "-o", tmp_path, "--json", OAKMILL_HOME=HOME)
    assert done.returncode == 0, done.stderr
    frames = json.loads(done.stdout.splitlines()[-1])["result"]["frames"]
    assert 1 <= len(frames) <= 5
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == [Path(path).name for path in frames]


def test_nothing_of_depthais_own_words_is_printed_where_there_is_no_usb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "[depthai] [warning] USB protocol not available ..." stood above our own sentence."""
    environment = {name: value for name, value in os.environ.items() if name != "DEPTHAI_LEVEL"}  # noqa: TID251
    done = subprocess.run(  # noqa: TID251, PLW1510
        [sys.executable, "-m", "oakmill", "devices"], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    monkeypatch.setattr(vendor, "USB", tmp_path / "none")
    assert "as it has no USB" in vendor.searched()
    monkeypatch.setattr(vendor, "USB", tmp_path)
    assert vendor.searched() == "at this machine's USB and in its network"
