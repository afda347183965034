"""Nodes are called by the variant that compilers tell apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.preflight.graph import Facts
from oakmill.preflight.variants import Variant, variant_of

MAP = (1, 8, 16, 16)


def variant(
    op: str, shape: tuple[int, ...], *constants: Any, opset: int = 17, domain: str = "", **given: Any
) -> Variant:
    """Of a node that reads x and these constants."""
    tensors = [
        numpy_helper.from_array(np.asarray(value), f"c{place}")
        for place, value in enumerate(constants)
        if value is not None
    ]
    names = ["x", *("" if value is None else f"c{place}" for place, value in enumerate(constants))]
    node = helper.make_node(op, names, ["y"], "node", domain=domain, **given)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    made: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return variant_of(node, Facts(made))


WEIGHTS = np.zeros((8, 8, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("found", "details"),
    [
        (variant("Conv", MAP, WEIGHTS), "2 axes"),
        (variant("Conv", MAP, WEIGHTS[:, :1], group=8), "2 axes, depthwise"),
        (variant("Conv", MAP, WEIGHTS[:, :4], group=2, dilations=[2, 2]), "2 axes, grouped, dilated"),
        (variant("MaxPool", MAP, kernel_shape=[2, 2], ceil_mode=1), "2 axes, ceil"),
        (variant("ReduceMean", MAP, axes=[2, 3]), ""),
        (variant("ReduceMean", MAP, keepdims=0), "to a scalar"),
        (variant("ReduceMean", MAP, np.array([1]), opset=18, keepdims=0), "axes dropped"),
        (variant("Softmax", MAP, axis=1, opset=11), "axis 1, flattened from there"),
        (variant("Softmax", (1, 8, 1, 1), axis=1, opset=11), "axis 1"),
        (variant("Softmax", MAP, axis=1), "axis 1"),
        (variant("Softmax", MAP), "last axis"),
        (variant("ScatterND", (4, 4), np.array([[0], [1]]), np.zeros((2, 4), "f"), reduction="add"), "reduction add"),
        (variant("GridSample", MAP, np.zeros((1, 4, 4, 2), "f"), mode="bilinear"), "linear, zeros, constant grid"),
        (variant("Pad", MAP, np.array([0, 0, -1, 0, 0, 0, 0, 0])), "constant, negative"),
        (variant("Pad", MAP, np.zeros(8, np.int64)), "constant, by nothing"),
        (variant("Resize", MAP, None, np.array([1, 1, 2, 2], "f"), mode="cubic"), "cubic, half_pixel"),
        (variant("Slice", MAP, np.array([-1]), np.array([-99]), np.array([3]), np.array([-1])), "backwards"),
        (variant("Einsum", (2, 3, 4), np.zeros((2, 4, 5), "f"), equation="nct, ncp -> ntp"), "abc,abd->acd"),
        (variant("Cast", MAP, to=TensorProto.FLOAT), "to the same"),
    ],
)  # fmt: skip
def test_what_matters_of_a_node_is_named(found: Variant, details: str) -> None:
    assert found.details == details


def test_type_and_rank_are_named_and_foreign_domains() -> None:
    assert variant("Relu", (1, 4, 5)).tensors == "float32 3-D"
    assert variant("Add", (5,), np.zeros((1, 4, 5), np.float32)).tensors == "float32 3-D"
    assert variant("Gelu", MAP, domain="com.microsoft").op == "com.microsoft.Gelu"
    assert variant("Conv", MAP, WEIGHTS).words == "Conv (2 axes) on float32 4-D"
