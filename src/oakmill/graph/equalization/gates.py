"""Finds gates: what is computed of a value, number by number, and multiplied with it, as in x * sigmoid(x)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from oakmill.graph.rewriting import STANDARD_DOMAINS, CannotRewriteError, Scope, argument, attributes

Array = NDArray[Any]

FLOOR = -6.0
"""x * sigmoid(x) of less is 0 to -0.015: it needs no room. Measured on YOLOX-nano: -4 is a little worse."""
SATURATED = 8.0
"""From here on a gate is open or shut to 4e-4, an eighth of a step of its 8 bits."""
_BEYOND = 60.0
"""A value that lies as far out as any that counts."""
_NOTHING, _EVEN = 0.03, 1e-3
"""What a shut gate may let pass, and how much an open one may change behind where it is saturated."""
_LONGEST = 5
"""Nodes of a gate: x * clip(x + 3, 0, 6) / 6 has three."""


@dataclass(frozen=True)
class Gate:
    """A value's gate: the outputs of its first node and of the product; `closes`: whether it is shut below `FLOOR` and
    does not change beyond `SATURATED` on either side."""

    value: str
    first: str
    product: str
    closes: bool


def find(nodes: Mapping[str, NodeProto], readers: Mapping[str, list[NodeProto]], scope: Scope) -> list[Gate]:
    """All gates of a graph, by the makers and the readers of its tensors."""
    found = []
    for node in nodes.values():
        if node.op_type == "Mul" and len(node.input) == 2:
            for value, gate in (tuple(node.input), tuple(reversed(node.input))):
                if chain := _chain(value, gate, nodes, readers, scope):
                    first = chain[-1].output[0]
                    found.append(Gate(value, first, node.output[0], _closes(chain, value, scope)))
    return found


def _chain(
    value: str, gate: str, nodes: Mapping[str, NodeProto], readers: Mapping[str, list[NodeProto]], scope: Scope
) -> list[NodeProto]:
    """The nodes from a gate back to the value that it is computed of alone; empty where it is none."""
    chain: list[NodeProto] = []
    for _ in range(_LONGEST):
        node = nodes.get(gate)
        if node is None or node.domain not in STANDARD_DOMAINS or node.op_type not in _COMPUTED:
            return []
        if len(readers.get(gate, [])) != 1 or len(node.output) != 1:
            return []
        computed = [name for name in node.input if name and not scope.is_constant(name)]
        if len(computed) != 1:
            return []
        chain.append(node)
        if computed[0] == value:
            return chain
        gate = computed[0]
    return []


def _closes(chain: list[NodeProto], value: str, scope: Scope) -> bool:
    """Asked of the gate's own nodes, at single values."""
    points = np.array([-_BEYOND, FLOOR, -SATURATED, SATURATED, _BEYOND])
    try:
        far_below, floor, low, high, far_above = (_opened(chain, value, point, scope) for point in points)
    except CannotRewriteError:
        return False
    shut = max(abs(FLOOR * floor), abs(_BEYOND * far_below)) <= _NOTHING
    return bool(shut and abs(high - far_above) <= _EVEN and abs(low - far_below) <= _EVEN)


def _opened(chain: list[NodeProto], value: str, point: float, scope: Scope) -> float:
    """What a gate gives for one value, the farthest from nothing where its constants differ by channel."""
    known: dict[str, Array] = {value: np.array(point)}
    for node in reversed(chain):
        given = [known[name] if name in known else _constant(name, scope) for name in node.input]
        known[node.output[0]] = _COMPUTED[node.op_type](node, given)
    found = known[chain[0].output[0]].ravel()
    return float(found[np.abs(found).argmax()])


def _constant(name: str, scope: Scope) -> Array:
    return np.zeros(0) if not name else scope.constant(name).astype(np.float64)


def _clip(node: NodeProto, given: list[Array]) -> Array:
    known = attributes(node)
    low = given[1] if argument(node, 1) else known.get("min", -np.inf)
    high = given[2] if argument(node, 2) else known.get("max", np.inf)
    return np.minimum(np.maximum(given[0], low), high)


def _hard_sigmoid(node: NodeProto, given: list[Array]) -> Array:
    known = attributes(node)
    found: Array = np.clip(known.get("alpha", 0.2) * given[0] + known.get("beta", 0.5), 0.0, 1.0)
    return found


_COMPUTED: Mapping[str, Callable[[NodeProto, list[Array]], Array]] = {
    "Add": lambda node, given: given[0] + given[1],
    "Sub": lambda node, given: given[0] - given[1],
    "Mul": lambda node, given: given[0] * given[1],
    "Div": lambda node, given: given[0] / given[1],
    "Neg": lambda node, given: -given[0],
    "Sigmoid": lambda node, given: 1 / (1 + np.exp(-given[0])),
    "Tanh": lambda node, given: np.tanh(given[0]),
    "Softplus": lambda node, given: np.logaddexp(given[0], 0.0),
    "Erf": lambda node, given: np.vectorize(math.erf, otypes=[np.float64])(given[0]),
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
}
"""What may stand in a gate, each number by itself, and how it is computed (formulas of the ONNX operator reference)."""
