"""Finds variances that exporters write as mean(x^2) - mean(x)^2, and writes them as mean((x - mean(x))^2).

The first is the small difference of large numbers: of features about 30 +- 0.5 both are 900, where FP16 counts by
halves and 8 bits by threes. The second is the same by algebra, and loses nothing. Flax writes its norms as the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from onnx import ModelProto, NodeProto

from oakmill.graph.rewriting import (
    STANDARD_DOMAINS,
    Emitter,
    Scope,
    or_leave,
    reduced_axes,
    rewrite,
)
from oakmill.graph.skeleton import copy_of, infer_shapes
from oakmill.model.pruning import drop_unneeded

_NEAR = 1e-4
"""How far a factor may be from one by the count, relative to it."""
_SUMS = ("ReduceSum", "ReduceSumSquare")

Makers = Mapping[str, NodeProto]


@dataclass(frozen=True)
class _Mean:
    """Of a tensor, or of its square, over axes that count from the front and stay, or go, as dimensions of size 1."""

    of: str
    axes: tuple[int, ...]
    stay: bool
    squares: bool = False


def centre_variances(model: ModelProto) -> ModelProto:
    """A copy in which each mean(x^2) - mean(x)^2 is mean((x - mean(x))^2); the same model where there is none.

    Means are ReduceMean, GlobalAveragePool, or a sum by the count; squares are x * x, or x to the power of 2.
    """
    if not any(node.op_type == "Sub" for node in model.graph.node):
        return model
    result = copy_of(model)
    makers = {name: node for node in model.graph.node if node.domain in STANDARD_DOMAINS for name in node.output}
    rewrite(result, {"Sub": or_leave(partial(_centre, makers))}, Scope(result))
    if len(result.graph.node) == len(model.graph.node):
        return model
    drop_unneeded(result.graph)
    return infer_shapes(result)


def _centre(makers: Makers, node: NodeProto, emit: Emitter) -> None:
    root = _root(node.input[1], makers, emit.scope)
    whole = _mean(node.input[0], makers, emit.scope)
    mean = _mean(root, makers, emit.scope)
    if whole is None or mean is None or whole != replace(mean, squares=True):
        return
    off = emit("Sub", mean.of, emit.mean(mean.of, mean.axes))
    emit.mean(emit("Mul", off, off), mean.axes, out=node.output[0], stay=mean.stay)


def _root(name: str, makers: Makers, scope: Scope) -> str:
    """What a tensor is the square of, "" where it is none."""
    node = makers.get(name)
    if node is None or node.op_type not in ("Mul", "Pow"):
        return ""
    x, other = node.input
    squared = x == other if node.op_type == "Mul" else _is(other, 2.0, scope)
    return x if squared else ""


def _mean(name: str, makers: Makers, scope: Scope) -> _Mean | None:
    """The mean that a tensor is, None where it is none."""
    node = makers.get(name)
    if node is None:
        return None
    if node.op_type == "GlobalAveragePool":
        return _of(node.input[0], tuple(range(2, len(scope.shape(node.input[0])))), True, makers, scope)
    if node.op_type == "ReduceMean":
        return _reduced(node, makers, scope)
    if node.op_type not in ("Mul", "Div"):
        return None
    for total, factor in ((node.input[0], node.input[1]), (node.input[1], node.input[0])):
        mean = _total(total, makers, scope)
        if mean is not None:
            shape = scope.fixed_shape(mean.of)
            count = float(math.prod(shape[axis] for axis in mean.axes))
            return mean if _is(factor, count if node.op_type == "Div" else 1 / count, scope) else None
    return None


def _total(name: str, makers: Makers, scope: Scope) -> _Mean | None:
    """The mean of which a tensor is the sum, None where it is none."""
    node = makers.get(name)
    return _reduced(node, makers, scope) if node is not None and node.op_type in _SUMS else None


def _reduced(node: NodeProto, makers: Makers, scope: Scope) -> _Mean:
    """A reduction as a mean, whatever it makes of the sum."""
    axes, stay = reduced_axes(node, scope)
    if node.op_type == "ReduceSumSquare":
        return _Mean(node.input[0], tuple(axes), stay, squares=True)
    return _of(node.input[0], tuple(axes), stay, makers, scope)


def _of(x: str, axes: tuple[int, ...], stay: bool, makers: Makers, scope: Scope) -> _Mean:
    root = _root(x, makers, scope)
    return _Mean(root or x, axes, stay, squares=bool(root))


def _is(name: str, value: float, scope: Scope) -> bool:
    """Whether a tensor is a constant of this one value."""
    known = scope.constant(name) if scope.is_constant(name) else None
    return known is not None and known.size == 1 and abs(float(known.item()) - value) <= _NEAR * value
