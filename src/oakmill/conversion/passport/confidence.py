"""How sure a model is of what it sees, image by image: the means to find wrong preprocessing without labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.classification import Classifier, probabilities
from oakmill.conversion.passport.tasks import Task

MANY = 8
"""Images below which nothing is clear."""
CLEAR, ERRORS = 0.02, 3.0
"""By how much a model must be surer, on average and in standard errors of the difference, image by image: feeding a
model otherwise that is fed rightly costs certainty or changes nothing, and chance reaches three errors once in 700."""
SEES = 0.25
"""From which a model sees something in an image. Below, a difference is the noise of what it does not know: a detector
with 5 % on drawings was 4.8 standard errors surer with its right colours exchanged, at 9 %; and UltraFace's wrong order
on 64 photos shows in the 37 with something like a face (3.1 errors), which the others hid (2.9)."""


def clarity(task: Task, outputs: Outputs) -> float:
    """How clear a model is on one image, 0 to 1: of a classifier, how far all its scores are from being even.

    That is one less the entropy's share of the most. Which of two colour orders is right shows in it with half as many
    photos as in the highest score alone (squeezenet1.1, 64 photos: 4.0 standard errors, where that has 2.5).
    """
    if not isinstance(task, Classifier):
        return task.certainty(outputs)
    scores = probabilities(outputs[task.output], task.is_softmax)
    entropy = -float((scores * np.log(np.maximum(scores, 1e-12))).sum())
    return 1.0 - entropy / math.log(max(scores.size, 2))


@dataclass(frozen=True)
class Confidence:
    """A model's certainty on each image, 0 to 1; `classes` of a classifier, 0 for others."""

    values: tuple[float, ...]
    classes: int = 0

    @property
    def mean(self) -> float:
        """Over the images; NaN of none."""
        return float(np.mean(self.values)) if self.values else math.nan


@dataclass(frozen=True)
class Difference:
    """How much surer on the same images, in the mean and in standard errors of it."""

    mean: float
    errors: float


def paired(first: Confidence, second: Confidence) -> Difference:
    """By how much the second is surer than the first on the same images."""
    differences = np.array(second.values) - np.array(first.values[: len(second.values)])
    if differences.size < 2:
        return Difference(0.0, 0.0)
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(differences.size)
    return Difference(mean, mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0)


def where_seen(first: Confidence, second: Confidence) -> tuple[Confidence, Confidence]:
    """Both on the images in which the model sees something by either of them, which favours neither."""
    pairs = [(a, b) for a, b in zip(first.values, second.values, strict=False) if max(a, b) >= SEES]
    ours, theirs = (tuple(pair[side] for pair in pairs) for side in (0, 1))
    return Confidence(ours, first.classes), Confidence(theirs, second.classes)


def is_clear(first: Confidence, second: Confidence, least: float = CLEAR) -> bool:
    """Whether the second is surer than the first by more than chance does: here and on the hub's page of colours."""
    found = paired(first, second)
    return len(second.values) >= MANY and found.mean >= least and found.errors >= ERRORS
