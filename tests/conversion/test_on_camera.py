"""Finished files on a camera: `oakmill devices`, `run`, `benchmark` and `prove`.

The camera is not there (`tests/cameras.py`): it answers with what onnxruntime computes. What is sent and read back
goes through depthai's own messages and queues.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxruntime import InferenceSession
from PIL import Image

from oakmill import devices
from oakmill.conversion import passport
from oakmill.settings import current
from tests import in_process
from tests.cameras import Arrays, Recorded, attached, computing
from tests.compat import makers
from tests.conversion.conftest import Convert
from tests.conversion.makers import conv_model, saved

HOME = str(current().home)


def run(*arguments: str | Path) -> dict[str, Any]:
    """What a command with --json tells at its end, in this process."""
    done = in_process.run(*arguments, "--json", OAKMILL_HOME=HOME)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1])["result"])


def said(*arguments: str | Path, code: int = 0) -> str:
    done = in_process.run(*arguments, OAKMILL_HOME=HOME)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return makers.tiny(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for place in range(3):
        pixels = np.random.default_rng(place).integers(0, 255, (32, 48, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{place}.png")
    return folder


@pytest.fixture(scope="module")
def archive(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    given = ("--to", "rvc2", "--max-images", "4", "--encoding-to", "RGB", "-o", folder)
    done = in_process.run("convert", model, *given, "--json", OAKMILL_HOME=HOME, OAKMILL_CACHE_MAX_MB="0")
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout.splitlines()[-1])["result"]["files"][0])


def test_without_a_camera_each_command_says_in_a_sentence_what_it_looked_for(archive: Path) -> None:
    with attached():
        looked = devices.looked_for()
        assert said("devices") == f"{looked}.\n"
        for command in ("run", "benchmark", "prove"):
            assert looked in said(command, archive, code=12)


def test_cameras_are_listed_and_one_without_rights_says_how_to_get_them(model: Path) -> None:
    with attached(computing(model, is_forbidden=True), Recorded()):
        told = said("devices")
        listed = json.loads(in_process.run("devices", "--json").stdout)
    assert "may not be used by this user" in told and "udev" in told
    assert [item["platform"] for item in listed] == ["RVC2", "RVC4"]


def test_outputs_come_from_the_camera_and_what_it_sees_is_drawn(
    model: Path, archive: Path, images: Path, tmp_path: Path
) -> None:
    with attached(Recorded(identifier="another"), computing(model)):
        found = run("run", archive, "--images", images, "-o", tmp_path / "out")
    assert found["device"]["product"] == "OAK-D-LITE"
    assert found["device"]["firmware"] == "the firmware of depthai 3.12.0"
    for place in range(3):
        pixels = np.asarray(Image.open(images / f"{place}.png").convert("RGB"), np.float32).transpose(2, 0, 1)[None]
        (expected,) = InferenceSession(model).run(None, {"image": np.ascontiguousarray(pixels)})
        np.testing.assert_allclose(np.load(tmp_path / "out" / "scores" / f"{place}.npy"), expected, rtol=1e-5)
    for drawn in found["drawn"]:
        with Image.open(drawn) as image:
            assert image.size == (48, 32)
    with attached(computing(model)):
        told = said("run", archive, "--images", images, "-o", tmp_path / "again")
    assert "OAK-D-LITE (RVC2" in told and "3 files: scores" in told


def test_a_benchmark_tells_fps_and_latency(model: Path, archive: Path) -> None:
    with attached(computing(model, answer_seconds=0.01)):
        told = said("benchmark", archive, "--seconds", "0.6", "--warm-up", "0")
        found = run("benchmark", archive, "--seconds", "0.6", "--warm-up", "0")
    assert " FPS, latency " in told and "ms median" in told and "OAK-D-LITE" in told
    assert 10 <= found["latency_ms"] <= found["latency_p95_ms"] and 0 < found["fps"] <= 100


def test_a_proof_puts_the_camera_beside_this_machine_in_a_passport(
    model: Path, archive: Path, images: Path, tmp_path: Path
) -> None:
    with attached(computing(model, scale=1.003)):  # what FP16 may leave
        proved = run("prove", "--seconds", "0.3", archive, "--source", model, "--images", images, "-o", tmp_path)
    (document,) = (Path(file) for file in proved["files"] if file.endswith(".json"))
    found = passport.read(json.loads(document.read_text()))
    assert found.measured_on is not None
    assert found.measured_on.words.startswith("measured on OAK-D-LITE (RVC2, 1844301041ECDE0F00) with the firmware of")
    assert found.measured_on.speed is not None and found.measured_on.speed.fps > 0
    *others, own = found.checks
    assert others and own.name == found.measured_on.check == "camera"
    (output,) = own.outputs
    assert 45 < output.snr_db < 55 and own.verdict == "ok"
    assert found.not_proven == ("power on the device was not measured",)
    assert "measured on OAK-D-LITE" in document.with_suffix(".html").read_text()


def test_a_camera_that_computes_something_else_is_told_in_the_proof(
    model: Path, archive: Path, images: Path, tmp_path: Path
) -> None:
    with attached(computing(model, scale=3)):
        told = said("prove", "--seconds", "0.3", archive, "--source", model, "--images", images, "-o", tmp_path, code=8)
    assert "by camera" in told


def test_a_camera_that_vanishes_in_the_middle_ends_the_proof_and_leaves_nothing(
    model: Path, archive: Path, images: Path, tmp_path: Path
) -> None:
    with attached(computing(model, vanishes_after=1)):
        told = said(
            "prove", "--seconds", "0.3", archive, "--source", model, "--images", images, "-o", tmp_path / "out", code=12
        )
        assert "has vanished" in told
        assert "has vanished" in said("run", archive, "--images", images, "-o", tmp_path / "out", code=12)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_proof_without_its_source_says_where_it_looked(archive: Path, tmp_path: Path, model: Path) -> None:
    with attached(computing(model)):
        told = said("prove", "--seconds", "0.3", archive, "-o", tmp_path, code=2)
    assert "is not in" in told and "--source MODEL" in told


def test_a_source_model_is_no_file_for_a_computing(model: Path) -> None:
    with attached(computing(model)):
        assert "not what a conversion made" in said("run", model, code=3)


def test_maps_of_an_oak4_come_channels_last_and_are_proved_as_the_sources(
    convert4: Convert, images: Path, tmp_path: Path
) -> None:
    """A DLC's maps are NHWC, the source's NCHW: the file is run as it is, and measured as its source is.

    The file takes BGR, as cameras give it, and the source RGB.
    """
    network = saved(conv_model(shape=(1, 3, 32, 48)), tmp_path / "map.onnx")
    made = convert4(network, "--target-precision", "FP16", "-o", tmp_path / "made").result["files"][0]
    session = InferenceSession(network)

    def answers(given: Any) -> Arrays:
        pixels = np.asarray(given).reshape(1, 32, 48, 3)[..., ::-1].astype(np.float32).transpose(0, 3, 1, 2)
        return {"scores": session.run(None, {"image": np.ascontiguousarray(pixels)})[0].transpose(0, 2, 3, 1)}

    with attached(Recorded(answers)):
        found = run("run", made, "--images", images, "-o", tmp_path / "out")
        proved = run("prove", "--seconds", "0.3", made, "--source", network, "--images", images, "-o", tmp_path)
    assert np.load(found["files"]["scores"][0]).shape == (1, 32, 48, 4)
    checks = {check["name"]: check["outputs"][0]["snr_db"] for check in proved["passport"]["checks"]}
    assert checks["camera"] == "Infinity" or float(checks["camera"]) > 60
    assert {"HTP", "FP16 estimate"} <= set(checks)
    assert proved["passport"]["measured_on"]["words"].startswith("measured on OAK4-S")


def test_another_converters_archive_runs_too(model: Path, archive: Path, images: Path, tmp_path: Path) -> None:
    """What has no recipe of ours, as the vendor's own archives, is run and timed; only proved it cannot be."""
    foreign = tmp_path / "foreign.tar.xz"
    with tarfile.open(archive) as ours, tarfile.open(foreign, "w:xz") as packed:
        for item in ours.getmembers():
            if not item.name.endswith("recipe.yaml"):
                packed.addfile(item, ours.extractfile(item))
    with attached(computing(model)):
        assert "3 files: scores" in said("run", foreign, "--images", images, "-o", tmp_path / "out")
        assert "without a recipe" in said(
            "prove", "--seconds", "0.3", foreign, "--source", model, "-o", tmp_path, code=2
        )
