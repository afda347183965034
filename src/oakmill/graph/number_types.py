"""Writes a graph in the number types that a processor has: floats of 32 bits, integers of 32 bits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.graph.rewriting import Scope
from oakmill.graph.skeleton import all_graphs, copy_of, infer_shapes, replace_nodes, source_inputs
from oakmill.model import weights
from oakmill.model.pruning import reads
from oakmill.model.tensors import subgraphs

Kind = int

_FLOATS = {TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
_INTEGERS = {
    TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16, TensorProto.UINT32, TensorProto.UINT64,
}  # fmt: skip
_TYPED = ("to", "dtype")
"""Attributes that are a type."""
_MOVES = {
    "Concat", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
    "Unsqueeze",
}  # fmt: skip


def in_float32(model: ModelProto) -> ModelProto:
    """A copy that computes in float32 wherever the model does in float16, bfloat16 or float64.

    Weights, inputs and outputs too; those that stay in files come into memory. The same model comes back where it has
    none of these.
    """
    return _in(model, dict.fromkeys(_FLOATS, TensorProto.FLOAT))


def in_int32(model: ModelProto) -> ModelProto:
    """A copy that computes in int32 wherever the model does in integers of 8 or 16 bits, or without a sign.

    An input of uint8 becomes one of float32, as pixels are; where it is computed with before it is cast, it is cast
    first. Values beyond int32, and overflows that a model counts on, are others afterwards. int64 stays, which ONNX
    wants for shapes and indices. The same model comes back where it has none of these, or where it is quantized.
    """
    if any("Linear" in node.op_type or "Integer" in node.op_type for node in _nodes(model)):
        return model
    pixels = {item.name for item in source_inputs(model) if item.type.tensor_type.elem_type == TensorProto.UINT8}
    changed = _in(model, dict.fromkeys(_INTEGERS, TensorProto.INT32))
    if not pixels:
        return changed
    for value in changed.graph.input:
        if value.name in pixels:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    _cast_where_computed(changed, pixels)
    return infer_shapes(changed)


def _in(model: ModelProto, types: Mapping[Kind, Kind]) -> ModelProto:
    if types.keys().isdisjoint(_types(model)):
        return model
    model = copy_of(model)
    for graph in all_graphs(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            kind = value.type.tensor_type
            if kind.elem_type:
                kind.elem_type = types.get(kind.elem_type, kind.elem_type)
        for tensor in graph.initializer:
            _convert(tensor, types)
    for node in _nodes(model):
        for item in node.attribute:
            if item.name in _TYPED:
                item.i = types.get(item.i, item.i)
            elif item.HasField("t"):
                _convert(item.t, types)
    return infer_shapes(model)


def _nodes(model: ModelProto) -> Iterator[NodeProto]:
    for graph in all_graphs(model.graph):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def _types(model: ModelProto) -> set[Kind]:
    """All types that a model names."""
    found: set[Kind] = set()
    for graph in all_graphs(model.graph):
        found.update(value.type.tensor_type.elem_type for value in (*graph.input, *graph.output))
        found.update(tensor.data_type for tensor in graph.initializer)
    for node in _nodes(model):
        found.update(item.i for item in node.attribute if item.name in _TYPED)
        found.update(item.t.data_type for item in node.attribute if item.HasField("t"))
    return found


def _convert(tensor: TensorProto, types: Mapping[Kind, Kind]) -> None:
    """Write a constant's values in another type; in place."""
    if tensor.data_type not in types:
        return
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(types[tensor.data_type]))
    found = np.empty(tuple(tensor.dims), dtype)
    given = weights.values(tensor)
    for target, block in zip(weights.blocks(found), weights.blocks(given), strict=True):
        target[...] = block.astype(dtype)
    tensor.CopyFrom(numpy_helper.from_array(found, tensor.name))


def _cast_where_computed(model: ModelProto, pixels: Collection[str]) -> None:
    """Put a Cast to int32 between pixels, moved or not, and what neither moves nor casts them; in place."""
    scope = Scope(model)
    floats, whole = set(pixels), dict[str, str]()
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        read = [name for name in dict.fromkeys(reads(node)) if name in floats]
        if read and node.op_type in _MOVES and _all_moved(node, floats):
            floats.update(node.output[:1] if node.op_type == "MaxPool" else node.output)  # its second are indices
        elif node.op_type != "Cast":
            for name in read:
                if name not in whole:
                    whole[name] = scope.fresh(f"{name}/whole")
                    nodes.append(helper.make_node("Cast", [name], [whole[name]], whole[name], to=TensorProto.INT32))
            _rename(node, whole)
        nodes.append(node)
    replace_nodes(model.graph, nodes)
    for value in model.graph.output:
        if value.name in floats:
            value.type.tensor_type.elem_type = TensorProto.FLOAT


def _rename(node: NodeProto, names: Mapping[str, str]) -> None:
    """Let a node read other tensors, within its bodies too; in place."""
    node.input[:] = [names.get(name, name) for name in node.input]
    for graph in subgraphs(node):
        for value in graph.output:
            value.name = names.get(value.name, value.name)
        for inner in graph.node:
            _rename(inner, names)


def _all_moved(node: NodeProto, floats: Collection[str]) -> bool:
    moved = node.input if node.op_type == "Concat" else node.input[:1]
    return all(name in floats for name in moved)
