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


def mean(right: NDArray[np.bool_], row: Counts) -> float:
    """The share of images that are right, each counted as `row` says."""
    return float((right * row).sum() / row.sum())
