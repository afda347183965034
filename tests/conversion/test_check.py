"""What `oakmill check` says is what `oakmill convert` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from oakmill.cli.check import examine
from tests import in_process
from tests.conversion.conftest import Convert
from tests.conversion.makers import conv_model, saved

SMALL = ("cifar10_smallcnn", "mnist_cntk", "plate_rec_48x168", "ultraface_rfb_320")


def check(path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the answer of `oakmill check --json`."""
    finished = in_process.run("check", path, "--json", *arguments)
    return finished.returncode, json.loads(finished.stdout) if finished.stdout else {}


@pytest.mark.parametrize(
    ("node", "possible"),
    [
        (helper.make_node("Sin", ["hidden"], ["scores"], "tail"), True),
        (helper.make_node("MaxPool", ["hidden"], ["scores"], "tail", kernel_shape=[2, 2], dilations=[2, 2]), False),
        (helper.make_node("Softmax", ["hidden"], ["scores"], "tail", axis=1), True),
        (helper.make_node("HardSigmoid", ["hidden"], ["scores"], "tail"), True),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else "",
)
def test_a_node_is_refused_by_both_or_by_neither(
    node: onnx.NodeProto, possible: bool, tmp_path: Path, convert: Convert
) -> None:
    path = saved(conv_model(tail=[node]), tmp_path / "model.onnx")
    code, found = check(path, "--to", "rvc2")
    (report,) = found["platforms"]
    answer = convert(path, "--blob", "-o", tmp_path / "out", "--max-images", "1")
    assert (code, answer.exit_code == 0) == (0 if possible else 4, possible)
    if not possible:
        assert report["findings"][0]["subject"] == "tail"
        assert "tail" in answer.error["message"]


def test_a_conversion_refuses_what_was_measured_to_fail_before_it_works(tmp_path: Path, convert: Convert) -> None:
    tail = [helper.make_node("MaxPool", ["hidden"], ["scores"], "wave", kernel_shape=[2, 2], dilations=[2, 2])]
    answer = convert(saved(conv_model(tail=tail), tmp_path / "model.onnx"), "-o", tmp_path / "out")
    assert answer.exit_code == 4
    assert answer.error["code"] == "UnsupportedModel"
    assert answer.error["subject"] == "wave"
    assert "prepare" not in {event.get("stage") for event in answer.events}


@pytest.mark.parametrize("name", SMALL)
def test_real_models_are_told_to_convert(name: str, shared_data: Path) -> None:
    code, found = check(shared_data / "models" / f"{name}.onnx", "--to", "rvc2", "--to", "rvc4")
    assert code == 0, found


def test_a_hundred_megabytes_take_less_than_a_second(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((6500, 4096)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "product")],
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6500])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4096])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = saved(model, tmp_path / "wide.onnx")
    assert path.stat().st_size > 100e6
    _, reports = examine(path, ("rvc2", "rvc4"), ())
    assert next(report.verdict for report in reports) == "ok"
