"""The real Model Optimizer 2022.2.0, in its own Python, between the prepared graph and the compiler."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from onnx import helper, parser

from oakmill.errors import ToolchainBroken, ToolchainMissing
from oakmill.settings import Settings, current
from oakmill.toolchains.base import State
from oakmill.toolchains.door import RunnerError
from oakmill.toolchains.model_optimizer.toolchain import ModelOptimizer
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain
from tests.conversion.conftest import Answer, Convert
from tests.conversion.makers import SIDE, conv_model, saved, two_input_model
from tests.tools import installed

MEAN, SCALE = "123.675,116.28,103.53", "58.395,57.12,57.375"


@pytest.fixture(scope="session", autouse=True)
def mo() -> ModelOptimizer:
    """Installed into the user's own folder where it is not yet."""
    toolchain = ModelOptimizer(current())
    try:
        installed(toolchain)
    except ToolchainMissing as error:
        if isinstance(error, ToolchainBroken) or not error.subject.startswith("Python"):
            raise
        pytest.skip(f"the Model Optimizer 2022.2.0 runs on Python 3.9 and 3.8 only: {error.message}")
    return toolchain


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    tail = [
        helper.make_node("GlobalAveragePool", ["hidden"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("Softmax", ["flat"], ["scores"], "softmax"),
    ]
    return saved(conv_model(tail=tail, shape=("n", 3, "h", "w")), tmp_path / "classifier.onnx")


@pytest.fixture
def square() -> list[str]:
    return ["--shape", f"1,3,{SIDE},{SIDE}", "--blob"]


def recipe(answer: Answer) -> dict[str, Any]:
    (path,) = (path for path in answer.result["files"] if path.endswith(".recipe.yaml"))
    found: dict[str, Any] = yaml.safe_load(Path(path).read_text())
    return found


def build_info(answer: Answer) -> dict[str, Any]:
    with tarfile.open(answer.result["files"][0]) as archive:
        member = archive.extractfile("buildinfo.json")
        assert member
        found: dict[str, Any] = json.load(member)
    return found


def worst(answer: Answer) -> float:
    return min(float(output["snr_db"]) for output in answer.result["passport"]["checks"][0]["outputs"])


def test_weights_in_fp16_are_measured_as_such_and_the_command_line_is_kept(
    classifier: Path, square: list[str], tmp_path: Path, convert: Convert
) -> None:
    answer = convert(
        classifier, "-o", tmp_path / "out", *square, "--scale-values", "255", "--mo-args", "--data_type FP16"
    )
    assert answer.exit_code == 0, answer.error
    words = ["mo", "--input_model", "prepared.onnx", "--data_type", "FP16"]
    assert " ".join(words) in answer.result["notes"]
    assert recipe(answer)["commands"][0] == " ".join(words)
    assert build_info(answer)["cmd_info"]["model_optimizer"] == words
    assert [item["name"] for item in recipe(answer)["toolchains"]] == ["rvc2/mo-2022.2.0", "rvc2/openvino-2022.2.0"]
    check = answer.result["passport"]["checks"][0]
    assert "weights stored in FP16" in check["method"]
    assert 50 < worst(answer) < 110  # rounded, and no more than that


def test_mean_and_scale_by_mo_classify_as_those_by_our_own_options(
    classifier: Path, square: list[str], tmp_path: Path, convert: Convert
) -> None:
    by_us = convert(classifier, "-o", tmp_path / "us", *square, "--mean-values", MEAN, "--scale-values", SCALE)
    arguments = f"--mean_values [{MEAN}] --scale_values [{SCALE}] --reverse_input_channels"
    by_mo = convert(classifier, "-o", tmp_path / "mo", *square, "--mo-args", arguments)
    assert by_mo.exit_code == 0, by_mo.error
    assert recipe(by_mo)["inputs"] == recipe(by_us)["inputs"]
    for answer in (by_us, by_mo):
        assert worst(answer) > 100
        assert answer.result["passport"]["checks"][0]["outputs"][0]["top1"] == 1


def test_half_by_mo_and_half_by_us_makes_one_whole(tmp_path: Path, convert: Convert) -> None:
    """The scale that our option gives is divided by after mo's mean, and for the inputs that it names."""
    model = saved(two_input_model(), tmp_path / "stereo.onnx")
    ours = ("--scale-values", f"left={SCALE}", "--scale-values", "right=2")
    answer = convert(model, "-o", tmp_path / "out", "--blob", *ours, "--mo-args", f"--mean_values left[{MEAN}]")
    assert answer.exit_code == 0, answer.error
    assert worst(answer) > 100
    assert recipe(answer)["inputs"][0]["mean"] == [123.675, 116.28, 103.53]


def test_shape_and_outputs_by_mo_are_those_of_the_whole_conversion(
    classifier: Path, tmp_path: Path, convert: Convert
) -> None:
    arguments = f"--input image --input_shape [1,3,{SIDE},{SIDE}] --output flatten,hidden"
    answer = convert(classifier, "-o", tmp_path / "out", "--blob", "--mo-args", arguments)
    assert answer.exit_code == 0, answer.error
    outputs = answer.result["passport"]["checks"][0]["outputs"]
    assert [output["name"] for output in outputs] == ["flat", "hidden"]
    assert worst(answer) > 100


SHARED = f"""
    <ir_version: 8, opset_import: ["": 13]>
    agraph (float[1,4,{SIDE},{SIDE}] x) => (float[1,2,{SIDE},{SIDE}] a, float[1,2,{SIDE},{SIDE}] b)
    {{
        y = Relu (x)
        a, b = Split <axis=1> (y)
    }}
"""


def test_outputs_of_one_node_keep_their_names(tmp_path: Path, convert: Convert) -> None:
    """mo's format named them "b.0" and "b.1", and where the node was called "a", "a" became "a0"."""
    model = saved(parser.parse_model(SHARED), tmp_path / "split.onnx")
    answer = convert(model, "-o", tmp_path / "out", "--blob", "--mo-args", "--data_type FP32")
    assert answer.exit_code == 0, answer.error
    assert {tensor["name"] for tensor in answer.result["passport"]["vendor_reader"]["outputs"]} == {"a", "b"}


UNKNOWN = """
    <ir_version: 8, opset_import: ["": 13]>
    agraph (float[1,3,8,8] image) => (float[1,3] d) { d = Det (image) }
"""


def test_what_mo_cannot_convert_is_told_in_its_own_words(tmp_path: Path, convert: Convert) -> None:
    model = saved(parser.parse_model(UNKNOWN), tmp_path / "det.onnx")
    answer = convert(model, "-o", tmp_path / "out", "--mo-args", "--data_type FP16")
    assert answer.exit_code == 7
    assert answer.error["code"] == "CompileFailed"
    assert answer.error["message"].startswith("the Model Optimizer could not convert the model: ")
    assert "does not support the following ONNX operations: Det" in answer.error["message"]
    assert "Traceback" not in answer.error["message"]
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_an_argument_that_could_do_harm_ends_the_conversion(classifier: Path, tmp_path: Path, convert: Convert) -> None:
    answer = convert(classifier, "-o", tmp_path / "out", "--mo-args", "--extensions /tmp")
    assert (answer.exit_code, answer.error["code"]) == (2, "ArgumentRefused")


def test_both_sets_of_libraries_and_both_formats_give_the_same_blob(mo: ModelOptimizer, tmp_path: Path) -> None:
    """What reads mo's format comes from other packages than what reads ONNX, but from the same build."""
    model = saved(conv_model(), tmp_path / "model.onnx")
    own, both = Rvc2Toolchain(current()), Rvc2Toolchain(current(), libraries=mo.libraries)
    network = mo.convert(model, tmp_path / "mo", ["--data_type", "FP32"])
    again = mo.convert(model, tmp_path / "again", ["--data_type", "FP32"])
    assert network.with_suffix(".bin").read_bytes() == again.with_suffix(".bin").read_bytes()
    blobs = [
        own.compile(model, tmp_path / "1", superblob=False).blobs,
        both.compile(model, tmp_path / "2", superblob=False).blobs,
        both.compile(network, tmp_path / "3", superblob=False).blobs,
        both.compile(again, tmp_path / "4", superblob=False).blobs,
    ]
    assert blobs == [blobs[0]] * 4
    with pytest.raises(RunnerError, match="read"):
        own.compile(network, tmp_path / "5", superblob=False)


def test_what_mo_says_of_wrong_values_comes_through(mo: ModelOptimizer, tmp_path: Path) -> None:
    model = saved(conv_model(), tmp_path / "model.onnx")
    with pytest.raises(RunnerError, match="No node with name nowhere"):
        mo.convert(model, tmp_path / "job", ["--output", "nowhere"])


def test_it_is_missing_broken_and_mended_by_name(mo: ModelOptimizer, tmp_path: Path) -> None:
    absent = ModelOptimizer(Settings(home=tmp_path))
    assert absent.status().state is State.MISSING
    with pytest.raises(ToolchainMissing, match=r"rvc2/mo-2022\.2\.0.*is not installed"):
        absent.require()
    assert mo.verify()["weights_bytes"] > 0
