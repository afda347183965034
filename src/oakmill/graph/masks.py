"""Attention's masks in finite numbers, for a compiler that cannot choose between -inf and a number.

OpenVINO 2022.2 makes NaN of a row of which nothing is left, and its comparison with -inf does not find it. Where such
a row is looked for, a very low number stands for -inf: of a score that low a softmax makes 0 as well.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto

from oakmill.graph.rewriting import STANDARD_DOMAINS, Array, Emitter, Scope, rewrite
from oakmill.graph.skeleton import copy_of, infer_shapes
from oakmill.model.pruning import reads

LOWEST = -32768.0
"""Half of what FP16 holds, so that a score that is added to it leaves nothing beyond that."""
_CASTS = ("Cast", "CastLike", "Identity")
_TELLING = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Softmax")
"""Operators behind which nothing is left of -inf itself."""


def with_finite_masks(model: ModelProto) -> ModelProto:
    """A copy in which `LOWEST` stands for -inf; the same model where no Softmax's rows are looked at by a
    Where, or where -inf may reach an output."""
    softmaxes = {node.output[0] for node in model.graph.node if node.op_type == "Softmax"}
    if not any(node.op_type == "Where" and softmaxes.intersection(node.input[1:]) for node in model.graph.node):
        return model
    result = copy_of(model)
    scope = Scope(result)
    if not any(_lowest(node, scope) for node in result.graph.node) or _reaches_an_output(result, scope):
        return model
    rewrite(result, {"Equal": _is_low}, scope)
    finite: dict[str, str] = {}
    for node in result.graph.node:
        for index in _lowest(node, scope):
            name = node.input[index]
            if name not in finite:
                values = np.maximum(scope.constant(name), LOWEST).astype(np.float32)
                finite[name] = scope.add_constant(values, f"{name}/finite")
            node.input[index] = finite[name]
    return infer_shapes(result)


def _is_low(node: NodeProto, emit: Emitter) -> None:
    """x == -inf: below half of that number, as other masks may be added to it."""
    for index, name in enumerate(node.input):
        if np.all(np.isneginf(_floats(_origin(name, emit.scope), emit.scope))):
            emit("Less", node.input[1 - index], LOWEST / 2, out=node.output[0])
            return


def _origin(name: str, scope: Scope) -> str:
    """What a tensor was before it was cast."""
    makers = {node.output[0]: node for node in scope.graph.node if node.op_type in _CASTS}
    while name in makers:
        name = makers[name].input[0]
    return name


def _lowest(node: NodeProto, scope: Scope) -> list[int]:
    """The places of a node's constants with -inf."""
    return [index for index, name in enumerate(node.input) if name and np.isneginf(_floats(name, scope)).any()]


def _floats(name: str, scope: Scope) -> Array:
    """A constant's numbers, 0 where it is none."""
    known = scope.is_constant(name) and scope.dtype(name) == np.float32
    return scope.constant(name) if known else np.zeros(1)


def _reaches_an_output(model: ModelProto, scope: Scope) -> bool:
    carried: set[str] = set()
    for node in model.graph.node:
        given = bool(_lowest(node, scope)) or not carried.isdisjoint(reads(node))
        if given and (node.op_type not in _TELLING or node.domain not in STANDARD_DOMAINS):
            carried.update(node.output)
    return not carried.isdisjoint(value.name for value in model.graph.output)
