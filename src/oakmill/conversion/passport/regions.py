"""The regions of a mask, as programs read lines of text or things out of it: what is whole, joined, split or gone.

Most pixels of a mask may be the same while the gap between two words is closed: one region where there were two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]

LEAST = 5e-4
"""The share of a mask below which a region is a speck, whose absence counts for nothing."""
OVERLAP = 0.5
"""Intersection over union of a region that is in both."""


@dataclass
class Regions:
    """Counts, mask by mask, the regions of two and those that are in both."""

    reference: int = 0
    candidate: int = 0
    both: int = 0

    def add(self, reference: NDArray[Any], candidate: NDArray[Any]) -> None:
        """Add the masks [H, W] of one image, true where they are of the class."""
        a, b = labelled(reference), labelled(candidate)
        areas_a, areas_b = np.bincount(a.ravel()), np.bincount(b.ravel())
        pairs, shared = np.unique(a.ravel() * len(areas_b) + b.ravel(), return_counts=True)
        first, second = np.divmod(pairs, len(areas_b))
        overlap = shared / (areas_a[first] + areas_b[second] - shared)
        fits = (first > 0) & (second > 0) & (overlap >= OVERLAP)
        least = LEAST * a.size
        self.both += int(fits.sum())
        self.reference += int(fits.sum()) + _unmatched(areas_a, first[fits], least)
        self.candidate += int(fits.sum()) + _unmatched(areas_b, second[fits], least)

    @property
    def f1(self) -> float:
        """The share of regions that are in both; NaN where there are none."""
        total = self.reference + self.candidate
        return 2 * self.both / total if total else float("nan")


def _unmatched(areas: Labels, matched: Labels, least: float) -> int:
    large = np.flatnonzero(areas[1:] >= least) + 1
    return int(np.setdiff1d(large, matched).size)


def labelled(mask: NDArray[Any]) -> Labels:
    """The number of the region that each pixel of a mask [H, W] is of, from 1 on, 0 outside.

    Pixels that touch by their sides are of one, those that touch by a corner are not.
    """
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    above, here = 0, 0
    while here < len(rows):
        if rows[above] < rows[here] - 1 or (rows[above] == rows[here] - 1 and ends[above] <= starts[here]):
            above += 1
        elif rows[above] == rows[here] - 1 and starts[above] < ends[here]:
            parents[root(here)] = root(above)
            above, here = (above + 1, here) if ends[above] < ends[here] else (above, here + 1)
        else:
            here += 1
    numbers = {found: place for place, found in enumerate(dict.fromkeys(map(root, range(len(rows)))), start=1)}
    labels = np.zeros(mask.shape, np.int64)
    for run in range(len(rows)):
        labels[rows[run], starts[run] : ends[run]] = numbers[root(run)]
    return labels
