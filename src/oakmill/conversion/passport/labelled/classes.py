"""Classifiers by labels: how often the right class comes first, and among the first five."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.labelled import bootstrap
from oakmill.conversion.passport.labelled.accuracy import Accuracy, Score
from oakmill.conversion.passport.labelled.truth import ClassMap, Truth

FIVE = 5


@dataclass
class Classes:
    """One output that is a vector of scores, against the class of each image."""

    truth: Truth
    output: str
    names: tuple[str, ...] = ()
    _map: ClassMap | None = None
    _reference: list[int] = field(default_factory=list)
    _candidate: list[int] = field(default_factory=list)
    _size: int = 0

    def add(self, image: str, reference: Outputs | None, candidate: Outputs) -> None:
        """Add one image's scores; an image whose class nobody says, or the model does not know, does not count."""
        labelled = self.truth.by_name.get(image)
        scores = np.asarray(candidate[self.output]).ravel()
        self._map = self._map or self.truth.class_map(self.names, scores.size)
        label = self._map.to_model.get(labelled.label) if labelled and labelled.label is not None else None
        if label is None or label >= scores.size:
            return
        self._size = scores.size
        self._candidate.append(_rank(scores, label))
        if reference is not None:
            self._reference.append(_rank(np.asarray(reference[self.output]).ravel(), label))

    @property
    def counts(self) -> bool:
        """Whether there is anything to judge by now."""
        return bool(self._candidate)

    @property
    def matching(self) -> str:
        """How the labels' classes were matched with the model's, in words."""
        return self._map.words if self._map else ""

    def accuracy(self) -> Accuracy | None:
        """What was found so far; None of no image."""
        if not self.counts or self._map is None:
            return None
        scores = [self._score("top1", "top-1", 1)]
        if self._size > FIVE:
            scores.append(self._score("top5", "top-5", FIVE))
        labels = self.truth.labels.source
        return Accuracy(
            "Classification", "classification", len(self._candidate), labels, tuple(scores), self._map.words
        )

    def _score(self, key: str, words: str, first: int) -> Score:
        """The share of images whose class is among the first so many."""
        read, right = (np.array(ranks, np.int64) < first for ranks in (self._reference, self._candidate))
        return Score(key, words, *bootstrap.of_shares(read, right))


def _rank(scores: NDArray[np.generic], label: int) -> int:
    """How many classes score higher; of equal scores the first comes first, and a NaN is below all."""
    values = np.nan_to_num(scores.astype(np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    if np.isnan(float(scores[label])):
        return int(values.size)
    return int((values > values[label]).sum() + (values[:label] == values[label]).sum())
