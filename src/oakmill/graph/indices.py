"""Finds which whole numbers an input may hold: valid indices of what it selects from, or any where it only counts."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from oakmill.graph.skeleton import dimensions, source_inputs

Limits = tuple[int, int]
"""The first number that is valid, and the first that is no longer."""

SIGNED, UNSIGNED = (-8, 8), (0, 16)
"""For numbers that are only computed with: small, so that products of several stay exact in 32 bits."""
PIXELS = (0, 256)

_MOVES = {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze"}
_COMPUTES = {
    "Abs", "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul",
    "Neg", "Not", "Or", "Relu", "Sign", "Sub", "Sum", "Where", "Xor",
}  # fmt: skip
_SHAPES = {"Shape", "Size"}
_INDICES = {("Gather", 1), ("GatherElements", 1), ("ScatterElements", 1), ("RoiAlign", 2)}
"""Operators and the input by which they select from their first one, along an axis: RoiAlign an image of the batch."""
_FROM_THE_END = {"GatherElements"}
"""Of those, the ones that are tried with indices from the end too. ScatterElements is not: -1 and the last index are
one element then, and which of two values it keeps is nobody's promise."""
_DIVISORS = {("Div", 1), ("Mod", 1)}
_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}


class _Unknown(Exception):
    """It depends on something whose limits are not known."""


def limits(model: ModelProto) -> dict[str, Limits]:
    """The limits of each input of whole numbers where they are known; of others nothing is said.

    Args:
        model: with fixed shapes.
    """
    found = {}
    reading = _Reading(model)
    for value in source_inputs(model):
        kind = value.type.tensor_type.elem_type
        if kind in _FREE:
            try:
                found[value.name] = reading.of(value.name, _FREE[kind])
            except _Unknown:
                continue
    return found


_FREE: dict[int, Limits] = {
    **dict.fromkeys((TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64), SIGNED),
    **dict.fromkeys((TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64), UNSIGNED),
    TensorProto.UINT8: PIXELS,
    TensorProto.BOOL: (0, 2),
}


class _Reading:
    """The nodes that read each tensor of a model's main graph, and what is known of shapes and constants there."""

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        values = (*graph.input, *graph.value_info, *graph.output)
        self._shapes = {value.name: dimensions(value.type.tensor_type) for value in values}
        self._shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._constants[node.output[0]] = node.attribute[0].t
                self._shapes[node.output[0]] = tuple(node.attribute[0].t.dims)
        self._readers: dict[str, list[tuple[NodeProto, int]]] = {}
        for node in graph.node:
            for place, name in enumerate(node.input):
                self._readers.setdefault(name, []).append((node, place))
        self._inner = {name for node in graph.node for name in _read_inside(node)}

    def of(self, name: str, free: Limits) -> Limits:
        """The limits of an input: the narrowest of all that select by it, `free` where nothing does."""
        low, high = free
        selected, cast, waiting, seen = False, False, [(name, False)], set()
        while waiting:
            tensor, changed = waiting.pop()
            if (tensor, changed) in seen:
                continue
            seen.add((tensor, changed))
            if tensor in self._inner:
                raise _Unknown
            for node, place in self._readers.get(tensor, ()):
                sink, cast = self._selects(node, place), cast or _casts_to_float(node)
                if sink and changed:
                    raise _Unknown  # by what it computes: which inputs lead to valid indices is not known
                if sink:
                    low, high = (max(low, sink[0]), min(high, sink[1])) if selected else sink
                    selected = True
                waiting += [(output, now) for output, now in self._next(node, place, changed) if output]
        if cast and not selected and free in (SIGNED, UNSIGNED):
            raise _Unknown  # a mask of attention, a length: 1 - mask times the lowest float is no number beyond 0 and 1
        return low, high

    def _selects(self, node: NodeProto, place: int) -> Limits | None:
        """The valid indices of a node that selects by this input of it."""
        if node.op_type == "OneHot" and place == 0:
            depth = self._constant(node.input[1])
            return -depth, depth
        if (node.op_type, place) in _DIVISORS:
            return 1, UNSIGNED[1]  # by zero, whole numbers have no quotient
        if (node.op_type, place) in _INDICES:
            shape = self._shapes.get(node.input[0])
            axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
            size = shape[axis] if shape and -len(shape) <= axis < len(shape) else None
            if not size:
                raise _Unknown
            # Gather takes them from the end too, by ONNX; no exporter means that.
            return (-size if node.op_type in _FROM_THE_END else 0), size
        return None

    def _constant(self, name: str) -> int:
        if name not in self._constants:
            raise _Unknown
        return int(numpy_helper.to_array(self._constants[name]).reshape(-1)[0])

    def _next(self, node: NodeProto, place: int, changed: bool) -> Iterator[tuple[str, bool]]:
        """What a node makes of the numbers, and whether they are others then.

        Raises:
            _Unknown: it takes them for something else: a length, a shape, a divisor.
        """
        if self._selects(node, place) or node.op_type in _SHAPES or _casts_to_float(node):
            return
        if node.op_type in _MOVES and place == 0:
            yield node.output[0], changed
        elif node.op_type in _COMPUTES:
            yield node.output[0], True
        elif node.op_type in ("Gather", "Concat"):
            yield node.output[0], changed
        else:
            raise _Unknown


def _casts_to_float(node: NodeProto) -> bool:
    return node.op_type == "Cast" and any(item.name == "to" and item.i in _FLOATS for item in node.attribute)


def _read_inside(node: NodeProto) -> Iterator[str]:
    """The names that a node's own graphs read."""
    graphs = [graph for item in node.attribute for graph in (*([item.g] if item.HasField("g") else []), *item.graphs)]
    for graph in graphs:
        yield from (value.name for value in graph.output)
        for inner in graph.node:
            yield from inner.input
            yield from _read_inside(inner)
