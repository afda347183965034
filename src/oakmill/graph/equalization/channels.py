"""Finds which channels of a graph's activations can have a scale of their own, which weights take in and give back.

A convolution can give each of its channels divided by a scale, and the convolutions that read them can multiply them
back: in their weights, for nothing. Between the two, what only moves, joins or adds values, and what is homogeneous
(Relu, PRelu, pools, Resize), keeps the scales. A gate, as in x * sigmoid(x), takes its values unscaled, by one
multiplication; the product has the scales again. Wherever else a scaled value is read, its scale has to be 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto

from oakmill.graph.equalization.gates import find
from oakmill.graph.equalization.variables import ONE, Channels, Seen, Tracked, Unions
from oakmill.graph.rewriting import STANDARD_DOMAINS, CannotRewriteError, Scope, argument, attributes
from oakmill.graph.skeleton import all_graphs, copy_of

_MAKERS = frozenset({"Conv", "ConvTranspose", "Gemm"})
"""What gives scaled channels of whatever it reads; all others have a say only where they read some."""
_SAME = frozenset({"Identity", "Dropout"})
_SPATIAL = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Upsample"})
_HOMOGENEOUS = frozenset({"Relu", "LeakyRelu", "PRelu"})


def channels(model: ModelProto) -> Channels:
    """What of a float graph with fixed shapes can be scaled; nothing where it has graphs within it."""
    if sum(1 for _ in all_graphs(model.graph)) > 1:
        return Channels()
    return _Tracker(model).run()


class _Tracker:
    """One pass over the graph in its order."""

    def __init__(self, model: ModelProto) -> None:
        self._graph = model.graph
        self._scope = Scope(copy_of(model))  # which writes down shapes
        self._unions = Unions()
        self._found = Channels()
        self._readers: dict[str, list[NodeProto]] = {}
        self._makers = {name: node for node in model.graph.node for name in node.output}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        gates = find(self._makers, self._readers, self._scope)
        self._gates = {item.first: item.value for item in gates}
        self._closing = {item.first: item.product for item in gates if item.closes}
        self._handlers = self._table()

    def _table(self) -> dict[str, Callable[[NodeProto], bool]]:
        return {
            "Conv": self._conv,
            "ConvTranspose": self._conv,
            "Gemm": self._gemm,
            "MatMul": self._matmul,
            "Add": self._add,
            "Sum": self._add,
            "Mul": self._mul,
            "Div": self._div,
            "Concat": self._concat,
            "Split": self._split,
            "Slice": self._slice,
            "Transpose": self._transpose,
            "Reshape": self._reshape,
            "Flatten": self._reshape,
            "Squeeze": self._reshape,
            "Unsqueeze": self._reshape,
            "ReduceMean": self._mean,
            "Pad": self._pad,
            **dict.fromkeys(_SAME | _SPATIAL, self._keep),
            **dict.fromkeys(_HOMOGENEOUS, self._homogeneous),
        }

    def run(self) -> Channels:
        for node in self._graph.node:
            handler = self._handlers.get(node.op_type) if node.domain in STANDARD_DOMAINS else None
            scaled = any(name in self._found.tensors for name in node.input)
            if (node.output and node.output[0] in self._gates) or not (scaled or node.op_type in _MAKERS):
                continue
            if not (handler and self._handled(handler, node)):
                self._freeze(node.input)
        self._freeze(value.name for value in self._graph.output)
        found, roots = self._found, self._unions.roots
        found.tensors = {name: Tracked(item.axis, roots(item.ids)) for name, item in found.tensors.items()}
        found.variables = len(self._unions)
        found.gates = {output: name for output, name in self._gates.items() if name in found.tensors}
        found.closing = frozenset(self._closing)
        return found

    def _handled(self, handler: Callable[[NodeProto], bool], node: NodeProto) -> bool:
        try:
            return handler(node)
        except (CannotRewriteError, ArithmeticError, LookupError):  # something is not known, or another input is scaled
            return False

    def _freeze(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._found.tensors:
                for item in self._found.tensors[name].ids:
                    self._unions.join(int(item), ONE)

    # --- those that give and take scales

    def _conv(self, node: NodeProto) -> bool:
        if not self._constants(node.input[1:]):
            return False
        axis, out = 1, node.output[0]
        if node.input[0] in self._found.tensors:
            if self._found.tensors[node.input[0]].axis != axis:
                return False
            self._found.takers.append(out)
        shape = self._scope.fixed_shape(node.input[1])
        groups = int(attributes(node).get("group", 1))
        self._make(node, axis, shape[0] if node.op_type == "Conv" else shape[1] * groups)
        return True

    def _gemm(self, node: NodeProto) -> bool:
        known = attributes(node)
        if known.get("transA") or not self._constants(node.input[1:]):
            return False
        size = self._scope.fixed_shape(node.input[1])[0 if known.get("transB") else 1]
        bias = argument(node, 2)
        if bias and self._scope.fixed_shape(bias)[-1:] != (size,):
            return False
        if node.input[0] in self._found.tensors:
            if self._found.tensors[node.input[0]].axis != 1:
                return False
            self._found.takers.append(node.output[0])
        self._make(node, 1, size)
        return True

    def _matmul(self, node: NodeProto) -> bool:
        """One whose right side is constant takes scales of its last axis."""
        left = self._found.tensors[node.input[0]]
        if not self._constants(node.input[1:]) or len(self._scope.fixed_shape(node.input[1])) != 2:
            return False
        if left.axis != len(self._scope.fixed_shape(node.input[0])) - 1:
            return False
        self._found.takers.append(node.output[0])
        return True

    def _constants(self, names: Sequence[str]) -> bool:
        return all(self._scope.is_constant(name) for name in names if name)

    def _make(self, node: NodeProto, axis: int, count: int) -> None:
        out = node.output[0]
        self._found.makers.append(out)
        self._found.tensors[out] = Tracked(axis, self._unions.fresh(count))
        self._found.seen[out] = Seen(out, self._part(out))

    def _part(self, name: str) -> str:
        """What of a tensor counts: what is below zero is cut off, or made nearly nothing, by all that read it."""
        readers = self._readers.get(name, [])
        if readers and all(node.op_type == "Relu" for node in readers):
            return "positive"
        firsts = {first for first in self._closing if self._gates[first] == name}
        closing = firsts | {self._closing[first] for first in firsts}
        return "gated" if firsts and all(node.output[0] in closing for node in readers) else "all"

    # --- those that keep scales

    def _keep(self, node: NodeProto) -> bool:
        """One output, of the same channels and about the same values."""
        item = self._found.tensors[node.input[0]]
        if node.op_type in _SPATIAL and item.axis != 1:
            return False
        if node.op_type in ("Resize", "Upsample") and not self._same_channels(node, item):
            return False
        if node.op_type == "MaxPool" and len(node.output) > 1:
            return False
        return self._same(node, item)

    def _same(self, node: NodeProto, item: Tracked) -> bool:
        self._found.tensors[node.output[0]] = item
        self._share(node.output[0], node.input[0])
        return True

    def _same_channels(self, node: NodeProto, item: Tracked) -> bool:
        before, after = self._scope.fixed_shape(node.input[0]), self._scope.fixed_shape(node.output[0])
        return before[item.axis] == after[item.axis]

    def _homogeneous(self, node: NodeProto) -> bool:
        item = self._found.tensors[node.input[0]]
        if node.op_type == "PRelu" and not self._constants(node.input[1:]):
            return False
        self._found.tensors[node.output[0]] = item
        known = self._found.seen.get(node.input[0])
        part = "positive" if node.op_type == "Relu" else "all"
        self._found.seen[node.output[0]] = Seen(known.tensor if known else node.output[0], part)
        return True

    def _mean(self, node: NodeProto) -> bool:
        item = self._found.tensors[node.input[0]]
        before = self._scope.fixed_shape(node.input[0])
        after = self._scope.fixed_shape(node.output[0])
        same = len(before) > item.axis < len(after) and before[: item.axis + 1] == after[: item.axis + 1]
        return bool(same and self._same(node, item))

    def _pad(self, node: NodeProto) -> bool:
        """By zeros, or by what stands at the edges."""
        item = self._found.tensors[node.input[0]]
        known = attributes(node)
        value = argument(node, 2)
        filled = float(self._scope.constant(value).item()) if value else float(known.get("value", 0.0))
        if known.get("mode", "constant") == "constant" and filled != 0:
            return False
        return self._same_channels(node, item) and self._same(node, item)

    def _transpose(self, node: NodeProto) -> bool:
        item = self._found.tensors[node.input[0]]
        rank = len(self._scope.shape(node.input[0]))
        order = list(attributes(node).get("perm", range(rank)[::-1]))
        return self._same(node, Tracked(order.index(item.axis), item.ids))

    def _reshape(self, node: NodeProto) -> bool:
        """One that keeps the channels' axis, or joins it with those behind it."""
        item = self._found.tensors[node.input[0]]
        before, after = self._scope.fixed_shape(node.input[0]), self._scope.fixed_shape(node.output[0])
        if before[: item.axis] != after[: item.axis] or len(after) <= item.axis:
            return False
        repeated, left = divmod(after[item.axis], before[item.axis])
        inner = int(np.prod(before[item.axis + 1 :]))
        if left or repeated not in (1, inner):
            return False
        return self._same(node, Tracked(item.axis, np.repeat(item.ids, repeated)))

    def _add(self, node: NodeProto) -> bool:
        items = [self._found.tensors.get(name) for name in node.input]
        first = items[0]
        shapes = {self._scope.fixed_shape(name) for name in (*node.input, node.output[0])}
        if first is None or len(shapes) != 1 or not all(item and item.axis == first.axis for item in items):
            return False
        for item in items[1:]:
            assert item is not None
            for one, other in zip(first.ids, item.ids, strict=True):
                self._unions.join(int(one), int(other))
        self._own(node.output[0], first)
        return True

    def _own(self, name: str, item: Tracked) -> None:
        self._found.tensors[name] = item
        self._found.seen[name] = Seen(name, self._part(name))

    def _mul(self, node: NodeProto) -> bool:
        """By a constant, by what has no scales, or by the value's own gate."""
        items = [self._found.tensors.get(name) for name in node.input]
        if sum(item is not None for item in items) != 1:
            return False
        place = 0 if items[0] else 1
        value = node.input[place]
        item = items[place]
        assert item is not None
        if self._scope.fixed_shape(node.output[0]) != self._scope.fixed_shape(value):
            return False
        self._found.tensors[node.output[0]] = item
        gated = node.output[0] in self._closing.values()
        known = self._found.seen.get(value)
        self._found.seen[node.output[0]] = Seen(known.tensor, "gated") if gated and known else Seen(node.output[0])
        return True

    def _div(self, node: NodeProto) -> bool:
        return node.input[1] not in self._found.tensors and self._mul(node)

    def _concat(self, node: NodeProto) -> bool:
        items = [self._found.tensors.get(name) for name in node.input]
        known = [item for item in items if item is not None]
        if len(known) != len(items) or len({item.axis for item in known}) != 1:
            return False
        axis = self._positive(node.input[0], int(attributes(node)["axis"]))
        if axis != known[0].axis:
            return False
        self._found.tensors[node.output[0]] = Tracked(axis, np.concatenate([item.ids for item in known]))
        for name in node.input:
            self._share(name, node.output[0])
        return True

    def _share(self, one: str, other: str) -> None:
        """Both have one range."""
        one, other = self._found.range_of(one), self._found.range_of(other)
        self._found.alike[one] = other
        self._found.alike.setdefault(other, other)

    def _split(self, node: NodeProto) -> bool:
        item = self._found.tensors[node.input[0]]
        if self._positive(node.input[0], int(attributes(node).get("axis", 0))) != item.axis:
            return False
        start = 0
        for name in node.output:
            size = self._scope.fixed_shape(name)[item.axis]
            self._found.tensors[name] = Tracked(item.axis, item.ids[start : start + size])
            self._share(name, node.input[0])
            start += size
        return True

    def _positive(self, name: str, axis: int) -> int:
        return axis + len(self._scope.shape(name)) if axis < 0 else axis

    def _slice(self, node: NodeProto) -> bool:
        item = self._found.tensors[node.input[0]]
        if len(node.input) < 4:
            return False
        size = self._scope.fixed_shape(node.input[0])[item.axis]
        starts, ends, axes = (self._scope.constant(name).ravel().tolist() for name in node.input[1:4])
        steps = self._scope.constant(node.input[4]).ravel().tolist() if argument(node, 4) else [1] * len(starts)
        ids = item.ids
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            if self._positive(node.input[0], axis) == item.axis:
                ids = item.ids[slice(*_bounds(start, end, step, size))]
        return self._same(node, Tracked(item.axis, ids))


def _bounds(start: int, end: int, step: int, size: int) -> tuple[int, int | None, int]:
    """A Slice's bounds as Python has them; Python knows an end before the first element by None alone."""
    start, end, step = slice(start, end, step).indices(size)
    return start, None if step < 0 and end < 0 else end, step


def measured(found: Channels) -> Mapping[str, int]:
    """The tensors whose channels are to be measured, with the channels' axis."""
    wanted = {item.tensor for name, item in found.seen.items() if (found.tensors[name].ids != ONE).any()}
    return {name: found.tensors[name].axis for name in sorted(wanted)}
