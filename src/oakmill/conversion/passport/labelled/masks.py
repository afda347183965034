"""Segmentation by labels: mean IoU over the classes that are there, and the share of pixels that are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oakmill.calibration.images import placed
from oakmill.calibration.labels import ImageLabels
from oakmill.calibration.labels.labels import IGNORED
from oakmill.calibration.labels.masks import pixels
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.labelled import bootstrap
from oakmill.conversion.passport.labelled.accuracy import Accuracy, Score
from oakmill.conversion.passport.labelled.truth import ClassMap, Truth
from oakmill.conversion.passport.segmentation import Segmentation

Counts = NDArray[np.int64]
UNKNOWN = -1
"""A pixel that nobody labelled, that lies outside of the image, or is of a class that the model does not know."""


@dataclass
class Pixels:
    """One output of masks, against the class of each pixel."""

    truth: Truth
    task: Segmentation
    _map: ClassMap | None = None
    _reference: list[Counts] = field(default_factory=list)
    _candidate: list[Counts] = field(default_factory=list)

    def add(self, image: str, reference: Outputs | None, candidate: Outputs) -> None:
        """Add one image's masks; one without a mask of people's does not count."""
        labelled = self.truth.by_name.get(image)
        if labelled is None or labelled.mask is None:
            return
        first = candidate if reference is None else reference
        threshold = self.task.threshold(first)
        found = self.task.classes(candidate, threshold)
        right = self._right(labelled, found.shape[:2])
        self._candidate.append(_counted(right, found))
        if reference is not None:
            self._reference.append(_counted(right, self.task.classes(reference, threshold)))

    def _right(self, image: ImageLabels, shape: tuple[int, ...]) -> Counts:
        """The model's class of each pixel of its output [H, W], by the nearest one of the mask."""
        assert image.mask is not None
        mask = pixels(Path(image.mask))
        across, down = placed(image.size, (self._size[1], self._size[0]), self.truth.resize)
        rows, columns = (
            np.floor(((np.arange(count) + 0.5) / count - b) / a * length).astype(np.int64)
            for count, (a, b), length in zip(shape, (down, across), mask.shape, strict=True)
        )
        inside = ((rows >= 0) & (rows < mask.shape[0]))[:, None] & ((columns >= 0) & (columns < mask.shape[1]))
        seen = mask[np.clip(rows, 0, mask.shape[0] - 1)[:, None], np.clip(columns, 0, mask.shape[1] - 1)]
        return np.where(inside, self._mapped(seen), UNKNOWN)

    @property
    def _size(self) -> tuple[int, int]:
        assert self.truth.size is not None
        return self.truth.size

    def _mapped(self, mask: Counts) -> Counts:
        """The labels' classes as the model's."""
        self._map = self._map or self.truth.class_map(self.task.names, used=self.truth.listed)
        table = np.full(max(int(mask.max(initial=0)), IGNORED) + 1, UNKNOWN, np.int64)
        for label, own in self._map.to_model.items():
            if label < len(table) and label != IGNORED:
                table[label] = own
        return table[mask]

    @property
    def counts(self) -> bool:
        """Whether there is anything to judge by now."""
        return any(item[0].any() for item in self._candidate)

    @property
    def matching(self) -> str:
        """How the labels' classes were matched with the model's, in words."""
        return self._map.words if self._map else ""

    def accuracy(self) -> Accuracy | None:
        """What was found so far; None where no pixel counts."""
        if not self.counts:
            return None
        scores = (
            self._score("mean_iou", "mean IoU", _mean_iou, ""),
            self._score("pixels", "right pixels", _share, "%"),
        )
        images = len(self._candidate)
        return Accuracy("Segmentation", "segmentation", images, self.truth.labels.source, scores, self.matching)

    def _score(self, key: str, words: str, measure: Callable[[Counts], float], unit: str) -> Score:
        reference = _measure(self._reference, measure) if self._reference else None
        candidate, once = _measure(self._candidate, measure), np.ones(len(self._candidate), np.int64)
        means = (reference(once) if reference else float("nan")), candidate(once)
        drawn = bootstrap.draws(len(self._candidate))
        return Score(key, words, *means, *bootstrap.intervals(reference, candidate, drawn), unit=unit)


def _counted(right: Counts, found: Counts) -> Counts:
    """By class, pixels that are of it, that are taken for it, and both, [3, classes]."""
    known = right != UNKNOWN
    right, found = right[known], found[known]
    size = max(int(right.max(initial=0)), int(found.max(initial=0))) + 1
    each = (right, found, right[right == found])
    return np.stack([np.bincount(values, minlength=size) for values in each]).astype(np.int64)


def _measure(images: list[Counts], measure: Callable[[Counts], float]) -> bootstrap.Measure:
    size = max(item.shape[1] for item in images)
    table = np.stack([np.pad(item, ((0, 0), (0, size - item.shape[1]))) for item in images])
    return lambda row: measure(np.tensordot(row, table, axes=1))


def _mean_iou(total: Counts) -> float:
    """Over the classes that are there."""
    there = total[0] > 0
    union = (total[0] + total[1] - total[2])[there]
    return float((total[2][there] / union).mean()) if there.any() else float("nan")


def _share(total: Counts) -> float:
    return float(total[2].sum() / total[0].sum()) if total[0].any() else float("nan")
