"""What quantizing tensors does to a float graph: the graph with one or all of them rounded, and the damage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from oakmill.graph.quantize import Interval
from oakmill.graph.rewriting import Scope, attributes
from oakmill.graph.skeleton import copy_of, replace_nodes, source_inputs

Array = NDArray[Any]

_PROBABILITY_FLOOR = 0.01
_RELATIVE_FLOOR = 1e-3


def with_rounded(model: ModelProto, tensor: str, interval: Interval, bits: int = 8) -> ModelProto:
    """A copy in which one float tensor is cut into 2^bits - 1 even steps over an interval, zero among them."""
    return _rounded(copy_of(model), {tensor: interval}, {tensor: bits})


def with_all_rounded(
    model: ModelProto, intervals: Mapping[str, Interval], bits: Mapping[str, int], *, per_channel: bool = True
) -> ModelProto:
    """A copy in which all these tensors are cut into steps, of 8 bits where `bits` says no other, and the weights too.

    It stands in for a quantized graph where many are compared: it is made in a tenth of the time.
    """
    model = copy_of(model)
    _round_weights(model, per_channel=per_channel)
    return _rounded(model, intervals, bits)


def with_steps_as_inputs(
    model: ModelProto, tensors: Sequence[str], bits: Mapping[str, int], *, per_channel: bool = True
) -> tuple[ModelProto, dict[str, tuple[str, str]]]:
    """As `with_all_rounded`, with the intervals told at each run: one session tries any number of them.

    Returns:
        The graph, and by tensor the inputs that take its scale (float32, []) and zero point (uint8 or uint16, []), as
        `encoding` gives them.
    """
    made = with_all_rounded(model, dict.fromkeys(tensors, (0.0, 1.0)), bits, per_channel=per_channel)
    names = {
        node.name.removesuffix(_STORED): (node.input[1], node.input[2])
        for node in made.graph.node
        if node.op_type == "QuantizeLinear" and node.name.endswith(_STORED)
    }
    given = {name for pair in names.values() for name in pair}
    constants = [item for item in made.graph.initializer if item.name in given]
    made.graph.input.extend(helper.make_tensor_value_info(item.name, item.data_type, []) for item in constants)
    kept = [item for item in made.graph.initializer if item.name not in given]
    del made.graph.initializer[:]
    made.graph.initializer.extend(kept)
    return made, names


_STORED = "/probe/quantizer"
"""The end of the name of a tensor's quantizer."""


def _rounded(model: ModelProto, intervals: Mapping[str, Interval], bits: Mapping[str, int]) -> ModelProto:
    scope = Scope(model)
    inputs = {value.name for value in source_inputs(model)}
    outputs = {value.name for value in model.graph.output}
    made: dict[str, str] = {}
    read: dict[str, str] = {}
    pairs: dict[str, list[NodeProto]] = {}
    for tensor, interval in intervals.items():
        is_output = tensor not in inputs and tensor in outputs
        made[tensor] = scope.fresh(f"{tensor}/probe/exact") if is_output else tensor
        read[tensor] = tensor if is_output else scope.fresh(f"{tensor}/probe/rounded")
        pairs[tensor] = _pair(made[tensor], read[tensor], interval, bits.get(tensor, 8), scope, tensor)
    nodes = [node for name in inputs & pairs.keys() for node in pairs[name]]
    for node in model.graph.node:
        made_here = [name for name in node.output if name in pairs]
        node.output[:] = [made.get(name, name) for name in node.output]
        node.input[:] = [read.get(name, name) for name in node.input]
        nodes += [node, *(part for name in made_here for part in pairs[name])]
    replace_nodes(model.graph, nodes)
    if any(node.domain for node in nodes) and "com.microsoft" not in {item.domain for item in model.opset_import}:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    del model.graph.value_info[:]
    return model


def _pair(made: str, read: str, interval: Interval, bits: int, scope: Scope, tensor: str) -> list[NodeProto]:
    """A quantizer and what undoes it; opsets below 21 know no 16 bits but onnxruntime's own."""
    scale, zero = encoding(interval, bits)
    names = [scope.add_constant(np.array(scale, np.float32), f"{tensor}/probe/scale")]
    names.append(scope.add_constant(np.array(zero, np.uint8 if bits == 8 else np.uint16), f"{tensor}/probe/zero"))
    stored, domain = scope.fresh(f"{tensor}/probe/stored"), "" if bits == 8 else "com.microsoft"
    return [
        helper.make_node("QuantizeLinear", [made, *names], [stored], f"{tensor}{_STORED}", domain=domain),
        helper.make_node("DequantizeLinear", [stored, *names], [read], domain=domain),
    ]


_OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": -1}
"""Of the weights, which come second."""


def _round_weights(model: ModelProto, *, per_channel: bool) -> None:
    """Cut weights into the steps of signed 8 bits, for each output channel alone or for the whole; in place."""
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in _OUTPUT_AXIS or node.input[1] not in constants:
            continue
        tensor = constants.pop(node.input[1])
        values = numpy_helper.to_array(tensor)
        if not per_channel or values.ndim < 2:
            others = None
        else:
            axis = 0 if attributes(node).get("transB") else _OUTPUT_AXIS[node.op_type] % values.ndim
            others = tuple(place for place in range(values.ndim) if place != axis)
        step = np.maximum(np.abs(values).max(others, keepdims=True), 1e-12) / 127
        tensor.CopyFrom(numpy_helper.from_array((np.round(values / step) * step).astype(values.dtype), tensor.name))


def encoding(interval: Interval, bits: int) -> tuple[float, int]:
    """Scale and zero point of the unsigned grid over an interval widened to hold zero."""
    low, high = min(interval[0], 0.0), max(interval[1], 0.0)
    steps = (1 << bits) - 1
    scale = max(high - low, 1e-4) / steps
    return scale, int(np.clip(round(-low / scale), 0, steps))


@dataclass
class ColumnNoise:
    """Noise against power, column by column, so that large values do not hide what happens to small ones.

    A column is a channel: a box's edge, a class's score. Scores within 0 and 1 count from 0.01 on, others from a
    thousandth of the output's largest value on. Of integers, such as classes, what counts is how many differ. An
    output whose shape hangs on its values is wrong where the shapes differ. Keeps sums only.
    """

    _sums: dict[tuple[str, int], list[Array]] = field(default_factory=dict)
    """By an output's name and its number of columns."""

    def add(self, reference: Mapping[str, Array], candidate: Mapping[str, Array]) -> None:
        """Add one image's outputs, by name, in the same layout."""
        for name, expected in reference.items():
            if not expected.size:
                continue
            a, b = map(_columns, _as_numbers(expected, candidate[name]))
            with np.errstate(invalid="ignore", over="ignore"):
                noise = ((a - b) ** 2).sum(0)
            found = [
                (a * a).sum(0),
                noise,
                np.abs(a).max(0),
                a.min(0),
                np.full(a.shape[1], len(a), np.float64),
            ]
            known = self._sums.get((name, a.shape[1]))
            if known is None:
                self._sums[name, a.shape[1]] = found
            else:
                for place, combine in enumerate((np.add, np.add, np.maximum, np.minimum, np.add)):
                    known[place] = combine(known[place], found[place])

    def decibels(self) -> float:
        """Power over noise, averaged over columns and outputs, in dB; infinite where nothing differs."""
        shares = [_share(*sums) for sums in self._sums.values()]
        worst = float(np.mean(shares)) if shares else 0.0
        return float(-10 * np.log10(worst)) if worst > 0 else float("inf")


def _as_numbers(expected: Array, found: Array) -> tuple[Array, Array]:
    """Floats as they are; of whole numbers, and of other shapes, 1, and 1 or 0 for right or wrong."""
    if expected.shape != found.shape:
        return np.ones((1, 1)), np.zeros((1, 1))
    if expected.dtype.kind == "f":
        return expected.astype(np.float64), found.astype(np.float64)
    return np.ones(expected.shape), (expected == found).astype(np.float64)


def _share(power: Array, noise: Array, peak: Array, low: Array, count: Array) -> float:
    """Noise over power, the mean over columns, each at most 1, which a column with NaN is worth."""
    scores = (low >= 0) & (peak <= 1)
    others = float(peak[~scores].max()) if (~scores).any() else 0.0
    floor = np.where(scores, _PROBABILITY_FLOOR, _RELATIVE_FLOOR * others)
    shares = np.minimum(noise / np.maximum(power + count * floor**2, 1e-30), 1)
    return float(np.nan_to_num(shares, nan=1.0).mean())


def _columns(array: Array) -> Array:
    """[rows, columns]: the columns lie along the smallest axis of those longer than 1; one vector is one column."""
    sizes = [(size, axis) for axis, size in enumerate(array.shape) if size > 1]
    if len(sizes) < 2:
        return array.reshape(-1, 1)
    _, axis = min(sizes, key=lambda item: (item[0], -item[1]))
    return np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis])
