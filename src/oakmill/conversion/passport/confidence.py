"""How sure a model is of what it sees, image by image: the means to find wrong preprocessing without labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.tasks import Task


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


def measure(tasks: Sequence[Task], runs: Iterable[Outputs]) -> Confidence | None:
    """The certainty on each run's outputs by the first task that says one; None without a task.

    A classifier's is the highest probability, a detector's the mean of its three highest scores.
    """
    if not tasks:
        return None
    task, values, classes = tasks[0], [], 0
    for outputs in runs:
        values.append(task.certainty(outputs))
        if len(task.outputs) == 1 and outputs[task.outputs[0]].ndim in (1, 2):
            classes = outputs[task.outputs[0]].size
    return Confidence(tuple(values), classes)


def paired(first: Confidence, second: Confidence) -> Difference:
    """By how much the second is surer than the first on the same images."""
    differences = np.array(second.values) - np.array(first.values[: len(second.values)])
    if differences.size < 2:
        return Difference(0.0, 0.0)
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(differences.size)
    return Difference(mean, mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0)
