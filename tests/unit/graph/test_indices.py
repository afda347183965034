"""Whole numbers are tried as far as they are valid: a token of 0 alone says nothing of the table behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.graph import equality
from oakmill.graph.indices import PIXELS, limits


def model(*nodes: NodeProto, kind: int = TensorProto.INT64, result: int = TensorProto.FLOAT) -> ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", kind, [1, 4])],
        [helper.make_tensor_value_info("y", result, None)],
        [
            numpy_helper.from_array(np.arange(30, dtype=np.float32).reshape(10, 3), "table"),
            numpy_helper.from_array(np.arange(15, dtype=np.float32).reshape(5, 3), "small"),
            numpy_helper.from_array(np.array(3), "three"),
            numpy_helper.from_array(np.array([0, 1], np.float32), "values"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def node(op: str, *inputs: str, y: str = "y", **given: Any) -> NodeProto:
    return helper.make_node(op, list(inputs), [y], **given)


TABLE = node("Gather", "table", "x", y="a")


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (model(node("Gather", "table", "x")), (0, 10)),
        (model(node("Gather", "table", "x", axis=1)), (0, 3)),
        (model(node("GatherElements", "table", "x", axis=1)), (-3, 3)),
        (model(node("Identity", "x", y="z"), node("Gather", "table", "z")), (0, 10)),
        (model(TABLE, node("Gather", "small", "x", y="b"), node("Add", "a", "b")), (0, 5)),
        (model(TABLE, node("Equal", "x", "three", y="b"), node("Cast", "b", to=1)), (0, 10)),
        (model(node("OneHot", "x", "three", "values")), (-3, 3)),
        (model(node("Cast", "x", to=1), kind=TensorProto.UINT8), PIXELS),
    ],
    ids=["table", "axis", "elements", "moved", "narrowest", "compared", "one-hot", "pixels"],
)
def test_what_is_valid_is_found(made: ModelProto, wanted: tuple[int, int]) -> None:
    assert limits(made) == {"x": wanted}
    for value in (wanted[0], wanted[1] - 1):
        kind = helper.tensor_dtype_to_np_dtype(made.graph.input[0].type.tensor_type.elem_type)
        equality.run(made, {"x": np.full((1, 4), value, kind)})


def test_a_region_is_of_an_image_of_the_batch() -> None:
    """A RoiAlign whose images are an input could not be converted: it was tried with image 1 of a batch of one."""
    graph = helper.make_graph(
        [node("RoiAlign", "images", "regions", "x")],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [2, 1, 8, 8]),
         helper.make_tensor_value_info("regions", TensorProto.FLOAT, [3, 4]),
         helper.make_tensor_value_info("x", TensorProto.INT64, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )  # fmt: skip
    assert limits(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)])) == {"x": (0, 2)}


@pytest.mark.parametrize(
    "made",
    [
        model(node("Add", "x", "three", y="z"), node("Gather", "table", "z")),
        model(node("Add", "x", "three", y="z"), node("Cast", "z", to=1)),
        model(node("Range", "x", "three", "three"), result=TensorProto.INT64),
    ],
    ids=["computed index", "mask", "length"],
)
def test_what_may_be_invalid_is_not_guessed(made: ModelProto) -> None:
    """An index out of range ends a conversion."""
    assert limits(made) == {}


def test_what_a_branch_reads_is_not_guessed() -> None:
    inner = helper.make_graph(
        [node("Gather", "table", "x", y="t")], "t", [], [helper.make_tensor_value_info("t", 1, None)]
    )
    condition = helper.make_node("Constant", [], ["is"], value=helper.make_tensor("is", TensorProto.BOOL, [], [True]))
    branch = helper.make_node("If", ["is"], ["y"], then_branch=inner, else_branch=inner)
    assert limits(model(condition, branch)) == {}


def test_nothing_is_divided_by_zero() -> None:
    """A division of whole numbers by zero ends the process; of 0 and 1, half are."""
    for op in ("Div", "Mod"):
        assert limits(model(node(op, "three", "x"), result=TensorProto.INT64)) == {"x": (1, 16)}
