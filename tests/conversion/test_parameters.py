"""Every parameter of a conversion to RVC2 does what it says, seen in the file that comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from onnx import helper

from oakmill.toolchains.rvc2.blob import read_header
from tests.conversion.conftest import Convert
from tests.conversion.makers import SIDE, archive_of, conv_model, saved, two_input_model


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return saved(conv_model(), tmp_path / "small.onnx")


def reader(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer.result["passport"]["vendor_reader"]
    return found


@pytest.mark.parametrize("shaves", [1, 6, 16])
def test_a_blob_for_so_many_shaves(shaves: int, small: Path, tmp_path: Path, convert: Convert) -> None:
    answer = convert(small, "--blob", "--shaves", str(shaves), "--format", "native", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    header = read_header((tmp_path / "out" / "small.rvc2.blob").read_bytes())
    assert (header.shaves, header.cmx_slices) == (shaves, shaves)
    assert reader(answer)["kind"] == "blob"


def test_a_native_superblob_comes_with_passport_and_recipe(small: Path, tmp_path: Path, convert: Convert) -> None:
    assert convert(small, "--format", "native", "-o", tmp_path / "out").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "small.rvc2.passport.html",
        "small.rvc2.passport.json",
        "small.rvc2.recipe.yaml",
        "small.rvc2.superblob",
    ]


@pytest.mark.parametrize(
    ("arguments", "input_type", "output_type"),
    [
        ("", "U8F", "FP16"),
        ("-ip FP16", "FP16", "FP16"),
        ("-iop image:FP16,scores:FP32", "FP16", "FP32"),
        ("-op FP32", "U8F", "FP32"),
        ("-ip FP16 -iop image:U8", "U8F", "FP16"),  # by name wins over all
    ],
)
def test_compile_tool_precisions(
    arguments: str, input_type: str, output_type: str, small: Path, tmp_path: Path, convert: Convert
) -> None:
    options = ["--compile-tool-args", arguments] if arguments else []
    answer = convert(small, "--blob", *options, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert [tensor["dtype"] for tensor in reader(answer)["inputs"]] == [input_type]
    assert [tensor["dtype"] for tensor in reader(answer)["outputs"]] == [output_type]


def test_compile_tool_layouts_and_keys(small: Path, tmp_path: Path, convert: Convert) -> None:
    arguments = "-il NHWC -c MYRIAD_NUMBER_OF_SHAVES=5 -c MYRIAD_ENABLE_HW_ACCELERATION=NO"
    answer = convert(small, "--blob", "--compile-tool-args", arguments, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert reader(answer)["inputs"][0]["order"] == "NHWC"
    build = json.loads(archive_of(tmp_path / "out" / "small.rvc2.tar.xz")["buildinfo.json"])
    assert build["number_of_shaves"] == [5]
    command = " ".join(build["cmd_info"]["compile_tool"])
    assert "-iol image:NHWC" in command
    assert "MYRIAD_ENABLE_HW_ACCELERATION=NO" in command


def test_a_batch_of_several_is_in_the_file(tmp_path: Path, convert: Convert) -> None:
    """RVC2's compiler takes one image out of a batch unless it is told otherwise: the blob took [1, 3, H, W]."""
    pair = saved(conv_model(shape=(2, 3, SIDE, SIDE)), tmp_path / "pair.onnx")
    answer = convert(pair, "--blob", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert reader(answer)["inputs"][0]["dims"] == [SIDE, SIDE, 3, 2]
    assert reader(answer)["outputs"][0]["dims"] == [SIDE, SIDE, 4, 2]
    command = json.loads(archive_of(tmp_path / "out" / "pair.rvc2.tar.xz")["buildinfo.json"])["cmd_info"]
    assert "MYRIAD_DETECT_NETWORK_BATCH=NO" in command["compile_tool"]


def test_simplification_can_be_left_out(tmp_path: Path, convert: Convert) -> None:
    identity = helper.make_node("Identity", ["hidden"], ["scores"], "useless")
    path = saved(conv_model(tail=[identity]), tmp_path / "model.onnx")
    for options in ([], ["--disable-onnx-simplification"]):
        answer = convert(path, *options, "-o", tmp_path / f"out{len(options)}")
        assert answer.exit_code == 0, answer.error
        assert [tensor["name"] for tensor in reader(answer)["outputs"]] == ["scores"]


def test_two_inputs_each_with_its_own_preprocessing(tmp_path: Path, convert: Convert) -> None:
    path = saved(two_input_model(), tmp_path / "stereo.onnx")
    options = ["--mean-values", "left=1,2,3", "--scale-values", "right=255", "--encoding-from", "right=BGR"]
    answer = convert(path, *options, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert {tensor["name"] for tensor in reader(answer)["inputs"]} == {"left", "right"}
    recipe = yaml.safe_load((tmp_path / "out" / "stereo.rvc2.recipe.yaml").read_text())
    left, right = recipe["inputs"]
    assert (left["mean"], left["scale"], left["encoding_from"]) == ([1, 2, 3], None, "RGB")
    assert (right["mean"], right["scale"], right["encoding_from"]) == (None, [255], "BGR")


def test_values_beyond_fp16_are_reported(tmp_path: Path, convert: Convert) -> None:
    weight = np.full((4, 3, 3, 3), 50.0, np.float32)
    answer = convert(saved(conv_model(weight=weight), tmp_path / "hot.onnx"), "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert answer.result["verdict"] != "ok"
    overflows = answer.result["passport"]["fp16_overflows"]
    assert {item["tensor"] for item in overflows} & {"features", "scores"}
    assert any("beyond FP16's 65504" in warning for warning in answer.result["warnings"])


def test_an_input_that_is_no_image_stays_a_float(tmp_path: Path, convert: Convert) -> None:
    path = saved(conv_model(), tmp_path / "model.onnx")
    answer = convert(path, "--encoding-from", "NONE", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert reader(answer)["inputs"][0]["dtype"] == "FP16"


@pytest.mark.parametrize("channels", [1, 3])
def test_layout_nhwc(channels: int, tmp_path: Path, convert: Convert) -> None:
    """A source that takes pixels channel by channel last: converted it still does, by depthai's name BGR888i."""
    transpose = helper.make_node("Transpose", ["image"], ["planes"], "to_planes", perm=[0, 3, 1, 2])
    weight = np.random.default_rng(0).standard_normal((4, channels, 3, 3)).astype(np.float32) * 0.05
    model = conv_model(shape=(1, SIDE, SIDE, channels), weight=weight)
    model.graph.node.insert(0, transpose)
    model.graph.node[1].input[0] = "planes"
    mean = ["--mean-values", "10,20,30"] if channels == 3 else ["--mean-values", "10"]
    answer = convert(saved(model, tmp_path / "model.onnx"), *mean, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    config = json.loads(archive_of(tmp_path / "out" / "model.rvc2.tar.xz")["config.json"])
    (image,) = config["model"]["inputs"]
    assert image["layout"] == "NHWC"
    assert image["preprocessing"]["dai_type"] == ("BGR888i" if channels == 3 else "GRAY8")
