"""Inputs without dimensions get one, as an NN Archive cannot describe them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from oakmill.findings import Severity
from oakmill.graph import boundary, equality
from oakmill.graph.skeleton import dimensions
from oakmill.preflight import check


def model(op: str, inner: int = TensorProto.FLOAT, opset: int = 13) -> ModelProto:
    """x [1, 8] and a single number, by an operator."""
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8]),
        helper.make_tensor_value_info("single", inner, []),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    given = {"Where": ["single", "x", "x"], "Clip": ["x", "single"], "Gather": ["x", "single"]}.get(op, ["x", "single"])
    node = helper.make_node(op, given, ["y"], "node")
    if op == "Gather":
        node.attribute.append(helper.make_attribute("axis", 1))
    graph = helper.make_graph([node], "g", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize("mode", ["fp16", None])
def test_a_truth_value_without_dimensions_is_told_and_not_refused(mode: str | None) -> None:
    """Such a model was refused: its archive cannot say [], and its proof failed on numpy's scalars."""
    made = model("Where", TensorProto.BOOL)
    check.require(made, "rvc2", mode)
    (item,) = [item for item in check.Preflight(made).report("rvc4").findings if item.code == "scalar"]
    assert item.severity is Severity.WARNING
    assert "of shape [1]" in item.message


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize(
    ("op", "inner"), [("Mul", TensorProto.FLOAT), ("Clip", TensorProto.FLOAT), ("Gather", TensorProto.INT64)]
)
def test_a_single_number_gets_one_dimension(op: str, inner: int, opset: int) -> None:
    """What a tensor stands beside takes it as it is; a bound or an index loses the dimension again."""
    made = model(op, inner, opset)
    changed, names = boundary.with_dimensions(made)
    assert names == ["single"]
    assert {value.name: dimensions(value.type.tensor_type) for value in changed.graph.input}["single"] == (1,)
    assert [node.op_type for node in changed.graph.node] == ([op] if op == "Mul" else ["Squeeze", op])
    x = np.arange(8, dtype=np.float32).reshape(1, 8)
    single = np.array(3, np.int64 if op == "Gather" else np.float32)
    wanted = equality.run(made, {"x": x, "single": single})["y"]
    found = equality.run(changed, {"x": x, "single": single[None]})["y"]
    assert wanted.shape == found.shape
    assert (wanted == found).all()


def test_a_model_without_them_is_left() -> None:
    made = model("Mul")
    made.graph.input[1].type.tensor_type.shape.dim.add().dim_value = 8
    assert boundary.with_dimensions(made) == (made, [])
