"""Histograms of many tensors that grow with what they see: all that is kept of any number of images' activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.calibration.distribution import Distribution
from oakmill.calibration.excerpt import Excerpt

BINS = 4096
"""A histogram's range, which doubles, is less than twice that of the values: a bin is 1/2048 of theirs at most."""

FIRST = 4
"""Images of which every value is counted; they tell which values are common."""

COMMON = 99.98
"""Percent of the values that are common; of the others all are counted, in every image."""

_CHUNK = 1 << 16  # values that stay in the second-level cache while they are counted
_FEW = 256  # are added one by one, as a histogram of their own would take longer
_LEAST_WIDTH = 1e-30
_FLOAT32_WIDTH = 1e37  # a difference of two values of a wider range may overflow in float32

Floats = NDArray[np.float64]


class Histograms:
    """Extremes, and if wanted histograms, of `count` tensors.

    The range of a histogram begins as the first image's and doubles, its bins merged pair by pair, until it holds
    the next. What comes out depends on the images' order, and on nothing else.

    `common` [count, 2] holds the bounds between which each tensor's common values lie, once FIRST images are in.
    """

    def __init__(self, count: int, *, counting: bool) -> None:
        self._scratch = np.empty(_CHUNK, np.float32)
        self._begin(count, BINS if counting else 0)

    def _begin(self, count: int, bins: int) -> None:
        self.images = 0
        self.low: Floats = np.full(count, np.inf)
        self.high: Floats = np.full(count, -np.inf)
        self._start: Floats = np.zeros(count)
        self._width: Floats = np.zeros(count)
        self.common: Floats = np.zeros((count, 2))
        self._counts: NDArray[np.int64] = np.zeros((count, bins), np.int64)

    @property
    def counting(self) -> bool:
        """Whether histograms are kept, and not the extremes alone."""
        return bool(self._counts.shape[1])

    def take(self, excerpts: Sequence[Excerpt]) -> None:
        """Take in one more image: what was seen of each tensor, its extremes finite."""
        self._observe(np.array([item.low for item in excerpts]), np.array([item.high for item in excerpts]))
        for place, item in enumerate(excerpts if self.counting else ()):
            self._count(place, item.some, item.weight)
            self._count(place, item.twice, -item.weight)
            self._count(place, item.rare, 1)
        if self.counting and self.images == FIRST:
            self._settle()

    def distribution(self, place: int) -> Distribution:
        """What was seen of the tensor at `place`."""
        counts = self._counts[place]
        used = np.nonzero(counts)[0]
        step = self._width[place] / BINS
        low, high = float(self.low[place]), float(self.high[place])
        left = np.clip(self._start[place] + used * step, low, high)
        right = np.clip(self._start[place] + (used + 1) * step, low, high)
        return Distribution(low, high, left, right, counts[used].astype(np.float64))

    def forget(self) -> None:
        """Begin anew."""
        self._begin(*self._counts.shape)

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as plain arrays, to be saved."""
        arrays = {"low": self.low, "high": self.high, "start": self._start, "width": self._width}
        return {**arrays, "common": self.common, "counts": self._counts, "images": np.array(self.images, np.int64)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` gave.

        Raises:
            ValueError: the arrays are not those of as many tensors, or not whole.
        """
        mine = self.state()
        for name, array in mine.items():
            found = state.get(name)
            if found is None or found.shape != array.shape or found.dtype != array.dtype:
                raise ValueError(f"{name} is not as it was saved")
            if not np.isfinite(found).all():
                raise ValueError(f"{name} is not finite")
        self.low, self.high = state["low"], state["high"]
        self.common = state["common"]
        self._start, self._width, self._counts = state["start"], state["width"], state["counts"]
        self.images = int(state["images"])

    def _observe(self, low: Floats, high: Floats) -> None:
        """Widen the extremes, and the histograms with them."""
        np.minimum(self.low, low, out=self.low)
        np.maximum(self.high, high, out=self.high)
        if self.counting and not self.images:
            least = np.maximum(np.maximum(np.abs(low), np.abs(high)) * 1e-6, _LEAST_WIDTH)
            self._start, self._width = low, np.maximum(high - low, least)
        elif self.counting:
            for place in np.nonzero((low < self._start) | (high > self._start + self._width))[0]:
                self._grow(int(place))
        self.images += 1

    def _count(self, place: int, values: NDArray[np.float32], weight: int) -> None:
        if not values.size:
            return
        if values.size < _FEW:
            np.add.at(self._counts[place], self._bins_of(place, values), weight)
            return
        for begin in range(0, values.size, _CHUNK):
            counts = np.bincount(self._bins_of(place, values[begin : begin + _CHUNK]), minlength=BINS)
            self._counts[place] += counts if weight == 1 else counts * weight

    def _settle(self) -> None:
        self.common = np.array([self.distribution(place).percentile(COMMON) for place in range(len(self.low))])

    def _grow(self, place: int) -> None:
        counts, half = self._counts[place], BINS // 2
        while True:
            below = self.low[place] < self._start[place]
            if not below and self.high[place] <= self._start[place] + self._width[place]:
                return
            merged = counts.reshape(half, 2).sum(axis=1)
            counts[:] = 0
            counts[half:] = merged if below else 0
            counts[:half] = 0 if below else merged
            self._start[place] -= self._width[place] if below else 0.0
            self._width[place] *= 2

    def _bins_of(self, place: int, chunk: NDArray[np.float32]) -> NDArray[np.uint16]:
        start, width = self._start[place], self._width[place]
        if width > _FLOAT32_WIDTH:
            wide: NDArray[np.float64] = (chunk - start) * (BINS / width)
            return wide.clip(0, BINS - 1).astype(np.uint16)
        scaled = np.subtract(chunk, np.float32(start), out=self._scratch[: chunk.size])
        scaled *= np.float32(BINS / width)
        np.clip(scaled, 0, BINS - 1, out=scaled)
        return scaled.astype(np.uint16)
