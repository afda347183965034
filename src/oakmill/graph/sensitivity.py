"""What quantizing one tensor alone does to a float graph: the graph with that tensor rounded, and the damage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from oakmill.graph.quantize import Interval
from oakmill.graph.rewriting import Scope
from oakmill.graph.skeleton import copy_of, source_inputs

Array = NDArray[Any]

_PROBABILITY_FLOOR = 0.01
_RELATIVE_FLOOR = 1e-3


def with_rounded(model: ModelProto, tensor: str, interval: Interval, bits: int = 8) -> ModelProto:
    """A copy in which one float tensor is cut into 2^bits - 1 even steps over an interval, zero among them."""
    model = copy_of(model)
    scope = Scope(model)
    scale, zero = encoding(interval, bits)
    names = [scope.add_constant(np.array(scale, np.float32), f"{tensor}/probe/scale")]
    names.append(scope.add_constant(np.array(zero, np.uint8 if bits == 8 else np.uint16), f"{tensor}/probe/zero"))
    rounded, made = scope.fresh(f"{tensor}/probe/rounded"), tensor
    inputs = {value.name for value in source_inputs(model)}
    if tensor not in inputs and any(value.name == tensor for value in model.graph.output):
        made, rounded = scope.fresh(f"{tensor}/probe/exact"), tensor
    for node in model.graph.node:
        node.output[:] = [made if name == tensor else name for name in node.output]
        node.input[:] = [rounded if name == tensor else name for name in node.input]
    stored = scope.fresh(f"{tensor}/probe/stored")
    domain = "" if bits == 8 else "com.microsoft"
    pair = [
        helper.make_node("QuantizeLinear", [made, *names], [stored], domain=domain),
        helper.make_node("DequantizeLinear", [stored, *names], [rounded], domain=domain),
    ]
    place = next((index + 1 for index, node in enumerate(model.graph.node) if made in node.output), 0)
    for offset, node in enumerate(pair):
        model.graph.node.insert(place + offset, node)
    if domain and domain not in {item.domain for item in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    del model.graph.value_info[:]
    return model


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
    thousandth of the output's largest value on. Of integers, such as classes, what counts is how many differ. Keeps
    sums only.
    """

    _sums: dict[str, list[Array]] = field(default_factory=dict)

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
            known = self._sums.get(name)
            if known is None:
                self._sums[name] = found
            else:
                for place, combine in enumerate((np.add, np.add, np.maximum, np.minimum, np.add)):
                    known[place] = combine(known[place], found[place])

    def decibels(self) -> float:
        """Power over noise, averaged over columns and outputs, in dB; infinite where nothing differs."""
        shares = [_share(*sums) for sums in self._sums.values()]
        worst = float(np.mean(shares)) if shares else 0.0
        return float(-10 * np.log10(worst)) if worst > 0 else float("inf")


def _as_numbers(expected: Array, found: Array) -> tuple[Array, Array]:
    """Floats as they are; of whole numbers 1, and 1 or 0 for right or wrong."""
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
