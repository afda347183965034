"""Folding constants by onnxruntime, and nothing else: every node that stays is the node that was there."""

from __future__ import annotations

import math

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto, numpy_helper

from oakmill.graph import equality
from oakmill.graph.rewriting import STANDARD_DOMAINS, Array, CannotRewriteError, Scope, constant_of
from oakmill.graph.skeleton import copy_of, infer_shapes
from oakmill.model import weights
from oakmill.model.pruning import drop_unread, reads
from oakmill.model.tensors import subgraphs

_DRAWN = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
_QUANTIZERS = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
"""They say in which numbers to compute, even where what they are given is constant."""
_LARGEST = 1 << 22
"""Elements of a folded tensor: 16 MB of float32, more than the anchors of any detector, while an Expand of a few
numbers may make gigabytes. What is larger is left to its node, unless it is made of a tensor as large."""


def fold_constants(model: ModelProto) -> ModelProto:
    """Put constants in the place of what constants and fixed shapes alone decide; a copy, if there is any.

    An output stays a node's.

    Raises:
        PreparationFailed: onnxruntime cannot compute a node; the message names it.
    """
    model = constants_as_initializers(model)
    shapes, nodes = _foldable(model)
    if not shapes and not nodes:
        return model
    gone = {*shapes, *(name for node in nodes for name in node.output)}
    kept = [node for node in model.graph.node if gone.isdisjoint(filter(None, node.output))]
    wanted = {name for node in kept for name in reads(node)}
    values = shapes | _values(model, shapes, nodes, wanted.intersection(gone - shapes.keys()))
    model = copy_of(model)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in values.items() if name in wanted
    )
    drop_unread(model.graph)
    return infer_shapes(model)


def constants_as_initializers(model: ModelProto) -> ModelProto:
    """Make an initializer of the same name of each Constant, but of those that are outputs; a copy, if there are any.

    What quantizes a graph looks for its weights there.
    """
    outputs = {value.name for value in model.graph.output}
    found = {
        node.output[0]: tensor
        for node in model.graph.node
        if node.output and node.output[0] not in outputs and (tensor := constant_of(node)) is not None
    }
    if not found:
        return model
    model = copy_of(model)
    kept = [node for node in model.graph.node if not node.output or node.output[0] not in found]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    for name, tensor in found.items():
        added = model.graph.initializer.add()
        added.CopyFrom(tensor)
        added.name = name
    model.ir_version = max(model.ir_version, 4)  # before, an initializer had to be an input too
    return model


def _foldable(model: ModelProto) -> tuple[dict[str, Array], list[NodeProto]]:
    """The shapes that are fixed, by name, and the nodes that depend on constants and those alone."""
    scope = Scope(model)
    outputs = {value.name for value in model.graph.output}
    inner = {tensor.name for tensor in model.graph.initializer if not weights.is_reference(tensor)}
    known = {"", *inner.difference(value.name for value in model.graph.input)}
    shapes: dict[str, Array] = {}
    nodes = []
    for node in model.graph.node:
        if outputs.intersection(node.output) or node.domain not in STANDARD_DOMAINS:
            continue
        if (shape := _fixed_shape(node, scope)) is not None:
            shapes[node.output[0]] = shape
        elif known.issuperset(node.input) and _is_pure(node) and not _is_large(node, scope):
            nodes.append(node)
        else:
            continue
        known.update(node.output)
    return shapes, nodes


def _is_pure(node: NodeProto) -> bool:
    return node.op_type not in _DRAWN | _QUANTIZERS and not any(subgraphs(node))


def _fixed_shape(node: NodeProto, scope: Scope) -> Array | None:
    """What a Shape or Size of a tensor of fixed shape gives."""
    if node.op_type not in ("Shape", "Size"):
        return None
    try:
        shape = scope.fixed_shape(node.input[0])
    except CannotRewriteError:
        return None
    if node.op_type == "Size":
        return np.array(math.prod(shape), np.int64)
    bounds = {item.name: item.i for item in node.attribute}
    return np.array(shape[bounds.get("start", 0) : bounds.get("end", len(shape))], np.int64)


def _is_large(node: NodeProto, scope: Scope) -> bool:
    """Whether a node makes more of its inputs than a file should hold; what has no known shape is small."""
    largest = max((scope.size(name) for name in node.input), default=0)
    return any(scope.size(name) > max(_LARGEST, largest) for name in node.output)


def _values(model: ModelProto, shapes: dict[str, Array], nodes: list[NodeProto], wanted: set[str]) -> dict[str, Array]:
    """The tensors in `wanted`, computed."""
    if not wanted:
        return {}
    used = {name for node in nodes for name in node.input}
    part = ModelProto(ir_version=model.ir_version)
    part.opset_import.extend(model.opset_import)
    part.graph.name = "constants"
    part.graph.node.extend(nodes)
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in used)
    part.graph.initializer.extend(numpy_helper.from_array(shape, name) for name, shape in shapes.items())
    part.graph.output.extend(ValueInfoProto(name=name) for name in sorted(wanted))
    return equality.run(infer_shapes(part), {})
