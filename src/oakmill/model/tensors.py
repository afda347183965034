"""Walks an ONNX model's graphs, nodes and tensors, and measures its weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper

from oakmill.errors import BrokenModel
from oakmill.model import weights

# Several of these share a byte; numpy gives each a byte of its own.
_SMALL_BITS = {"UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2}

_WEIGHED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}


PLACEHOLDERS = ("?", "-1", "None", "unk", "unknown")
"""What exporters write for the name of a dimension that they know nothing of."""


def forget_placeholders(model: ModelProto) -> ModelProto:
    """Take names off open dimensions that stand for "unknown"; in place.

    ONNX says that dimensions of one name are one number; exporters of PaddlePaddle call each that they do not know "?".
    """
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in PLACEHOLDERS:
                dim.ClearField("dim_param")
    return model


def graphs(model: ModelProto) -> Iterator[GraphProto]:
    """The main graph, then all graphs within nodes and functions."""
    yield model.graph
    yield from _inner_graphs(model.graph.node)
    for function in model.functions:
        yield from _inner_graphs(function.node)


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that a node holds itself: branches of If, bodies of Loop and Scan."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def nodes(model: ModelProto) -> Iterator[NodeProto]:
    """All nodes, those of inner graphs and functions included."""
    for graph in graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """All tensors that the model holds: initializers and attributes, those of inner graphs included."""
    for graph in graphs(model):
        yield from graph.initializer
        yield from _dense(graph.sparse_initializer)
    for node in nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            yield from _dense(attribute.sparse_tensors)
            if attribute.HasField("sparse_tensor"):
                yield from _dense([attribute.sparse_tensor])


def byte_size(tensor: TensorProto) -> int:
    """The bytes that a tensor takes as raw data, from its dimensions and type; 0 for strings.

    Raises:
        BrokenModel: a dimension is negative or the type is unknown.
    """
    if any(size < 0 for size in tensor.dims):
        raise BrokenModel(f"tensor {tensor.name!r} has a negative dimension: {list(tensor.dims)}")
    if tensor.data_type == TensorProto.STRING:
        return 0
    bits: int = math.prod(tensor.dims) * _element_bits(tensor)
    return (bits + 7) // 8


def weight_bytes(model: ModelProto) -> int:
    """Bytes of all initializers, wherever they are stored.

    Raises:
        BrokenModel: as `byte_size`.
    """
    return sum(byte_size(tensor) for graph in graphs(model) for tensor in graph.initializer)


def find_bad_weights(model: ModelProto) -> tuple[str, ...]:
    """Names of the float constants that spoil every result: those with NaN, and weights with infinity.

    Infinity is legal elsewhere, as the bound of a Clip or in an attention mask; in a weight of Conv,
    ConvTranspose, Gemm or MatMul it is not. Looked at are initializers and the values of Constant nodes.

    Args:
        model: with its weights loaded, as `load_onnx` returns it.
    """
    weighed = {name for node in nodes(model) if node.op_type in _WEIGHED for name in node.input}
    return tuple(name for name, tensor in _constants(model) if _is_bad(tensor, name in weighed))


def require_finite_weights(model: ModelProto) -> None:
    """Refuse a model whose weights were spoilt, in training or on the way.

    Raises:
        BrokenModel: a weight holds NaN or infinity, as `find_bad_weights` has it.
    """
    bad = find_bad_weights(model)
    if bad:
        others = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise BrokenModel(
            f"weight {bad[0]!r}{others} holds NaN or infinity, so the model's results mean nothing",
            subject=bad[0],
            remedy="Export the model again from a checkpoint whose weights are finite.",
        )


def _inner_graphs(nodes: Iterable[NodeProto]) -> Iterator[GraphProto]:
    for node in nodes:
        for graph in subgraphs(node):
            yield graph
            yield from _inner_graphs(graph.node)


def _dense(sparse: Iterable[SparseTensorProto]) -> Iterator[TensorProto]:
    for tensor in sparse:
        yield tensor.values
        yield tensor.indices


def _element_bits(tensor: TensorProto) -> int:
    try:
        kind = TensorProto.DataType.Name(tensor.data_type)
        return _SMALL_BITS.get(kind) or helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * 8
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenModel(f"tensor {tensor.name!r} has the unknown type {tensor.data_type}") from error


def _constants(model: ModelProto) -> Iterator[tuple[str, TensorProto]]:
    for graph in graphs(model):
        yield from ((tensor.name, tensor) for tensor in graph.initializer)
    for node in nodes(model):
        if node.op_type == "Constant":
            values = (item.t for item in node.attribute if item.HasField("t"))
            yield from zip(node.output, values, strict=False)


def _is_bad(tensor: TensorProto, is_weight: bool) -> bool:
    if tensor.data_type not in _FLOATS:
        return False
    values = weights.values(tensor)
    if all(np.isfinite(block).all() for block in weights.blocks(values)):
        return False
    return is_weight or any(np.isnan(block).any() for block in weights.blocks(values))
