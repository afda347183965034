"""Takes a model's own quantizers out: a float model that clamps where they did, for a platform with others."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from oakmill.graph.rewriting import STANDARD_DOMAINS, CannotRewriteError, Emitter, Scope, argument, attributes
from oakmill.graph.skeleton import copy_of, infer_shapes, replace_nodes
from oakmill.model.pruning import drop_unread, reads

Array = NDArray[Any]

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_RANGES = "oakmill.ranges"
"""The key of the number formats' bounds, in the metadata of what had quantizers."""
_DOMAINS = (*STANDARD_DOMAINS, "com.microsoft")  # where formats of 16 and 4 bits came first
_MOVES = {
    "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip


@dataclass(frozen=True)
class _Format:
    """real = scale (stored - zero); what is below `low` or above `high` cannot be stored."""

    scale: Array
    zero: Array
    kind: np.dtype[Any]

    @property
    def bounds(self) -> tuple[Array, Array]:
        limits = np.iinfo(self.kind)
        low, high = ((value - self.zero.astype(np.float64)) * self.scale for value in (limits.min, limits.max))
        return low.astype(np.float32), high.astype(np.float32)

    def same(self, other: _Format) -> bool:
        return self.kind == other.kind and _equal(self.scale, other.scale) and _equal(self.zero, other.zero)


def _equal(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(np.all(a == b))


def without_quantizers(model: ModelProto) -> ModelProto:
    """A copy without quantizers, in which each pair of them is a Clip to what its number format holds.

    Nothing but the rounding is lost: exporters leave out a Relu whose quantizer clamps at zero anyway, so the Clip has
    to stay. Stored weights become the numbers that they stand for. Where stored integers go in or out, or are computed
    with, the quantizer is written as the arithmetic that it is. Quantizers within subgraphs stay, and those whose
    formats are computed.

    The same model comes back where it has none. Its metadata has the bounds, for `own_ranges`.
    """
    if not any(_is(node, QUANTIZE) or _is(node, DEQUANTIZE) for node in model.graph.node):
        return model
    model = copy_of(model)
    scope = Scope(model)
    formats = _formats(model, scope)
    carried = _carried(model, formats)
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        emit = Emitter(scope, node)
        if node.output[0] in formats:
            _replace(node, formats[node.output[0]], carried, emit)
        nodes.extend(emit.nodes or [node])
    replace_nodes(model.graph, nodes)
    plain = {tuple(map(float, given.bounds)) for given in carried.values() if not given.scale.ndim}
    if plain:
        model.metadata_props.add(key=_RANGES, value=json.dumps(sorted(plain)))
    return infer_shapes(_cleared(model, carried))


def own_ranges(source: ModelProto, model: ModelProto) -> dict[str, tuple[float, float]]:
    """The ranges that a model's own quantizers gave its tensors, each one for the whole tensor.

    Args:
        source: what `without_quantizers` made.
        model: what became of it since: a Clip between the bounds of one of the number formats is where one stood.
    """
    noted = next((item.value for item in source.metadata_props if item.key == _RANGES), "[]")
    known = {(low, high) for low, high in json.loads(noted)}
    scope, found = Scope(model), dict[str, tuple[float, float]]()
    for node in model.graph.node:
        bounds = node.input[1:3] if node.op_type == "Clip" and known else ()
        if len(bounds) == 2 and all(scope.is_constant(name) for name in bounds):
            low, high = (float(scope.constant(name)) for name in bounds)
            if (low, high) in known:
                found[node.output[0]] = low, high
    return found


def _is(node: NodeProto, op: str) -> bool:
    return node.op_type == op and node.domain in _DOMAINS


def _formats(model: ModelProto, scope: Scope) -> dict[str, _Format]:
    """The number format of each quantizer, by its output, where it is constant."""
    found = {}
    for node in model.graph.node:
        if _is(node, QUANTIZE) or _is(node, DEQUANTIZE):
            try:
                found[node.output[0]] = _format(node, scope)
            except CannotRewriteError:
                continue
    return found


def _format(node: NodeProto, scope: Scope) -> _Format:
    scale = scope.constant(node.input[1])
    stored = node.output[0] if node.op_type == QUANTIZE else node.input[0]
    kind = scope.dtype(argument(node, 2) or stored)
    zero = scope.constant(node.input[2]) if argument(node, 2) else np.zeros_like(scale)
    if kind.kind not in "iu":
        raise CannotRewriteError("it stores other numbers than integers")
    given = attributes(node)
    if scale.size == 1:
        scale, zero = scale.reshape(()), zero.reshape(())
    elif scale.ndim == 1:
        rank = len(scope.shape(node.input[0]))
        axis = given.get("axis", 1) % rank
        scale, zero = (item.reshape([-1 if i == axis else 1 for i in range(rank)]) for item in (scale, zero))
    elif given.get("block_size", 0):
        shape = scope.fixed_shape(node.input[0])
        size, axis = given["block_size"], given.get("axis", 1) % len(shape)
        scale, zero = (np.repeat(item, size, axis).take(range(shape[axis]), axis) for item in (scale, zero))
    return _Format(scale.astype(np.float32), zero.astype(np.int64), kind)


def _carried(model: ModelProto, formats: Mapping[str, _Format]) -> dict[str, _Format]:
    """The tensors of stored integers that are only moved on the way to a dequantizer of the same format."""
    reading = _Reading(model, formats)
    carried: dict[str, _Format] = {}
    for node in model.graph.node:
        if _is(node, QUANTIZE) and node.output[0] in formats:
            given = formats[node.output[0]]
            carried.update(dict.fromkeys(reading.moved(node.output[0], given) or (), given))
    return carried


class _Reading:
    """Who reads which tensor."""

    def __init__(self, model: ModelProto, formats: Mapping[str, _Format]) -> None:
        self._formats = formats
        self._outputs = {value.name for value in model.graph.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in reads(node):  # a body's readings are its node's
                self._readers.setdefault(name, []).append(node)

    def moved(self, name: str, given: _Format) -> list[str] | None:
        """A tensor and all that it is moved to; None where one of them is read as other than `given`."""
        if name in self._outputs:
            return None
        found = [name]
        further: list[str] | None
        for node in self._readers.get(name, []):
            if name not in node.input[:1]:
                return None
            if _is(node, DEQUANTIZE):
                own = self._formats.get(node.output[0])
                further = [] if own is not None and own.same(given) else None
            else:
                is_move = node.op_type in _MOVES and len(node.output) == 1
                further = self.moved(node.output[0], given) if is_move else None
            if further is None:
                return None
            found += further
        return found


def _replace(node: NodeProto, given: _Format, carried: Mapping[str, _Format], emit: Emitter) -> None:
    """Write a quantizer as a Clip, a dequantizer as nothing; both as arithmetic where stored integers are needed."""
    x, out = node.input[0], node.output[0]
    if node.op_type == QUANTIZE:
        if out in carried:
            low, high = given.bounds
            _clip(x, low, high, out, emit)
            return
        whole = emit("Add", emit("Round", emit("Div", x, given.scale)), given.zero.astype(np.float32))
        limits = np.iinfo(given.kind)
        emit("Cast", emit.clip(whole, limits.min, limits.max), out=out, to=helper.np_dtype_to_tensor_dtype(given.kind))
    elif x in carried:
        emit("Identity", x, out=out)
    else:
        _dequantize(x, out, given, emit)


def _clip(x: str, low: Array, high: Array, out: str, emit: Emitter) -> None:
    if low.ndim:  # a format for each channel
        emit("Min", emit("Max", x, low), high, out=out)
    else:
        emit.clip(x, float(low), float(high), out=out)


def _dequantize(x: str, out: str, given: _Format, emit: Emitter) -> None:
    try:
        known = emit.scope.constant(x)
    except CannotRewriteError:
        number = emit("Cast", x, to=TensorProto.FLOAT)
        off = emit("Sub", number, given.zero.astype(np.float32)) if given.zero.any() else number
        emit("Mul", off, given.scale, out=out)
    else:
        # Computed here: integers of 32 bits less their zero do not all fit a float.
        real = ((known.astype(np.int64) - given.zero) * given.scale.astype(np.float64)).astype(np.float32)
        emit("Identity", emit.scope.add_constant(real, f"{out}/value"), out=out)


def _cleared(model: ModelProto, changed: Collection[str]) -> ModelProto:
    """Without the constants that nothing reads now, and what was noted of tensors whose type is another; in place."""
    for index in reversed(range(len(model.graph.value_info))):
        if model.graph.value_info[index].name in changed:
            del model.graph.value_info[index]
    drop_unread(model.graph)
    return model
