"""What is watched of each output while the images pass: ranges by position, movement, values cut off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport.agreement import Outputs

MOST_POSITIONS = 512
"""The longest axis that is taken for one of columns: boxes' coordinates and classes, not boxes."""
BOX = 4
"""Numbers of a box, which stand first in a row."""
SEPARATION = 3.0
"""How much larger the smallest span of one group is than the largest of the other: the groups are of two kinds."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OutputEncoding:
    """The number format of one output: real = scale (stored + offset), of so many bits."""

    scale: float
    offset: int = 0
    bits: int = 8

    @property
    def low(self) -> float:
        """The lowest number that it can say."""
        return self.offset * self.scale

    @property
    def high(self) -> float:
        """The highest."""
        return (self.offset + (1 << self.bits) - 1) * self.scale


@dataclass
class ColumnRanges:
    """Lowest and highest value at each position along one axis, over all images."""

    axis: int
    low: Floats = field(default_factory=lambda: np.zeros(0))
    high: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, values: NDArray[Any]) -> None:
        """Add one image's values."""
        others = tuple(axis for axis in range(values.ndim) if axis != self.axis)
        low, high = values.min(axis=others), values.max(axis=others)
        first = not self.low.size
        self.low = low.astype(np.float64) if first else np.minimum(self.low, low)
        self.high = high.astype(np.float64) if first else np.maximum(self.high, high)

    @property
    def spans(self) -> Floats:
        """How far the values at each position reach."""
        return self.high - self.low


@dataclass
class Observed:
    """One output over all images; of values it keeps the first image's alone, to see what moves."""

    images: int = 0
    dimensions: int = 0
    columns: list[ColumnRanges] = field(default_factory=list)
    peak: float = 0.0
    reference_moved: float = 0.0
    candidate_moved: float = 0.0
    _cut: int = 0
    _values: int = 0
    _first: tuple[NDArray[Any], NDArray[Any]] | None = None

    def add(self, reference: NDArray[Any], candidate: NDArray[Any], encoding: OutputEncoding | None) -> None:
        """Add one image's values; what is not finite counts as 0."""
        a, b = (np.nan_to_num(values, posinf=0, neginf=0) for values in (reference, candidate))
        self.images += 1
        if self._first is None:
            self._first = (a, b)
            self.dimensions = a.ndim
            self.columns = [ColumnRanges(axis) for axis in column_axes(a.shape)]
        self.peak = max(self.peak, float(np.abs(a).max(initial=0.0)))
        self.reference_moved = max(self.reference_moved, _moved(self._first[0], a))
        self.candidate_moved = max(self.candidate_moved, _moved(self._first[1], b))
        for column in self.columns:
            column.add(a)
        self._values += a.size
        if encoding:
            step = encoding.scale
            self._cut += int(((a > encoding.high + step) | (a < encoding.low - step)).sum())

    @property
    def share_cut(self) -> float:
        """The share of the float model's values that the encoding cannot say."""
        return self._cut / self._values if self._values else 0.0


def column_axes(shape: tuple[int, ...]) -> list[int]:
    """The axis that boxes' coordinates and classes lie along: of maps the channels, of rows the shorter one."""
    axis = {3: 1 if len(shape) == 3 and shape[1] < shape[2] else 2, 4: 1}.get(len(shape))
    return [axis] if axis is not None and 2 <= shape[axis] <= MOST_POSITIONS else []


def _moved(first: NDArray[Any], now: NDArray[Any]) -> float:
    return float(np.abs(now.astype(np.float64) - first.astype(np.float64)).max(initial=0.0))


class Watch:
    """Watches all outputs of one method's run."""

    def __init__(self, encodings: Mapping[str, OutputEncoding] | None = None) -> None:
        self.encodings = dict(encodings or {})
        self.outputs: dict[str, Observed] = {}

    def add(self, reference: Outputs, candidate: Outputs) -> None:
        """Add one image's outputs."""
        for name, expected in reference.items():
            self.outputs.setdefault(name, Observed()).add(expected, candidate[name], self.encodings.get(name))


@dataclass(frozen=True)
class Split:
    """Two groups of positions along an axis, parted before `at`; `small_last`: the small ones stand behind.

    With `until` the small ones begin at `at` and end before it, and large ones stand on either side. `scores`: whether
    the small values are scores of 0 to 1.
    """

    axis: int
    at: int
    small_span: float
    large_span: float
    small_last: bool
    scores: bool
    until: int | None = None


def split(seen: Observed) -> Split | None:
    """Where an output falls into a group of large values and one of small ones, the clearest such place.

    All of the large group span an eighth of the largest at least, and the two are not both scores of 0 to 1: a class
    that hardly ever occurs is not of another kind than the others.
    """
    found = [item for column in seen.columns if (item := _split(column) or _scores_within(column, seen.dimensions))]
    return max(found, key=lambda item: item.large_span / item.small_span, default=None)


def _split(column: ColumnRanges) -> Split | None:
    spans, best, clearest = column.spans, None, SEPARATION
    for at in range(1, len(spans)):
        for small_last in (True, False):
            before, behind = slice(0, at), slice(at, None)
            small, large = (behind, before) if small_last else (before, behind)
            span, least, most = float(spans[small].max()), float(spans[large].min()), float(spans[large].max())
            of_one_kind = _scores(column, large) and _scores(column, small)
            if span > 0 and least > clearest * span and least >= most / 8 and not of_one_kind:
                clearest = least / span
                best = Split(column.axis, at, span, most, small_last, _scores(column, small))
    return best


def _scores_within(column: ColumnRanges, dimensions: int) -> Split | None:
    """Scores that stand behind the four numbers of a box and before others: keypoints, coefficients of masks.

    Of keypoints each third number is a score too. Maps of features are no rows: there ranges differ at random.
    """
    spans, until = column.spans, BOX
    if dimensions != 3 or len(spans) <= BOX + 1 or _scores(column, slice(0, BOX)):
        return None
    while until < len(spans) and _scores(column, slice(until, until + 1)):
        until += 1
    if until in (BOX, len(spans)):
        return None
    span, most = float(spans[BOX:until].max()), float(spans[:BOX].max())
    if span <= 0 or min(float(spans[:BOX].min()), float(spans[until])) <= SEPARATION * span:
        return None
    return Split(column.axis, BOX, span, most, small_last=False, scores=True, until=until)


def _scores(column: ColumnRanges, part: slice) -> bool:
    """Whether all values at these positions lie within 0 to 1."""
    return bool(column.low[part].min() >= -0.01 and column.high[part].max() <= 1.01)


def neighbours(image: NDArray[Any]) -> float:
    """How much pixels beside each other agree, -1 to 1: the correlation of an image with itself, one pixel on.

    Args:
        image: [H, W, C] or [H, W], or one of them behind a batch of 1; of any number type. Plain ones give 1.
    """
    values = image.astype(np.float64)
    values = values[0] if values.ndim == 4 else values
    left, right = (part.reshape(-1, values[0, 0].size) for part in (values[:, :-1], values[:, 1:]))
    a, b = left - left.mean(axis=0), right - right.mean(axis=0)
    power = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / power if power > 0 else 1.0
