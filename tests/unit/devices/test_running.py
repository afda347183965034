"""Archives on cameras: what is sent and read, how long it takes, and what becomes of a camera's own errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import depthai as dai
import numpy as np
import pytest

from oakmill.devices import benchmark, find, looked_for, opened, running
from oakmill.devices.boundary import Boundary, Port
from oakmill.errors import (
    DeviceError,
    DeviceInUse,
    DeviceLost,
    ModelRefused,
    NoDevice,
    NotAModel,
    NotPermitted,
    OakmillError,
    WrongDevice,
)
from tests.cameras import Arrays, Recorded, archive, attached

pytestmark = pytest.mark.heavy
SAMPLE = {"image": np.random.default_rng(1).integers(0, 255, (1, 6, 8, 3)).astype(np.float32)}


def answers(given: Any) -> Arrays:
    """Scores that tell the frame's bytes: its first four; and a map."""
    first = np.asarray(given[:4], np.float32)[None]
    return {"scores": first, "map": np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return archive(tmp_path / "tiny.rvc4.tar.xz")


def test_a_sample_goes_in_as_the_archives_frames_and_its_outputs_come_back_by_name(tiny: Path) -> None:
    camera = Recorded(answers)
    with attached(camera), opened(tiny) as session:
        found = session.infer(SAMPLE)
    np.testing.assert_array_equal(found["scores"], SAMPLE["image"].ravel()[None, :4])
    assert found["map"].shape == (1, 2, 3, 4)
    (frame,) = camera.frames
    assert (frame.getType(), frame.getWidth(), frame.getHeight()) == (dai.ImgFrame.Type.BGR888i, 8, 6)
    assert bytes(frame.getData()) == SAMPLE["image"].astype(np.uint8).tobytes()
    assert session.identity.words == "OAK4-S (RVC4, 1844301041ECDE0F00) with OS 1.20.5"


@pytest.mark.parametrize("frame", ["RGB888p", "BGR888p", "RGB888i", "BGR888i"])
def test_the_frames_bytes_are_the_arrays_in_any_layout_and_order_of_colours(frame: str) -> None:
    layout = "NCHW" if frame.endswith("p") else "NHWC"
    shape = (1, 3, 6, 8) if layout == "NCHW" else (1, 6, 8, 3)
    values = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
    port = Port("image", shape, "uint8", layout, frame)
    message = dai.ImgFrame()
    message.setCvFrame(port.pixels(values), getattr(dai.ImgFrame.Type, frame))
    assert port.takes_frames
    assert bytes(message.getData()) == values.tobytes()


def test_several_inputs_go_in_one_message_under_their_names(tmp_path: Path) -> None:
    left, mask = Port("left", (1, 6, 8, 3), "uint8", "NHWC", "BGR888i"), Port("mask", (1, 4), "float32")
    model = Boundary(tmp_path, "RVC4", (left, mask), ())
    given = {"left": SAMPLE["image"], "mask": np.array([[0.5, 1, 2, 3]], np.float32)}
    message = model.message(dai, given)
    assert sorted(message.getAllLayerNames()) == ["left", "mask"]
    for name, values in given.items():
        np.testing.assert_array_equal(np.asarray(message.getTensor(name)), values)
    with pytest.raises(DeviceError, match="depthai carries no int64, which input 'ids' takes"):
        Boundary(tmp_path, "RVC4", (Port("ids", (1,), "int64"),), ()).message(dai, {"ids": np.zeros(1, np.int64)})


def test_a_benchmark_counts_frames_and_tells_how_long_one_takes(tiny: Path) -> None:
    with attached(Recorded(answers, answer_seconds=0.01)), opened(tiny, threads=2) as session:
        found = benchmark(session, [SAMPLE], seconds=0.6, warm_up=0.05)
    assert 10 <= found.latency_ms <= found.latency_p95_ms
    assert 5 < found.fps <= 100
    assert found.frames > 10
    assert found.as_dict()["device"]["firmware"] == "OS 1.20.5"


def test_a_camera_for_rvc2_has_depthais_own_firmware() -> None:
    camera = Recorded(platform="RVC2", system="", product="OAK-D-LITE")
    with attached(camera):
        (found,) = find()
    assert (found.platform, found.connection, found.state) == ("RVC2", "USB", "free")


FAILURES: dict[str, tuple[Recorded, type[OakmillError], str, str]] = {
    "used by another program": (Recorded(is_busy=True), DeviceInUse, "is used by another program", "end the other"),
    "not permitted": (Recorded(is_forbidden=True), NotPermitted, "may not be used by this user", "udev"),
    "of another platform": (Recorded(platform="RVC2"), WrongDevice, "is for RVC4, and there is only RVC2", "for RVC2"),
    "vanishes": (Recorded(answers, vanishes_after=2), DeviceLost, "has vanished", "cable"),
    "refuses the DLC": (
        Recorded(answers, refuses="Failed to load DLC: model version 2.51 is newer than 2.32"),
        ModelRefused, "does not take tiny.rvc4.tar.xz; it says: Failed to load DLC", "--snpe-version",
    ),
    "does not start with it": (
        Recorded(answers, refuses_start="Network compiled for more shaves than there are"),
        ModelRefused, "does not take tiny.rvc4.tar.xz; it says: Network compiled for more", "--snpe-version",
    ),
    "gone before it starts": (
        Recorded(answers, refuses_start="Couldn't read data from stream: '__rpc_main' (X_LINK_ERROR)"),
        DeviceLost, "has vanished: depthai says: Couldn't read data", "cable",
    ),
    "gives other outputs": (
        Recorded(lambda given: {"other": np.zeros((1, 4), np.float32)}),
        DeviceError, "gives the outputs other", "verify",
    ),
    "gives other shapes": (
        Recorded(lambda given: {"scores": np.zeros((1, 5), np.float32), "map": np.zeros((1, 2, 3, 4), np.float32)}),
        DeviceError, "where the archive says [1, 4]", "verify",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("camera", "kind", "words", "remedy"), FAILURES.values(), ids=FAILURES)
def test_a_cameras_errors_are_told_in_our_words_with_what_to_do(
    camera: Recorded, kind: type[OakmillError], words: str, remedy: str, tiny: Path
) -> None:
    with attached(camera), pytest.raises(kind) as caught, opened(tiny) as session:
        for _ in range(4):
            session.infer(SAMPLE)
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert remedy in caught.value.remedy


def test_a_camera_that_gives_no_answer_is_not_waited_for_without_end(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "FIRST_SECONDS", 0.3)
    silent = pytest.raises(DeviceError, match="gave no outputs of")
    with attached(Recorded(answers, answer_seconds=1.5)), silent, opened(tiny) as session:
        session.infer(SAMPLE)


def test_without_a_camera_it_is_said_what_was_looked_for(tiny: Path) -> None:
    with attached(), pytest.raises(NoDevice) as caught, opened(tiny):
        pass
    assert caught.value.message == looked_for()
    with (
        attached(Recorded()),
        pytest.raises(NoDevice, match=r"no camera is called '10\.0\.0\.9'"),
        opened(tiny, "10.0.0.9"),
    ):
        pass


def test_what_is_no_archive_is_refused_before_a_camera_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "model.dlc").write_bytes(b"no archive")
    with attached(), pytest.raises(NotAModel, match=r"cannot read model.dlc"), opened(tmp_path / "model.dlc"):
        pass


def test_every_word_of_depthais_that_is_used_is_in_the_real_one() -> None:
    """The stand-ins for device and network must not know a method that the vendor does not have."""
    from tests import cameras

    for fake, real in ((cameras._Device, dai.Device), (cameras._Network, dai.node.NeuralNetwork)):
        own = {name for name in vars(fake) if not name.startswith("_")} - {"run", "hear", "camera"}
        assert [name for name in own if not hasattr(real, name)] == []
    assert all(hasattr(dai.node.NeuralNetwork, name) for name in ("input", "out"))
    with pytest.raises(RuntimeError, match="host only"):
        dai.Pipeline(createImplicitDevice=False).create(dai.node.NeuralNetwork)
    assert dai.Device.getAllConnectedDevices() == []
