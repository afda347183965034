"""How often which value of the float model became which value of the converted one, counted image by image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport import pixels
from oakmill.conversion.passport.pixels import DataUrl

BINS = 64
SAMPLE = 1 << 16
"""Values of one image that are counted at most, evenly spread: enough for an image, and quick."""


@dataclass(frozen=True)
class ValuePairs:
    """What the pairs show: their range, the share of them on the diagonal and beside it, and a drawing of them all.

    In the drawing float values lie to the right, converted ones upwards, and darker is more often; empty of none.
    """

    low: float | None = None
    high: float | None = None
    near_diagonal: float | None = None
    drawing: DataUrl = ""


class JointHistogram:
    """Counts pairs (float value, converted value) on a square grid that grows with what comes, in constant memory.

    When a value lies outside, the range doubles towards it and neighbouring cells are merged, so that no count is
    ever lost and no range has to be known beforehand.
    """

    def __init__(self, bins: int = BINS) -> None:
        self.counts: NDArray[np.int64] = np.zeros((bins, bins), np.int64)
        """[float value's bin, converted value's bin]"""
        self.low = math.nan
        self.high = math.nan

    def add(self, reference: NDArray[np.float64], candidate: NDArray[np.float64]) -> None:
        """Count pairs: two vectors of the same length; what is not finite in either is left out."""
        step = max(1, -(-reference.size // SAMPLE))
        a, b = reference[::step], candidate[::step]
        finite = np.isfinite(a) & np.isfinite(b)
        a, b = a[finite], b[finite]
        if not a.size:
            return
        self._reach(float(min(a.min(), b.min())), float(max(a.max(), b.max())))
        self._count(a, b)

    def _reach(self, low: float, high: float) -> None:
        if math.isnan(self.low):
            margin = max((high - low) * 0.01, abs(high) * 1e-6, 1e-30)
            self.low, self.high = low - margin, high + margin
        while low < self.low or high > self.high:
            self._double(downwards=low < self.low)

    def _double(self, *, downwards: bool) -> None:
        bins = len(self.counts)
        merged = self.counts.reshape(bins // 2, 2, bins // 2, 2).sum(axis=(1, 3))
        self.counts = np.zeros_like(self.counts)
        half = slice(bins // 2, bins) if downwards else slice(0, bins // 2)
        self.counts[half, half] = merged
        width = self.high - self.low
        if downwards:
            self.low -= width
        else:
            self.high += width

    def _count(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
        bins = len(self.counts)
        scale = bins / (self.high - self.low)
        x, y = (np.clip((values - self.low) * scale, 0, bins - 1).astype(np.int64) for values in (a, b))
        self.counts += np.bincount(x * bins + y, minlength=bins * bins).reshape(bins, bins)

    def occupied(self) -> tuple[NDArray[np.int64], float, float]:
        """The part of the grid that holds counts, still square, and its range."""
        filled = np.flatnonzero(self.counts.sum(axis=0) + self.counts.sum(axis=1))
        first, last = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (0, len(self.counts))
        width = (self.high - self.low) / len(self.counts)
        return self.counts[first:last, first:last], self.low + first * width, self.low + last * width

    def pairs(self, *, drawn: bool = True) -> ValuePairs:
        """What was counted so far; without a drawing where that is not wanted."""
        total = int(self.counts.sum())
        if not total:
            return ValuePairs()
        near = sum(int(np.trace(self.counts, offset)) for offset in (-1, 0, 1))
        counts, low, high = self.occupied()
        return ValuePairs(low, high, round(near / total, 6), _drawing(counts) if drawn else "")


def _drawing(counts: NDArray[np.int64]) -> str:
    shades = np.log1p(counts.T[::-1].astype(np.float64))
    cells = np.zeros((*shades.shape, 4), np.uint8)
    cells[..., :3] = (58, 123, 213)
    cells[..., 3] = np.where(shades > 0, 50 + 205 * shades / float(shades.max()), 0).astype(np.uint8)
    return pixels.png(cells)
