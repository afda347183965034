"""Checks that an ONNX graph hangs together: names, order and sizes, without running or inferring anything.

`onnx.checker` does more, but refuses real models: unknown operators are for the platform to judge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, defs

from oakmill.errors import BrokenModel, UnsupportedModel, UnsupportedOpset
from oakmill.model.tensors import byte_size, graphs, nodes, subgraphs, tensors

_STANDARD_DOMAINS = {"", "ai.onnx"}

# Where a tensor's values lie if not in raw_data (TensorProto in onnx.proto); all other types use int32_data.
_FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data",
    TensorProto.COMPLEX64: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.COMPLEX128: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
    TensorProto.STRING: "string_data",
}


def check_structure(model: ModelProto) -> None:
    """Check a model as it was read, its weights loaded or not.

    Raises:
        BrokenModel: no inputs or outputs; a name given twice or not text; a node that reads what no node
            before it computes; a tensor whose data does not fit its dimensions.
        UnsupportedOpset: the opset is missing, or newer than the installed onnx knows.
        UnsupportedModel: the same of the IR version.
    """
    _check_text(model)
    _check_versions(model)
    graph = model.graph
    inputs = graph_inputs(graph)
    if not inputs or not graph.output:
        raise BrokenModel(f"the model has no {'outputs' if inputs else 'inputs'}")
    _check_graph(graph, [])
    for function in model.functions:
        _check_nodes(function.node, [set(function.input)], f"function {function.name!r}")
    for tensor in tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            _check_data(tensor)


def graph_inputs(graph: GraphProto) -> tuple[onnx.ValueInfoProto, ...]:
    """The inputs of a graph; models before IR version 4 list the initializers among them, which are none."""
    constants = _initializer_names(graph)
    return tuple(value for value in graph.input if value.name not in constants)


def opset_of(model: ModelProto) -> int | None:
    """The version of the standard operators; None where the model states none."""
    versions = [item.version for item in model.opset_import if item.domain in _STANDARD_DOMAINS]
    if not versions and model.ir_version < 3:  # which had no field for it
        return 1
    return max(versions, default=None)


def _check_versions(model: ModelProto) -> None:
    opset, newest = opset_of(model), defs.onnx_opset_version()
    if not 1 <= model.ir_version <= onnx.IR_VERSION:
        message = f"the model is of ONNX IR version {model.ir_version}; known are 1 to {onnx.IR_VERSION}"
        raise UnsupportedModel(message, remedy="Export the model with an older version of ONNX.")
    if opset is None or not 1 <= opset <= newest:
        stated = "states no ONNX opset" if opset is None else f"is of opset {opset}; known are 1 to {newest}"
        raise UnsupportedOpset(f"the model {stated}", remedy="Export the model with opset 17 or lower.")


def _check_text(model: ModelProto) -> None:
    """Check that all names are text: protobuf hands out those that are not UTF-8 as bytes."""
    for name in _names(model):
        if not isinstance(name, str):
            raise BrokenModel(f"a name in the model is not UTF-8 text: {name!r}")


def _names(model: ModelProto) -> Iterator[str]:
    yield from (model.producer_name, model.producer_version)
    yield from (item.domain for item in model.opset_import)
    for graph in graphs(model):
        for value in (*graph.input, *graph.output, *graph.value_info):
            yield value.name
            yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for node in nodes(model):
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for tensor in tensors(model):
        yield tensor.name
        for entry in tensor.external_data:
            yield from (entry.key, entry.value)


def _initializer_names(graph: GraphProto) -> set[str]:
    return {item.name for item in graph.initializer} | {item.values.name for item in graph.sparse_initializer}


def _check_graph(graph: GraphProto, outer: list[set[str]]) -> None:
    """Check a graph; `outer` holds the names that the graphs around it have computed when it runs."""
    inputs = [value.name for value in graph.input]
    _require_unique(inputs, "input")
    _require_unique([item.name for item in graph.initializer], "initializer")
    _require_unique([value.name for value in graph.output], "output")
    scopes = [*outer, set(inputs) | _initializer_names(graph)]
    _check_nodes(graph.node, scopes, "the graph")
    for value in graph.output:
        if not _is_known(value.name, scopes):
            raise BrokenModel(f"output {value.name!r} is computed by no node", subject=value.name)


def _check_nodes(ordered: Iterable[NodeProto], scopes: list[set[str]], place: str) -> None:
    """Check that each node reads only what is known before it; what it computes enters the last scope."""
    for node in ordered:
        for name in node.input:
            if name and not _is_known(name, scopes):
                raise BrokenModel(
                    f"node {_label(node)} reads {name!r}, which nothing before it in {place} computes",
                    subject=node.name or name,
                    remedy="Export the model again; its nodes must come in the order in which they run.",
                )
        for inner in subgraphs(node):
            _check_graph(inner, scopes)
        for name in filter(None, node.output):
            if name in scopes[-1]:
                raise BrokenModel(f"node {_label(node)} computes {name!r}, which exists already", subject=name)
            scopes[-1].add(name)


def _is_known(name: str, scopes: list[set[str]]) -> bool:
    return any(name in scope for scope in reversed(scopes))


def _label(node: NodeProto) -> str:
    return f"{node.name!r} ({node.op_type})" if node.name else f"{node.op_type} -> {', '.join(node.output)}"


def _require_unique(names: list[str], kind: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BrokenModel(f"the model has two {kind}s of the name {name!r}", subject=name)
        seen.add(name)


def _check_data(tensor: TensorProto) -> None:
    """Check that a tensor held in the file has as many values as its dimensions say."""
    needed = byte_size(tensor)
    if tensor.HasField("raw_data"):
        stored, unit = len(tensor.raw_data), "bytes"
    else:
        stored, unit = len(getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))), "values"
        needed = _value_count(tensor)
    if stored != needed:
        raise BrokenModel(
            f"tensor {tensor.name!r} of shape {list(tensor.dims)} needs {needed} {unit}, but holds {stored}",
            subject=tensor.name,
        )


def _value_count(tensor: TensorProto) -> int:
    """How many entries a tensor has in its typed field: complex numbers take two, 4-bit ones share one."""
    count: int = math.prod(tensor.dims)
    if tensor.data_type in {TensorProto.COMPLEX64, TensorProto.COMPLEX128}:
        return 2 * count
    return min(count, byte_size(tensor)) if tensor.data_type != TensorProto.STRING else count
