"""`oakmill check` tells people and programs the same, and its exit code is the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.cli.check import command
from oakmill.errors import NotAModel, SpecError


def model(*nodes: NodeProto, shape: tuple[int | str, ...] = (1, 8, 16, 16)) -> ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros((8, 8, 1, 1), np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


GOOD = [helper.make_node("Conv", ["x", "w"], ["a"], "conv"), helper.make_node("Relu", ["a"], ["y"], "relu")]
BAD = [
    helper.make_node("Relu", ["x"], ["a"], "first"),
    helper.make_node("Bernoulli", ["a"], ["b"], "wave"),
    helper.make_node("Bernoulli", ["b"], ["y"], "again"),
]


def check(made: ModelProto, folder: Path, *arguments: str) -> Result:
    path = folder / "model.onnx"
    onnx.save(made, path)
    return CliRunner().invoke(command, [str(path), *arguments])


def data(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.output)
    return found


def test_a_good_model_is_ok_for_each_platform(tmp_path: Path) -> None:
    result = check(model(*GOOD), tmp_path, "--to", "rvc2", "--to", "rvc4")
    assert result.exit_code == 0
    assert "RVC2 in FP16: ok\n" in result.output
    assert "RVC4 in INT8: ok\n" in result.output


def test_without_a_platform_all_are_answered(tmp_path: Path) -> None:
    platforms = [item["platform"] for item in data(check(model(*GOOD), tmp_path, "--json"))["platforms"]]
    assert {"rvc2", "rvc4"} <= set(platforms)


def test_a_bad_node_is_an_error_with_its_name_and_what_to_try(tmp_path: Path) -> None:
    result = check(model(*BAD), tmp_path, "--to", "rvc2")
    assert result.exit_code == 4
    assert "RVC2 in FP16: error (2 errors)\n" in result.output
    assert "nodes 'wave', 'again': Bernoulli" in result.output
    assert "try: end the network before it (--outputs a)" in result.output


def test_programs_get_the_same(tmp_path: Path) -> None:
    result = check(model(*BAD), tmp_path, "--to", "rvc2", "--json")
    assert result.exit_code == 4
    found = data(result)
    assert found["model"]["opset"] == 17
    (platform,) = found["platforms"]
    assert platform["verdict"] == "error"
    assert platform["findings"][0]["subject"] == "wave"
    assert platform["findings"][0]["others"] == ["again"]


def test_a_shape_answers_an_open_one(tmp_path: Path) -> None:
    open_model = model(*GOOD, shape=("N", 8, "H", "W"))
    refused = check(open_model, tmp_path, "--to", "rvc2")
    assert refused.exit_code == 4
    assert "--shape x=1,8,320,320" in refused.output
    assert check(open_model, tmp_path, "--to", "rvc2", "--shape", "x=1,8,320,320").exit_code == 0
    assert check(open_model, tmp_path, "--to", "rvc2", "--shape", "1,8,320,320").exit_code == 0


def test_what_cannot_be_read_is_said_as_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("nothing")
    with pytest.raises(NotAModel):
        CliRunner().invoke(command, [str(path)], catch_exceptions=False)
    with pytest.raises(SpecError, match="--shape"):
        CliRunner().invoke(command, [str(path), "--shape", "x=a,b"], catch_exceptions=False)
