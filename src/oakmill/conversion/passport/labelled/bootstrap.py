"""Intervals by bootstrap: the same images drawn again and again with replacement, seeded, and both models on the same.

B. Efron, R. J. Tibshirani: An Introduction to the Bootstrap (1993), chapter 13, percentile intervals.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport.labelled.accuracy import Interval

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Measure = Callable[[Counts], float]
"""The metric of the images, each counted so many times [n]; NaN where nothing is left to measure."""

SEED = 0
SIDES = (2.5, 97.5)
DRAWS = 1000
DRAWS_OF_AP = 200
"""Average precision is sorted anew for each draw: with 200 draws an end of an interval lies within a tenth of it."""


def draws(images: int, count: int = DRAWS) -> Counts:
    """How often each image is in each draw, [count, images]."""
    random = np.random.RandomState(SEED)
    return np.asarray(random.multinomial(images, np.full(images, 1 / images), count), np.int64)


def intervals(reference: Measure | None, candidate: Measure, drawn: Counts) -> tuple[Interval, Interval, Interval]:
    """Of the float model, of the converted one, and of the drop."""
    second = np.array([candidate(row) for row in drawn])
    first = np.array([reference(row) for row in drawn]) if reference else np.full(len(second), np.nan)
    return _interval(first), _interval(second), _interval(first - second)


def _interval(values: Floats) -> Interval:
    known = values[np.isfinite(values)]
    if not known.size:
        return (float("nan"), float("nan"))
    low, high = np.percentile(known, SIDES)
    return (float(low), float(high))


def of_shares(read: NDArray[np.bool_], right: NDArray[np.bool_]) -> tuple[float, float, Interval, Interval, Interval]:
    """Two shares of the same images and their intervals: of the float model (NaN of no image), and of the converted.

    Where no image says otherwise, a bootstrap would be sure of what it cannot know: there the rule of three holds (of n
    images without the event, its share is below 3 / n with 95 %; J. A. Hanley, A. Lippman-Hand, JAMA 249, 1983).
    """
    once, drawn, three = np.ones(right.size, np.int64), draws(right.size), 3 / max(right.size, 1)
    reference = (lambda row: _mean(read, row)) if read.size else None
    first, second, drop = intervals(reference, lambda row: _mean(right, row), drawn)
    if read.size and bool((read == right).all()):
        drop = (-min(three, 1.0), min(three, 1.0))
    means = (reference(once) if reference else float("nan")), _mean(right, once)
    return (*means, _widened(first, three), _widened(second, three), drop)


def _widened(interval: Interval, three: float) -> Interval:
    """Of a share that is 0 or 1 in every draw."""
    if interval == (1.0, 1.0):
        return (max(0.0, 1 - three), 1.0)
    return (0.0, min(1.0, three)) if interval == (0.0, 0.0) else interval


def _mean(right: NDArray[np.bool_], row: Counts) -> float:
    """The share of images that are right, each counted as `row` says."""
    return float((right * row).sum() / row.sum())
