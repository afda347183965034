"""Archives fed by a camera's own sensor: what is asked of it, and that each frame comes with its own outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import depthai as dai
import numpy as np
import pytest

from oakmill.devices import Fit, looking
from oakmill.errors import DeviceLost, WrongDevice
from tests.cameras import Arrays, Recorded, archive, attached

pytestmark = pytest.mark.heavy
SIGHTS = [np.full((6, 8, 3), (10 * number, 1, 2), np.uint8) for number in range(1, 6)]


def answers(given: Any) -> Arrays:
    """Scores that tell the frame's first four bytes, in BGR."""
    return {"scores": np.asarray(given[:4], np.float32)[None], "map": np.zeros((1, 2, 3, 4), np.float32)}


def test_each_frame_comes_with_the_outputs_that_it_gave(tmp_path: Path) -> None:
    """Newer frames take the place of those that wait for the network, and the pairs stay pairs."""
    camera = Recorded(answers, sights=SIGHTS, answer_seconds=0.02)
    tiny = archive(tmp_path / "tiny.rvc4.tar.xz")
    with attached(camera), looking(tiny, None, 2, Fit.PAD) as running:
        found = [running.look() for _ in range(6)]
    assert camera.asked_of_sensor == [(8, 6), dai.ImgFrame.Type.BGR888i, dai.ImgResizeMode.LETTERBOX]
    for frame in found:
        assert frame.pixels.shape == (6, 8, 3)
        blue = frame.outputs["scores"][0, 0]
        assert frame.pixels[0, 0].tolist() == [2, 1, blue]
        assert np.asarray(frame.pixels[..., 2] == blue).all()
    assert len({frame.outputs["scores"][0, 0] for frame in found}) > 1


def test_a_camera_that_vanishes_while_it_looks_is_told(tmp_path: Path) -> None:
    camera = Recorded(answers, sights=SIGHTS, vanishes_after=2)
    tiny = archive(tmp_path / "tiny.rvc4.tar.xz")
    with attached(camera), looking(tiny, None, None, Fit.CROP) as running:
        for _ in range(2):
            running.look()
        with pytest.raises(DeviceLost, match="OAK4-S"):
            running.look()


def test_a_model_that_takes_no_frames_is_refused_before_a_camera_is_opened(tmp_path: Path) -> None:
    numbers = archive(tmp_path / "numbers.rvc4.tar.xz", frame="")
    with (
        attached(Recorded(is_busy=True)),
        pytest.raises(WrongDevice, match=r"takes no frames of a camera, but image \[1, 6, 8, 3\] uint8") as caught,
        looking(numbers, None, None, Fit.CROP),
    ):
        pass
    assert caught.value.remedy == "give its inputs as files: --images FOLDER"
