"""Models of 2017, in opsets 1 to 6, become such as onnxruntime runs; what they computed is worked out in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.graph import equality
from oakmill.graph.first_opsets import to_seven
from oakmill.graph.shapes import fix_input_shapes
from oakmill.graph.skeleton import opset_version
from tests.unit.graph.building import Array, ops

X = np.random.default_rng(1).uniform(-1, 1, [1, 4, 6, 5]).astype("f")
C = np.array([0.5, 1.5, 2.0, 3.0], "f")
S = C.reshape(4, 1, 1)
ROW = np.arange(1, 6, dtype="f")


def old(*nodes: NodeProto, opset: int, **constants: Array) -> ModelProto:
    """x -> nodes -> y, as IR version 3 has it: constants are inputs too."""
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)]
    inputs += [helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in tensors]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)


def one(op: str, *inputs: str, **attrs: Any) -> NodeProto:
    return helper.make_node(op, list(inputs), ["y"], "node", **attrs)


NORMAL = (X - S) / np.sqrt(S + np.float32(1e-5)) * S + S
CASES = {
    "Add at an axis": (one("Add", "x", "c", broadcast=1, axis=1), X + S),
    "Mul at the last axis": (one("Mul", "x", "r", broadcast=1), X * ROW),
    "Sub at the first of two axes": (one("Sub", "x", "m", broadcast=1, axis=1), X - np.ones([4, 6, 1], "f")),
    "BatchNormalization": (one("BatchNormalization", "x", "c", "c", "c", "c", is_test=1), NORMAL),
    "PRelu of channels": (one("PRelu", "x", "c"), np.where(X < 0, X * S, X)),
    "Dropout": (one("Dropout", "x", is_test=1), X),
    "Relu": (one("Relu", "x"), np.maximum(X, 0)),
}
FIRST = {
    "BatchNormalization": (
        one("BatchNormalization", "x", "c", "c", "c", "c", is_test=1, consumed_inputs=[0, 0, 0, 1, 1], spatial=1),
        NORMAL,
    ),
    "Reshape": (one("Reshape", "x", shape=[1, -1]), X.reshape(1, -1)),
    "Concat": (one("Concat", "x", "x"), np.concatenate([X, X], 1)),
    "Pad": (one("Pad", "x", paddings=[0, 0, 1, 0, 0, 0, 0, 2]), np.pad(X, [(0, 0), (0, 0), (1, 0), (0, 2)])),
    "Upsample": (
        one("Upsample", "x", height_scale=2.0, width_scale=3.0, mode="nearest"), X.repeat(2, 2).repeat(3, 3)
    ),
    "Cast": (one("Cast", "x", to="FLOAT"), X),
}  # fmt: skip


@pytest.mark.parametrize(
    ("opset", "node", "wanted"),
    [(6, *case) for case in CASES.values()] + [(1, *case) for case in FIRST.values()],
    ids=[*CASES, *(f"{name} of opset 1" for name in FIRST)],
)
def test_they_compute_what_they_meant(opset: int, node: NodeProto, wanted: Array) -> None:
    """A BatchNormalization of opset 6 ended the conversion: onnxruntime has none, so nothing could be proved."""
    model = old(node, opset=opset, c=C, r=ROW, m=np.ones([4, 6], "f"))
    raised = to_seven(model)
    assert (opset_version(raised), opset_version(model)) == (7, opset)
    found = equality.run(fix_input_shapes(raised, {}).model, {"x": X})["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "node",
    [
        one("BatchNormalization", "x", "c", "c", "c", "c", is_test=1, spatial=0),
        one("Scale", "x", scale=2.0),
    ],
    ids=lambda node: node.op_type,
)
def test_a_node_of_no_rule_leaves_the_model_as_it_was(node: NodeProto) -> None:
    model = old(node, opset=1 if node.op_type != "BatchNormalization" else 6, c=C)
    assert to_seven(model) is model


def test_from_opset_7_on_nothing_changes() -> None:
    model = old(one("Relu", "x"), opset=7)
    assert to_seven(model) is model
    assert ops(model) == ["Relu"]
