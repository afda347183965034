"""Says how far a network agrees with the float one, without labels; after its time, that it agrees enough."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from .common import Samples

FEWEST_CLASSES = 5


class Judge:
    """Scores networks from 0 to 1, where 1 is the float network's own score.

    Called as NNCF calls a validation function. NNCF stops when it hears that a network is good enough; so out of
    time it hears just that, and what it has by then is measured afterwards.
    """

    def __init__(self, network: Any, samples: Samples, places: list[int], seconds: float) -> None:
        self._samples = samples
        self._all = len(places)
        self._expected = {place: self._outputs(network, place) for place in places}
        self._seconds = seconds
        self._deadline: float | None = None
        self._whole: list[float] = []
        self.late = False

    @property
    def before(self) -> float | None:
        """The quantized network's score before any layer was put back; NNCF asks for the float one's first."""
        return self._whole[1] if len(self._whole) > 1 else None

    def __call__(self, network: Any, places: Iterable[int]) -> tuple[float, list[float]]:
        """The mean score and each sample's."""
        wanted = list(places)
        if self._deadline is None:  # the quantization before the first question is not counted
            self._deadline = time.monotonic() + self._seconds
        if time.monotonic() > self._deadline:
            self.late = True
            return 1.0, [1.0] * len(wanted)
        found = self.measure(network, wanted)
        if len(wanted) == self._all:
            self._whole.append(found[0])
        return found

    def measure(self, network: Any, places: Iterable[int]) -> tuple[float, list[float]]:
        """The same whatever the time is."""
        scores = [
            float(
                np.mean(
                    [
                        agreement(*pair)
                        for pair in zip(self._expected[place], self._outputs(network, place), strict=True)
                    ]
                )
            )
            for place in places
        ]
        return float(np.mean(scores)), scores

    def _outputs(self, network: Any, place: int) -> list[Any]:
        return [np.array(values) for values in network(self._samples[place]).values()]


def agreement(expected: Any, found: Any) -> float:
    """How far two arrays agree, 0 to 1: their correlation; of a row of scores, also whether the highest is the same."""
    a, b = (values.astype(np.float64).ravel() for values in (expected, found))
    likeness = _correlation(a, b)
    if expected.size != max(expected.shape, default=0) or expected.size < FEWEST_CLASSES:
        return likeness
    return (likeness + float(a.argmax() == b.argmax())) / 2


def _correlation(a: Any, b: Any) -> float:
    if not np.isfinite(b).all():
        return 0.0
    x, y = a - a.mean(), b - b.mean()
    power = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return max(0.0, float((x * y).sum()) / power) if power > 0 else float(np.allclose(a, b))
