"""Measures which tensors of a quantized graph lose most: each against the float graph's, on a few test images."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.passport.layers import Layers, TensorDamage
from oakmill.graph import equality
from oakmill.graph.quantize import Interval
from oakmill.graph.skeleton import copy_of, dimensions, infer_shapes, skeleton, source_inputs

Array = NDArray[Any]

IMAGES = 2
"""Each tensor has thousands of values on one image; a second one shows what the first has not."""
SECONDS = 20.0
"""After so long, the images that were seen have to do."""
AT_ONCE_BYTES = 128 << 20
"""Of float tensors that one run gives back."""
_IMAGE_RANK = 4
_ALL: Interval = (-math.inf, math.inf)
_FLOOR = 1e-3
"""Of a tensor's largest value: what a channel has below counts as none of its signal."""


@dataclass(frozen=True)
class _Stored:
    """How a tensor is stored in the quantized graph: real = scale (stored - zero)."""

    name: str
    stored: str
    scale: float
    zero: int
    bits: int

    @property
    def bounds(self) -> tuple[float, float]:
        return -self.zero * self.scale, ((1 << self.bits) - 1 - self.zero) * self.scale

    def real(self, stored: Array) -> Array:
        return ((stored.astype(np.float32) - self.zero) * self.scale).astype(np.float32)

    def rounded(self, values: Array) -> Array:
        steps = np.round(values / self.scale) + self.zero
        return ((np.clip(steps, 0, (1 << self.bits) - 1) - self.zero) * self.scale).astype(np.float32)


@dataclass
class _Sums:
    """What is added up over images, channel by channel; sums of squares, of values within what is needed."""

    axis: int | None
    needs: Interval
    power: Array | float = 0.0
    noise: Array | float = 0.0
    own: Array | float = 0.0
    clipping: float = 0.0
    before: list[float] = field(default_factory=list)
    clipped: int = 0
    idle: int = 0
    values: int = 0
    low: float = math.inf
    high: float = -math.inf

    def add(self, exact: Array, found: Array, stored: _Stored, plain: Array | None) -> None:
        self.low, self.high = min(self.low, float(exact.min())), max(self.high, float(exact.max()))
        needed = np.clip(exact, *self.needs).astype(exact.dtype)
        self.idle += int(np.count_nonzero(needed != exact))
        exact, found = needed, np.clip(found, *self.needs)
        low, high = stored.bounds
        beyond = exact - np.clip(exact, low - stored.scale / 2, high + stored.scale / 2)
        self.power = self.power + self._squares(exact)
        self.noise = self.noise + self._squares(exact - found)
        self.own = self.own + self._squares(exact - stored.rounded(exact))
        self.clipping += float((beyond * beyond).sum())
        self.clipped += int(np.count_nonzero(beyond))
        self.values += exact.size
        if plain is not None:
            self.before.append(self._before(plain, stored.bits))

    def _squares(self, values: Array) -> Array:
        """Sums for each channel, in double precision."""
        if self.axis is None:
            return np.array([np.square(values, dtype=np.float64).sum()])
        others = tuple(place for place in range(values.ndim) if place != self.axis % values.ndim)
        return np.asarray(np.square(values, dtype=np.float64).sum(axis=others))

    def _before(self, plain: Array, bits: int) -> float:
        low, high = min(float(plain.min()), 0.0), max(float(plain.max()), 0.0)
        scale = max(high - low, 1e-12) / ((1 << bits) - 1)
        rounded = _Stored("", "", scale, round(-low / scale), bits).rounded(plain)
        return self._shares(self._squares(plain), self._squares(plain - rounded), plain.size, max(high, -low))

    @staticmethod
    def _shares(power: Array, noise: Array, values: int, peak: float) -> float:
        """Noise over power, the mean over channels, each at most 1."""
        floor = values / power.size * (_FLOOR * peak) ** 2
        return float(np.minimum(noise / np.maximum(power + floor, 1e-30), 1).mean())

    def damage(self, stored: _Stored, op: str, feeds: Sequence[int]) -> TensorDamage:
        """What it comes to."""
        power, noise, own = map(np.asarray, (self.power, self.noise, self.own))
        peak = max(min(self.high, self.needs[1]), -max(self.low, self.needs[0]))
        low, high = stored.bounds
        return TensorDamage(
            name=stored.name,
            op=op,
            bits=stored.bits,
            low=low,
            high=high,
            seen_low=self.low,
            seen_high=self.high,
            arrives_db=_decibels(float(noise.sum()) / max(float(power.sum()), 1e-30)),
            own_db=_decibels(self._shares(power, own, self.values, peak)),
            clipped=self.clipped / max(self.values, 1),
            idle=self.idle / max(self.values, 1),
            clipping=min(self.clipping / max(float(own.sum()), 1e-30), 1.0),
            before_db=_decibels(float(np.mean(self.before))) if self.before else math.nan,
            feeds=tuple(feeds),
        )


def _decibels(share: float) -> float:
    """Of noise over signal; infinite where there is no noise."""
    return round(-10 * math.log10(share), 2) if share > 0 else math.inf


def measure(
    exact: ModelProto,
    quantized: ModelProto,
    image_inputs: Collection[str],
    samples: SampleSet,
    plain: ModelProto | None = None,
    limits: Mapping[str, Interval] | None = None,
) -> Layers:
    """The damage to each tensor that a quantizer stores.

    Args:
        exact: the float graph that was quantized.
        quantized: what was made of it.
        image_inputs: inputs that are uint8 in the quantized graph.
        samples: images that did not calibrate.
        plain: the float graph before its channels were equalized, where they were.
        limits: the intervals beyond which tensors' values make no difference to what comes behind, by name.

    Raises:
        SourceError: an image cannot be read.
        PreparationFailed: a graph cannot be run.
    """
    shapes = _shapes(exact)
    stored = list(_stored(quantized, shapes))
    order = {name: place for place, name in enumerate(shapes)}
    stored.sort(key=lambda item: order[item.name])
    names = [item.name for item in stored]
    sums = {name: _Sums(_channels(shapes[name]), (limits or {}).get(name, _ALL)) for name in names}
    known = set(_shapes(plain)) if plain else set()
    runs = (
        _Exposed(exact, names),
        _Exposed(quantized, [item.stored for item in stored], image_inputs),
        _Exposed(plain, [name for name in names if name in known]) if plain else None,
    )
    seen, began = 0, time.monotonic()
    for raw in (samples[place] for place in range(min(IMAGES, len(samples)))):
        for group in _groups(stored, shapes):
            _add(raw, group, sums, *runs)
        seen += 1
        if time.monotonic() - began > SECONDS:
            break
    feeds, ops = _feeds(exact, names), {name: node.op_type for node in exact.graph.node for name in node.output}
    tensors = (sums[item.name].damage(item, ops.get(item.name, "input"), feeds[item.name]) for item in stored)
    return Layers(seen, tuple(tensors))


def _add(
    raw: Mapping[str, Array],
    group: Sequence[_Stored],
    sums: Mapping[str, _Sums],
    exact: _Exposed,
    quantized: _Exposed,
    plain: _Exposed | None,
) -> None:
    """One image's values of some tensors."""
    names = [item.name for item in group]
    wanted, found = exact.run(raw, names), quantized.run(raw, [item.stored for item in group])
    before = plain.run(raw, names) if plain else {}
    for item in group:
        plainly = before.get(item.name)
        same = plainly is None or np.array_equal(plainly, wanted[item.name])
        values = item.real(found[item.stored])
        sums[item.name].add(wanted[item.name], values, item, None if same else plainly)


class _Exposed:
    """A graph that gives back inner tensors."""

    def __init__(self, model: ModelProto, names: Sequence[str], image_inputs: Collection[str] = ()) -> None:
        inputs = {value.name for value in source_inputs(model)}
        model = copy_of(model)
        present = {value.name for value in model.graph.output}
        kinds = {item.name: item.data_type for item in model.graph.initializer if item.data_type != TensorProto.FLOAT}
        zeros = {node.output[0]: kinds.get(node.input[2]) for node in model.graph.node if _quantizes(node)}
        for name in names:
            if name not in present | inputs:
                kind = zeros.get(name) or TensorProto.FLOAT
                model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
        self._names = {*names} - inputs
        self._fed = {*names} & inputs
        self._bytes = set(image_inputs)
        self._session = equality.Session(model)

    def run(self, raw: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Those tensors that it has."""
        feeds = {name: values.astype(np.uint8) if name in self._bytes else values for name, values in raw.items()}
        wanted = [name for name in names if name in self._names]
        found = self._session.run(feeds, wanted) if wanted else {}
        return {**found, **{name: np.asarray(raw[name]) for name in names if name in self._fed}}


def _quantizes(node: NodeProto) -> bool:
    return node.op_type == "QuantizeLinear" and len(node.input) > 2


def _stored(quantized: ModelProto, known: Collection[str]) -> Iterator[_Stored]:
    """The known activations that have one scale; the first quantizer of each.

    An output that goes out as it is stored has its own name there, and what is quantized to it another.
    """
    constants = {item.name: item for item in quantized.graph.initializer}
    seen: set[str] = set()
    for node in quantized.graph.node:
        name = next((word for word in (*node.input[:1], *node.output) if word in known), "")
        if not _quantizes(node) or not name or name in seen or node.input[0] in constants:
            continue
        if node.input[1] in constants and node.input[2] in constants:
            scale, zero = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
            if scale.size == 1 and zero.dtype.kind == "u":
                seen.add(name)
                bits = 8 * zero.dtype.itemsize
                yield _Stored(name, node.output[0], float(scale.item()), int(zero.item()), bits)


def _shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """The float tensors of fixed shapes that hold values, in the order of the graph."""
    graph = infer_shapes(skeleton(model)).graph
    known: dict[str, tuple[int, ...]] = {}
    for value in (*graph.value_info, *graph.output, *source_inputs(model)):
        found = dimensions(value.type.tensor_type)
        if found is not None and value.type.tensor_type.elem_type == TensorProto.FLOAT and None not in found:
            known[value.name] = tuple(size or 0 for size in found)
    order = [*(value.name for value in source_inputs(model)), *(name for node in graph.node for name in node.output)]
    return {name: known[name] for name in order if name in known and 0 not in known[name]}


def _channels(shape: tuple[int, ...]) -> int | None:
    """The axis of channels: the second of images, the last of sequences; none of a single vector."""
    if len(shape) >= _IMAGE_RANK:
        return 1
    return -1 if math.prod(shape[:-1]) > 1 else None


def _groups(stored: Sequence[_Stored], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[list[_Stored]]:
    """The tensors in order, as many at a time as memory is given for."""
    group: list[_Stored] = []
    size = 0
    for item in stored:
        own = 4 * math.prod(shapes[item.name])
        if group and size + own > AT_ONCE_BYTES:
            yield group
            group, size = [], 0
        group.append(item)
        size += own
    if group:
        yield group


def _feeds(model: ModelProto, names: Sequence[str]) -> dict[str, list[int]]:
    """For each tensor the places of those that it is computed from, through whatever has no place itself."""
    places = {name: place for place, name in enumerate(names)}
    reach: dict[str, set[int]] = {name: {place} for name, place in places.items()}
    found: dict[str, list[int]] = {name: [] for name in names}
    for node in model.graph.node:
        behind = {place for name in node.input for place in reach.get(name, ())}
        for name in node.output:
            if name in places:
                found[name] = sorted(behind)
            else:
                reach[name] = behind
    return found
