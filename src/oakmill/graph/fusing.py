"""Finds the Gelu that exporters write as an Erf between arithmetic, and makes it one operator again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from onnx import ModelProto, helper

from oakmill.errors import UnsupportedOpset
from oakmill.graph.opset import raise_opset
from oakmill.graph.rewriting import CannotRewriteError, Scope
from oakmill.graph.skeleton import copy_of, infer_shapes, replace_nodes
from oakmill.model.pruning import reads

GELU_OPSET = 20
"""The opset in which Gelu became an operator."""
_NEAR = 1e-4
"""How far a constant may be from what it stands for, relative to it: exporters write sqrt 2 in 4 digits and more."""


def fuse_gelu(model: ModelProto) -> ModelProto:
    """A copy at opset 20 with Gelu in place of x / sqrt 2, Erf, + 1, times x and 1/2, in whatever order.

    The same model comes back where there is none, or where it cannot be brought to opset 20.
    """
    if not any(_found(model)):
        return model
    try:
        raised = raise_opset(model, GELU_OPSET)
    except UnsupportedOpset:
        return model
    result = copy_of(raised)
    nodes = list(result.graph.node)
    found = {item.nodes[-1]: item for item in _found(result)}
    dead = {place for item in found.values() for place in item.nodes}
    kept = []
    for place, node in enumerate(nodes):
        if place in found:
            name = nodes[found[place].nodes[0]].name or node.name
            kept.append(helper.make_node("Gelu", [found[place].x], [node.output[0]], name))
        elif place not in dead:
            kept.append(node)
    replace_nodes(result.graph, kept)
    return infer_shapes(result)


@dataclass(frozen=True)
class _Gelu:
    """What goes in, and the places of its nodes: first that of Erf, last that which makes the result."""

    x: str
    nodes: tuple[int, ...]


def _found(model: ModelProto) -> Iterator[_Gelu]:
    graph = _Graph(model)
    for place, node in enumerate(graph.nodes):
        if node.op_type == "Erf" and (found := graph.gelu(place)):
            yield found


class _Graph:
    """Nodes by what they make, and who alone reads what."""

    def __init__(self, model: ModelProto) -> None:
        self.nodes = list(model.graph.node)
        self._scope = Scope(model)
        self._outputs = {value.name for value in model.graph.output}
        self._makers = {name: place for place, node in enumerate(self.nodes) for name in node.output}
        self._readers: dict[str, list[int]] = {}
        for place, node in enumerate(self.nodes):
            for name in reads(node):  # a body's readings are its node's
                self._readers.setdefault(name, []).append(place)

    def gelu(self, erf: int) -> _Gelu | None:
        """The Gelu around an Erf, if it is one."""
        maker = self._makers.get(self.nodes[erf].input[0])
        x = self._scaled(maker, math.sqrt(0.5)) if maker is not None else ""
        if maker is None or not x or self._reader(self.nodes[maker].output[0]) != erf:
            return None
        add = self._reader(self.nodes[erf].output[0])
        if add is None or self.nodes[add].op_type != "Add" or not self._other(add, self.nodes[erf].output[0], 1.0):
            return None
        found, missing = [erf, maker, add], {"x", "half"}
        while missing:
            current = self.nodes[found[-1]].output[0]
            product = self._reader(current)
            if product is None or not (met := self._factors(product, current, x)) or not met <= missing:
                return None
            missing -= met
            found += [place for place in self._halves(product, x) if met == {"x", "half"}] + [product]
        return _Gelu(x, tuple(found))

    def _reader(self, name: str) -> int | None:
        """The place of the node that alone reads a tensor."""
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 and name not in self._outputs else None

    def _other(self, place: int, name: str, value: float) -> bool:
        """Whether a node's operand beside `name` is a constant of this value."""
        others = [other for other in self.nodes[place].input if other != name]
        return len(others) == 1 and self._is(others[0], value)

    def _is(self, name: str, value: float) -> bool:
        try:
            known = self._scope.constant(name)
        except CannotRewriteError:
            return False
        return known.size == 1 and abs(float(known.item()) - value) <= _NEAR * value

    def _scaled(self, place: int, factor: float) -> str:
        """What a node multiplies by a factor, or divides by its inverse; empty where it does not."""
        node = self.nodes[place]
        if node.op_type == "Div":
            return node.input[0] if self._is(node.input[1], 1 / factor) else ""
        if node.op_type == "Mul":
            return next((a for a, b in (node.input, reversed(node.input)) if self._is(b, factor)), "")
        return ""

    def _factors(self, place: int, name: str, x: str) -> set[str]:
        """What a node multiplies `name` by: x, 1/2, or both."""
        if self._scaled(place, 0.5) == name:
            return {"half"}
        others = [other for other in self.nodes[place].input if other != name]
        if self.nodes[place].op_type != "Mul" or len(others) != 1:
            return set()
        if others[0] == x:
            return {"x"}
        return {"x", "half"} if self._halves(place, x) else set()

    def _halves(self, place: int, x: str) -> list[int]:
        """The places of x / 2 that a node alone reads."""
        makers = [self._makers[name] for name in self.nodes[place].input if name in self._makers]
        return [
            maker
            for maker in makers
            if self._scaled(maker, 0.5) == x and self._reader(self.nodes[maker].output[0]) == place
        ]
