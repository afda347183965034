"""What is known of a graph without its weights."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.preflight.graph import Facts


def model(
    nodes: list[NodeProto], *, opset: int = 17, output: str = "y", shape: tuple[int | str, ...] = (1, 3, 32, 32)
) -> ModelProto:
    constants = [
        numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "weight"),
        numpy_helper.from_array(np.array([2, 3]), "axes"),
        numpy_helper.from_array(np.array(0), "first"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def conv(x: str, y: str) -> NodeProto:
    return helper.make_node("Conv", [x, "weight"], [y], "conv", strides=[2, 2], pads=[1] * 4)


def test_types_and_shapes_are_inferred_with_the_shapes_asked_for() -> None:
    facts = Facts(model([conv("x", "y")], shape=("N", 3, "H", "W")), {"x": (1, 3, 64, 48)})
    assert facts.shape("y") == (1, 8, 32, 24)
    assert facts.rank("weight") == 4
    assert facts.dtype("y") == "float32"
    assert facts.dtype("axes") == "int64"


def test_open_dimensions_stay_open_and_ranks_known() -> None:
    facts = Facts(model([conv("x", "y")], shape=("N", 3, "H", "W")))
    assert facts.shape("y") == (None, 8, None, None)


def test_what_depends_on_shapes_alone_is_folded_and_dead_nodes_are_no_nodes() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], "shape"),
        helper.make_node("Gather", ["shape", "first"], ["batch"], "gather"),
        helper.make_node("Unsqueeze", ["batch", "first"], ["target"], "unsqueeze"),
        helper.make_node("Cast", ["target"], ["cast"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Sin", ["x"], ["unread"], "sin"),
        helper.make_node("Add", ["x", "cast"], ["y"], "add"),
    ]
    facts = Facts(model(nodes))
    assert [node.name for node in facts.nodes] == ["add"]
    assert facts.is_constant("cast")
    assert not facts.is_constant("x")


def test_shapes_of_what_depends_on_data_are_not_folded() -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["places"], "nonzero"),
        helper.make_node("Shape", ["places"], ["count"], "shape"),
        helper.make_node("Cast", ["count"], ["y"], "cast", to=TensorProto.FLOAT),
    ]
    assert [node.name for node in Facts(model(nodes)).nodes] == ["nonzero", "shape", "cast"]


def test_branches_keep_what_they_read_alive() -> None:
    inner = helper.make_graph(
        [helper.make_node("Relu", ["hidden"], ["out"], "inner")], "branch", [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )  # fmt: skip
    nodes = [
        helper.make_node("Abs", ["x"], ["hidden"], "abs"),
        helper.make_node("ReduceMax", ["x"], ["most"], "max", keepdims=0),
        helper.make_node("Cast", ["most"], ["flag"], "flag", to=TensorProto.BOOL),
        helper.make_node("If", ["flag"], ["y"], "if", then_branch=inner, else_branch=inner),
    ]
    assert "abs" in [node.name for node in Facts(model(nodes)).nodes]


def test_external_weights_are_not_looked_for() -> None:
    made = model([conv("x", "y")])
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="nowhere.bin")
    facts = Facts(made)
    assert facts.shape("y") == (1, 8, 16, 16)
    assert facts.value("weight") is None


def test_a_contradiction_does_not_stop_it() -> None:
    made = model([conv("x", "y")], shape=(1, 5, 32, 32))
    assert [node.name for node in Facts(made).nodes] == ["conv"]
