"""The graph without its large weights: all that shape inference needs, at a hundredth of the memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from onnx import GraphProto, ModelProto, NodeProto, TypeProto, ValueInfoProto, helper

from oakmill.model.inference import inferred
from oakmill.model.tensors import subgraphs

LARGE = 1024  # elements; smaller constants may be shapes, and inference reads those


def source_inputs(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs that a caller feeds, in order: those that no initializer stands behind."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def opset_version(model: ModelProto) -> int:
    """The version of the default domain's operators that the model is written in."""
    return next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 1)


def all_graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and all graphs within it."""
    yield graph
    for node in graph.node:
        for inner in subgraphs(node):
            yield from all_graphs(inner)


def dimensions(tensor: TypeProto.Tensor) -> tuple[int | None, ...] | None:
    """A tensor's shape with None for each open dimension; None where not even the rank is known."""
    if not tensor.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim)


def freeze(model: ModelProto) -> ModelProto:
    """Take the initializers off the list of inputs, where old exporters put them; in place.

    From IR version 4 on, an initializer that is no input is a constant; before, each had to be an input.
    """
    inputs = source_inputs(model)
    if len(inputs) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        model.ir_version = max(model.ir_version, 4)
    return model


def replace_nodes(graph: GraphProto, nodes: Iterable[NodeProto]) -> None:
    """Make these a graph's nodes, in this order; in place. They may be its own: copies are taken first."""
    kept = []
    for node in nodes:
        kept.append(NodeProto())
        kept[-1].CopyFrom(node)
    del graph.node[:]
    graph.node.extend(kept)


def in_order(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """Nodes in an order that they can be computed in; those that wait for one another in a circle are left out.

    onnxruntime takes any order, and its converters leave some; onnx's shape inference does not.
    """
    makers = {name for node in nodes for name in node.output}
    readers: dict[str, list[int]] = {}
    missing: list[int] = []
    for index, node in enumerate(nodes):
        wanted = {name for name in node.input if name in makers}
        missing.append(len(wanted))
        for name in wanted:
            readers.setdefault(name, []).append(index)
    ready = deque(index for index, count in enumerate(missing) if not count)
    ordered: list[NodeProto] = []
    while ready:
        ordered.append(nodes[ready.popleft()])
        for index in (index for name in ordered[-1].output for index in readers.pop(name, ())):
            missing[index] -= 1
            if not missing[index]:
                ready.append(index)
    return ordered


def copy_of(model: ModelProto) -> ModelProto:
    """A copy of the whole model, weights and all."""
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def skeleton(model: ModelProto) -> ModelProto:
    """A copy of `model` in which weights of `LARGE` elements and more are inputs of the same name and type."""
    graph = model.graph
    bare = ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    bare.functions.extend(model.functions)
    for field in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(bare.graph, field).extend(getattr(graph, field))
    bare.graph.name = graph.name or "graph"
    listed = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if math.prod(tensor.dims) < LARGE:
            bare.graph.initializer.append(tensor)
        elif tensor.name not in listed:
            bare.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return bare


def infer_shapes(model: ModelProto, *, strict: bool = False) -> ModelProto:
    """Infer the types and shapes of all tensors anew, forgetting what the exporter wrote down; in place.

    Where inference stays ignorant (an operator that onnx does not know), an output keeps its shape and an inner
    tensor its type.

    Raises:
        onnx.shape_inference.InferenceError: with `strict`, the shapes contradict the graph.
    """
    bare = skeleton(model)
    del bare.graph.value_info[:]
    for value in bare.graph.output:
        value.type.tensor_type.ClearField("shape")
    found = inferred(bare, strict=strict).graph
    known = {value.name: value for value in found.value_info}
    for value in model.graph.value_info:
        if value.name not in known and value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
            known[value.name] = value
    del model.graph.value_info[:]
    model.graph.value_info.extend(known.values())
    for value, other in zip(model.graph.output, found.output, strict=True):
        if other.type.tensor_type.HasField("shape"):
            value.type.CopyFrom(other.type)
    return model
