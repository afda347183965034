"""How often a tensor takes which values, and the ranges that follow from it for a quantizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PERCENTILE = 99.999
"""Share of the values within the range, in percent; onnxruntime's own default."""

# Candidate bounds, as octaves below the extreme: to 2^-12, and finer around the best.
_COARSE = np.concatenate([np.arange(0, 3, 1 / 8), np.arange(3, 12.1, 1 / 2)])
_FINE = np.arange(-8, 9) / 64


@dataclass(frozen=True)
class Distribution:
    """Values between `low` and `high`: `count` of them lie evenly from `left` to `right`, arrays [bins] in any order.

    Without bins, only the extremes are known.
    """

    low: float
    high: float
    left: Floats
    right: Floats
    count: Floats

    @classmethod
    def extremes(cls, low: float, high: float) -> Distribution:
        """One of which only the extremes are known."""
        return cls(low, high, *np.zeros((3, 0)))

    @classmethod
    def joined(cls, parts: Sequence[Distribution]) -> Distribution:
        """That of a tensor that holds all values of several."""
        return cls(
            min(part.low for part in parts),
            max(part.high for part in parts),
            np.concatenate([part.left for part in parts]),
            np.concatenate([part.right for part in parts]),
            np.concatenate([part.count for part in parts]),
        )

    def mapped(self, function: Callable[[Floats], Floats]) -> Distribution:
        """That of function(values). Without bins, the function must be monotone.

        A turning point within a bin is missed by at most the function's change within it.
        """
        ends = function(np.array([self.low, self.high]))
        a, b = function(self.left), function(self.right)
        seen = np.concatenate([ends, a, b])
        return Distribution(float(seen.min()), float(seen.max()), np.minimum(a, b), np.maximum(a, b), self.count)

    def percentile(self, percent: float = PERCENTILE) -> tuple[float, float]:
        """The range that holds `percent` of the values, as many left out on either side; by whole bins, outwards."""
        order = np.argsort((self.left + self.right) / 2, kind="stable")
        total = np.cumsum(self.count[order])
        outside = total[-1] * (100 - percent) / 200
        first = order[np.searchsorted(total, outside, side="right")]
        last = order[np.searchsorted(total, total[-1] - outside)]
        return float(self.left[first]), float(self.right[last])

    def least_error(self, bits: int) -> tuple[float, float]:
        """The range, zero in it, that loses least when values are rounded to 2^bits even steps and clipped.

        The loss is the sum of squared errors. A value beyond the range loses its distance to it; one below half a
        step loses itself; any other loses step^2 / 12, the mean of an even spread within a step. Bounds are searched
        in two rounds, to 1/64 of an octave.
        """
        loss = _Loss(self, 2**bits - 1)
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        if low == high:
            return low, high
        bounds = loss.best(low * 2**-_COARSE if low else np.zeros(1), high * 2**-_COARSE if high else np.zeros(1))
        fine = 2**_FINE
        return loss.best(np.maximum(bounds[0] * fine, low), np.minimum(bounds[1] * fine, high))


class _Loss:
    """The squared error of all pairs of bounds at once, from running sums over the sorted bins."""

    def __init__(self, distribution: Distribution, steps: int) -> None:
        middle = (distribution.left + distribution.right) / 2
        order = np.argsort(middle, kind="stable")
        self._steps = steps
        self._values = middle[order]
        count = distribution.count[order]
        moments = np.stack([count, count * self._values, count * self._values**2])
        self._sums: Floats = np.concatenate([np.zeros((3, 1)), np.cumsum(moments, axis=1)], axis=1)

    def best(self, lows: Floats, highs: Floats) -> tuple[float, float]:
        """The pair of least loss; of equals the first."""
        step = (highs[None, :] - lows[:, None]) / self._steps
        below, above = self._up_to(lows), self._sums[:, -1:] - self._up_to(highs)
        small = self._up_to(step / 2) - self._up_to(-step / 2)
        rounded = self._sums[0, -1] - below[0][:, None] - above[0][None, :] - small[0]
        clipped = _distance(below, lows)[:, None] + _distance(above, highs)[None, :]
        loss = clipped + small[2] + np.maximum(rounded, 0) * step**2 / 12
        row, column = np.unravel_index(int(np.argmin(loss)), loss.shape)
        return float(lows[row]), float(highs[column])

    def _up_to(self, bound: Floats) -> Floats:
        """Number, sum and sum of squares of the values below each bound."""
        return self._sums[:, np.searchsorted(self._values, bound)]


def _distance(moments: Floats, bound: Floats) -> Floats:
    """The sum of (value - bound)^2."""
    squares: Floats = np.maximum(moments[2] - 2 * bound * moments[1] + bound**2 * moments[0], 0)
    return squares
