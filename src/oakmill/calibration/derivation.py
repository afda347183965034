"""Which tensors' values follow from other tensors', so that a calibration need not look at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]

MOVING = frozenset(
    {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "DepthToSpace", "SpaceToDepth"}
)
"""Operators whose output holds the values of their first input, each once."""


@dataclass(frozen=True)
class Part:
    """The values function(values of `root`), where `root` is a tensor that is measured."""

    root: str
    function: Function


Origin = tuple[Part, ...]
"""Where a tensor's values come from: it holds those of all parts."""


def origins(model: ModelProto, tensors: Sequence[str], *, monotone: bool) -> dict[str, Origin]:
    """For each of the tensors, which of them its values follow from; itself, where that is not known.

    Data movement keeps the values, a concatenation joins them, and an operator with one operand (also x * g(x),
    as SiLU and HardSwish are exported) maps them.

    Args:
        model: whose nodes are in topological order.
        tensors: names of tensors; nothing is derived from others.
        monotone: derive by monotone functions alone, which keep extremes, as is needed where nothing but the
            extremes is known.
    """
    wanted = set(tensors)
    producers = {name: node for node in model.graph.node for name in node.output}
    found: dict[str, Origin] = {name: itself(name) for name in tensors if name not in producers}
    for node in model.graph.node:
        for name in node.output:
            if name in wanted:
                derived = _derived(node, found, producers, monotone) if len(node.output) == 1 else None
                found[name] = derived or itself(name)
    return {name: found[name] for name in tensors}


def itself(name: str) -> Origin:
    """That of a tensor of which nothing else is known."""
    return (Part(name, _same),)


def _derived(
    node: NodeProto, found: Mapping[str, Origin], producers: Mapping[str, NodeProto], monotone: bool
) -> Origin | None:
    """The origin of a node's output, if those of its operands are known."""
    if node.op_type == "Concat":
        parts = [found.get(name) for name in node.input]
        return tuple(part for origin in parts if origin for part in origin) if all(parts) else None
    if node.op_type == "Mul":
        return None if monotone else _gated(node, found, producers)
    origin = found.get(node.input[0]) if node.input else None
    function = _same if node.op_type in MOVING else _function(node, monotone)
    return tuple(Part(part.root, _after(function, part.function)) for part in origin) if origin and function else None


def _gated(node: NodeProto, found: Mapping[str, Origin], producers: Mapping[str, NodeProto]) -> Origin | None:
    """The origin of x * g(x), where g is an operator with one operand."""
    for value, gate in (tuple(node.input), tuple(reversed(node.input))):
        producer = producers.get(gate)
        function = _function(producer, False) if producer is not None and producer.input[:1] == [value] else None
        if function and value in found:
            return tuple(Part(part.root, _after(partial(_times, function), part.function)) for part in found[value])
    return None


def _function(node: NodeProto, monotone: bool) -> Function | None:
    """What a node with one operand computes, as its operator's text in the ONNX specification has it."""
    if node.domain not in ("", "ai.onnx"):
        return None
    given = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    if monotone and (node.op_type == "HardSwish" or given.get("alpha", 1.0) < 0):
        return None
    functions: dict[str, Function] = {
        "Relu": partial(_leaky, 0.0),
        "LeakyRelu": partial(_leaky, given.get("alpha", 0.01)),
        "Sigmoid": _sigmoid,
        "Tanh": np.tanh,
        "HardSigmoid": partial(_hard_sigmoid, given.get("alpha", 0.2), given.get("beta", 0.5)),
        "HardSwish": partial(_times, partial(_hard_sigmoid, 1 / 6, 0.5)),
    }
    return functions.get(node.op_type)


def _same(x: Floats) -> Floats:
    return x


def _after(outer: Function, inner: Function) -> Function:
    return outer if inner is _same else inner if outer is _same else lambda x: outer(inner(x))


def _times(function: Function, x: Floats) -> Floats:
    return x * function(x)


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))


def _leaky(alpha: float, x: Floats) -> Floats:
    return np.where(x < 0, alpha * x + 0.0, x)


def _hard_sigmoid(alpha: float, beta: float, x: Floats) -> Floats:
    return np.clip(alpha * x + beta, 0, 1)
