"""Configurations in modelconverter's form, and --outputs, through the real command line and the real compilers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conversion.conftest import Convert, made_photos
from tests.conversion.makers import SIDE, conv_model, saved, two_input_model

ONE = """
name: named
input_model: small.onnx
mean_values: imagenet
scale_values: imagenet
encoding: {from: RGB, to: BGR}
outputs: [{name: features}]
calibration: {path: pictures, max_images: 6, resize_method: RESIZE}
rvc2: {superblob: false, number_of_shaves: 4, n_workers: 2}
rvc4: {disable_calibration: false, quantization_mode: INT8_STANDARD, optimization_level: 2}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration, its model and its pictures."""
    found = tmp_path / "project"
    found.mkdir()
    saved(conv_model(), found / "small.onnx")
    (found / "config.yaml").write_text(ONE)
    (found / "pictures").mkdir()
    made_photos(found / "pictures", 10)
    return found


def test_it_converts_as_the_same_options_do(convert: Convert, folder: Path, tmp_path: Path) -> None:
    from_file = convert(folder / "config.yaml", "--format", "native", "-o", tmp_path / "file")
    from_options = convert(
        folder / "small.onnx", "--blob", "--shaves", "4", "--outputs", "features", "--format", "native",
        "--mean-values", "123.675,116.28,103.53", "--scale-values", "58.395,57.12,57.375", "-o", tmp_path / "options",
    )  # fmt: skip

    assert from_file.exit_code == from_options.exit_code == 0, from_file.stderr
    assert Path(from_file.result["files"][0]).name == "named.blob"
    assert from_file.result["sha256"] == from_options.result["sha256"]
    (told,) = [event["text"] for event in from_file.events if "n_workers" in event.get("text", "")]
    assert told == "config.yaml: rvc2.n_workers: the setting OAKMILL_WORKERS says it"


def test_options_win_over_it(convert: Convert, folder: Path, tmp_path: Path) -> None:
    answer = convert(
        folder / "config.yaml", "--outputs", "scores", "--shaves", "2", "--scale-values", "255", "-o", tmp_path / "out"
    )

    assert answer.exit_code == 0, answer.stderr
    assert [item["name"] for item in answer.result["passport"]["vendor_reader"]["outputs"]] == ["scores"]
    assert any("mean 123.675,116.28,103.53, scale 255" in note for note in answer.result["notes"])


def test_rvc4_learns_from_its_calibration_data(convert4: Convert, folder: Path, tmp_path: Path) -> None:
    answer = convert4(folder / "config.yaml", "--max-images", "3", "-o", tmp_path / "out")

    assert answer.exit_code == 0, answer.stderr
    recipe = (tmp_path / "out/named.recipe.yaml").read_text()
    assert "max_quantization_images: 6" in recipe
    assert "resize: stretch" in recipe


def test_an_ir_may_be_its_model(convert: Convert, shared_data: Path, tmp_path: Path) -> None:
    for ending in ("xml", "bin"):
        shutil.copyfile(shared_data / f"models/ir/face_landmark_160x160.{ending}", tmp_path / f"face.{ending}")
    config = tmp_path / "face.yml"
    config.write_text("stages: {landmarks: {input_model: face.xml, encoding: BGR, rvc2: {superblob: false}}}")

    answer = convert(config, "-o", tmp_path / "out")

    assert answer.exit_code == 0, answer.stderr
    assert Path(answer.result["files"][0]).name == "landmarks.tar.xz"
    assert answer.result["passport"]["vendor_reader"]["stages"] == 202


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("input_model: small.onnx", "input_model: s3://bucket/small.onnx"), "nothing is fetched"),
        (("input_model: small.onnx", "input_model: /etc/hostname"), "outside the configuration's folder"),
        (("path: pictures", "path: pictures, script: run.py"), "none is run"),
        (("mean_values", "mean_value"), "unknown key 'mean_value'"),
        (("name: features", "name: nowhere"), "cannot end at 'nowhere'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    convert: Convert, folder: Path, tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    (folder / "config.yaml").write_text(ONE.replace(*change))

    answer = convert(folder / "config.yaml", "-o", tmp_path / "out")

    assert answer.exit_code == 2 and answer.error["code"] in ("SpecError", "FetchRefused")
    assert words in answer.error["message"]


def test_outputs_end_the_network_on_rvc2(convert: Convert, folder: Path, tmp_path: Path) -> None:
    answer = convert(folder / "small.onnx", "--blob", "--outputs", "features", "-o", tmp_path / "out")

    assert answer.exit_code == 0, answer.stderr
    assert [item["name"] for item in answer.result["passport"]["vendor_reader"]["outputs"]] == ["features"]


def test_outputs_end_the_network_on_rvc4(convert4: Convert, tmp_path: Path) -> None:
    model = saved(two_input_model(), tmp_path / "stereo.onnx")

    answer = convert4(
        model, "--target-precision", "FP16", "--outputs", "b", "--outputs", "a", "--max-images", "2",
        "-o", tmp_path / "out",
    )  # fmt: skip

    assert answer.exit_code == 0, answer.stderr
    outputs = answer.result["passport"]["vendor_reader"]["outputs"]
    assert {item["name"] for item in outputs} == {"a", "b"}
    assert all(np.prod(item["dims"]) == 2 * (SIDE - 2) ** 2 for item in outputs)


@pytest.mark.parametrize(("named", "works"), [("features", True), ("scores", False)])
def test_a_tool_argument_may_say_the_same_but_nothing_else(
    convert: Convert, folder: Path, tmp_path: Path, named: str, works: bool
) -> None:
    answer = convert(
        folder / "small.onnx",
        "--blob",
        "--outputs",
        "features",
        "--mo-args",
        f"--output {named}",
        "-o",
        tmp_path / "out",
    )

    if works:
        assert answer.exit_code == 0, json.dumps(answer.error)
    else:
        assert answer.exit_code == 2 and answer.error["code"] in ("SpecError", "FetchRefused")
        assert "--outputs names features, but mo argument --output names scores" in answer.error["message"]


def test_a_snpe_argument_may_not_contradict_it(convert4: Convert, folder: Path, tmp_path: Path) -> None:
    answer = convert4(
        folder / "small.onnx", "--target-precision", "FP16", "--outputs", "features",
        "--snpe-onnx-to-dlc-args", "--out_node scores", "-o", tmp_path / "out",
    )  # fmt: skip

    assert answer.exit_code == 2 and answer.error["code"] in ("SpecError", "FetchRefused")
    assert "SNPE argument --out_node names scores" in answer.error["message"]
