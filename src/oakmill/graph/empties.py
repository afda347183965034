"""Takes parts without elements out of Splits and Concats: no compiler has a tensor of size 0, and nothing is lost.

Rotary embeddings that turn whole heads are written so: a Split into what is turned and the rest, which is empty, and a
Concat of both.
"""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TypeProto, helper

from oakmill.graph.rewriting import STANDARD_DOMAINS, Scope, argument, attributes, set_attributes
from oakmill.graph.skeleton import copy_of, infer_shapes, replace_nodes
from oakmill.model.pruning import drop_unneeded, reads

_SIZES_BY_INPUT = 13
"""The opset from which a Split's sizes are an input."""


def without_empty_parts(model: ModelProto) -> ModelProto:
    """A copy without empty tensors among what Concats join and Splits give; the same model where there are none.

    An empty tensor that anything else reads stays, and its Split with it.
    """
    typed = infer_shapes(copy_of(model))
    empty = {value.name for value in typed.graph.value_info if _is_empty(value.type.tensor_type)}
    empty |= {tensor.name for tensor in model.graph.initializer if 0 in tensor.dims}
    joined = {name for node in model.graph.node if _is(node, "Concat") for name in node.input if name in empty}
    split = {name for node in model.graph.node if _is(node, "Split") for name in node.output if name in empty}
    if not joined and not split:
        return model
    for node in typed.graph.node:
        if _is(node, "Concat") and not empty.issuperset(node.input):
            node.input[:] = [name for name in node.input if name not in empty]
    drop_unneeded(typed.graph)
    kept = {name for node in typed.graph.node for name in reads(node)} | {item.name for item in typed.graph.output}
    scope = Scope(typed)
    for node in typed.graph.node:
        if _is(node, "Split") and (gone := (empty - kept).intersection(node.output)):
            _without(node, gone, scope)
    _pass_on(typed.graph)
    return infer_shapes(typed)


def _is(node: NodeProto, op: str) -> bool:
    return node.op_type == op and node.domain in STANDARD_DOMAINS


def _is_empty(kind: TypeProto.Tensor) -> bool:
    return any(dim.HasField("dim_value") and dim.dim_value == 0 for dim in kind.shape.dim)


def _without(node: NodeProto, gone: set[str], scope: Scope) -> None:
    """A Split that does not give these parts, whose sizes are 0."""
    sizes = list(attributes(node).get("split") or ())
    if argument(node, 1) and scope.is_constant(node.input[1]):
        sizes = scope.constant(node.input[1]).tolist()
    if len(sizes) != len(node.output):
        return
    parts = [(name, size) for name, size in zip(node.output, sizes, strict=True) if name not in gone]
    node.output[:] = [name for name, _ in parts]
    wanted = [size for _, size in parts]
    if scope.opset < _SIZES_BY_INPUT:
        set_attributes(node, split=wanted)
    else:
        node.input[1] = scope.add_constant(np.array(wanted, np.int64), f"{node.input[1]}/parts")


def _pass_on(graph: GraphProto) -> None:
    """Let what reads a Split into one part, or a Concat of one, read what that reads; an output stays a node's."""
    outputs = {value.name for value in graph.output}
    inner = {name for node in graph.node for name in reads(node)} - {name for node in graph.node for name in node.input}
    instead: dict[str, str] = {}
    nodes: list[NodeProto] = []
    for node in graph.node:
        node.input[:] = [instead.get(name, name) for name in node.input]
        alone = (_is(node, "Split") and len(node.output) == 1) or (_is(node, "Concat") and len(node.input) == 1)
        if alone and node.output[0] not in outputs | inner:
            instead[node.output[0]] = node.input[0]
        elif alone:
            nodes.append(helper.make_node("Identity", node.input[:1], node.output, node.name))
        else:
            nodes.append(node)
    replace_nodes(graph, nodes)
