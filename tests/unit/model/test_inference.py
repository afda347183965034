from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.model.inference import inferred


def ranged(end: int) -> ModelProto:
    """A Range, and x as large as two numbers say that are joined."""
    nodes = [
        helper.make_node("Range", ["first", "end", "step"], ["r"], "range"),
        helper.make_node("Cast", ["r"], ["s"], "cast", to=TensorProto.INT64),
        helper.make_node("Concat", ["two", "three"], ["sizes"], "join", axis=0),
        helper.make_node("Expand", ["x", "sizes"], ["y"], "expand"),
    ]
    constants = {"first": 1, "end": end, "step": 1, "two": [2], "three": [3]}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("s", TensorProto.INT64, None),
        ],
        [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_a_range_of_terabytes_is_not_written_out() -> None:
    """onnx follows the values of small constants, and of a Range of any length: some bytes took all memory."""
    kinds = {value.name: value.type.tensor_type for value in inferred(ranged(1 << 40)).graph.value_info}
    assert [dim.dim_value for dim in kinds["r"].shape.dim] == [(1 << 40) - 1]


def test_values_are_followed_beside_a_short_range() -> None:
    output, _ = inferred(ranged(4)).graph.output
    assert [dim.dim_value for dim in output.type.tensor_type.shape.dim] == [2, 3]
