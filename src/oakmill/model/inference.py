"""Infers the types and shapes of a graph's tensors by onnx, without letting a few bytes of it take all memory."""

from __future__ import annotations

import onnx
from onnx import ModelProto

from oakmill.model.tensors import graphs, nodes

_LONGEST = 1 << 16
"""Numbers of a Range; those that shapes are made of are a few."""


def inferred(model: ModelProto, *, strict: bool = False) -> ModelProto:
    """A copy with what onnx infers, from the values of small constants too.

    onnx writes out each Range that it knows the ends of: one of 2^40 would take 8 terabytes. Where there is a long
    one, values are not followed.

    Raises:
        onnx.shape_inference.InferenceError: with `strict`, the shapes contradict the graph.
        ValueError, EncodeError: the graph is over 2 GB.
    """
    if any(node.op_type == "Range" for node in nodes(model)):
        plain = onnx.shape_inference.infer_shapes(model, strict_mode=strict)
        if _has_long_range(plain):
            return plain
    return onnx.shape_inference.infer_shapes(model, strict_mode=strict, data_prop=True)


def _has_long_range(model: ModelProto) -> bool:
    for graph in graphs(model):
        made = {node.output[0] for node in graph.node if node.op_type == "Range" and node.output}
        for value in (*graph.value_info, *graph.output):
            if value.name in made and any(dim.dim_value > _LONGEST for dim in value.type.tensor_type.shape.dim):
                return True
    return False
