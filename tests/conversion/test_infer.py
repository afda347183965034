"""What finished files give on images, as .npy files: `oakmill infer`, and files packed by hand: `oakmill archive`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import depthai
import numpy as np
import pytest
from onnxruntime import InferenceSession

from oakmill.settings import current
from tests import in_process
from tests.compat import makers
from tests.conversion.conftest import Convert

HOME = str(current().home)


def run(*arguments: str | Path) -> dict[str, Any]:
    """What a command with --json tells at its end, in this process."""
    done = in_process.run(*arguments, "--json", OAKMILL_HOME=HOME)
    assert done.returncode == 0, done.stderr
    if arguments[0] == "inspect":
        return dict(json.loads(done.stdout))
    last = json.loads(done.stdout.splitlines()[-1])
    return dict(last.get("result", last))


def refused(*arguments: str | Path) -> str:
    done = in_process.run(*arguments, OAKMILL_HOME=HOME)
    assert done.returncode != 0
    return done.stderr


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Frames as the camera gives them, BGR, in the source's layout."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for place in range(2):
        frame = np.random.default_rng(place).integers(0, 255, makers.SHAPE)
        np.save(folder / f"frame {place}.npy", frame.astype(np.float32))
    return folder


def expected(model: Path, frame: np.ndarray) -> np.ndarray:
    (scores,) = InferenceSession(model).run(None, {"image": np.ascontiguousarray(frame[:, ::-1])})
    return np.asarray(scores)


def test_a_dlc_runs_on_the_emulated_processor(convert4: Convert, frames: Path, tmp_path: Path) -> None:
    model = makers.tiny(tmp_path / "tiny.onnx")
    made = convert4(model, "--target-precision", "FP16", "-o", tmp_path / "made").result
    found = run("infer", made["files"][0], "--images", frames, "-o", tmp_path / "outputs")
    assert "finished file" in found["method"]
    assert {Path(file).name for file in found["files"]["scores"]} == {"frame_0.npy", "frame_1.npy"}
    for place in range(2):
        given = np.load(tmp_path / "outputs" / "scores" / f"frame_{place}.npy")
        np.testing.assert_allclose(given, expected(model, np.load(frames / f"frame {place}.npy")), atol=0.1)


def test_in_the_place_of_a_blob_its_network_runs_and_the_bare_blob_is_packed(
    convert: Convert, frames: Path, tmp_path: Path
) -> None:
    model = makers.tiny(tmp_path / "tiny.onnx")
    made = convert(model, "--blob", "--shaves", "4", "--format", "native", "-o", tmp_path / "made").result
    blob = Path(made["files"][0])
    said = refused("infer", blob, "--images", frames, "-o", tmp_path / "outputs")
    assert "nothing but the camera runs a blob" in said and "--source MODEL" in said
    run("infer", blob, "--images", frames, "-o", tmp_path / "outputs", "--source", model)
    given = np.load(tmp_path / "outputs" / "scores" / "frame_1.npy")
    np.testing.assert_allclose(given, expected(model, np.load(frames / "frame 1.npy")), atol=0.1)

    packed = run("archive", blob, "--name", "mine", "--encoding-to", "RGB", "-o", tmp_path / "packed")
    opened = depthai.NNArchive(packed["file"])
    (item,) = opened.getConfig().model.inputs
    assert (item.name, list(item.shape), item.preprocessing.daiType) == ("image", list(makers.SHAPE), "RGB888p")
    assert opened.getBlob() is not None
    seen = run("inspect", packed["file"])
    assert (seen["platform"], seen["name"], seen["inputs"][0]["takes"]) == ("rvc2", "mine", "RGB888p")


def test_a_source_is_packed_with_its_preprocessing_and_converts(convert: Convert, tmp_path: Path) -> None:
    model = makers.tiny(tmp_path / "tiny.onnx")
    mean = ",".join(map(str, makers.MEAN))
    packed = run("archive", model, "--mean-values", mean, "--scale-values", "58", "-o", tmp_path / "packed")
    said_of = packed["config"]["model"]["inputs"][0]["preprocessing"]
    assert (said_of["mean"], said_of["scale"]) == (makers.MEAN, [58.0] * 3)
    made = convert(packed["file"], "--blob", "--shaves", "1", "-o", tmp_path / "made").result
    assert any("from the NN Archive" in note for note in made["notes"])
    assert "is an NN Archive already" in refused("archive", packed["file"])
    with_own = tmp_path / "config.json"
    with_own.write_text(json.dumps(packed["config"] | {"unknown": 1}))
    assert "not valid" in refused("archive", model, "--config", with_own, "-o", tmp_path / "other")
