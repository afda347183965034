"""The agreement of classifiers: the same class first, the same class among five, and as sure of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.metric import Metric
from oakmill.conversion.passport.tasks import (
    BESIDE,
    DECLARED,
    ENOUGH,
    Gallery,
    Seen,
    Sighting,
    TaskAgreement,
    by_key,
    classes_seen,
    confusions_of,
    label,
    share,
)

UNDECIDED = "; nothing shows that it is one, so it decides nothing (an NN Archive can declare its head)"
IMAGENET = (1000, 1001, 21841, 21843)
"""Numbers of classes that no regression and no embedding has: ImageNet's, its with a background, and of its whole."""
SURE = 0.5
"""The float model's score from which its first class leaves no other one as likely: there a change is a loss."""

Floats = NDArray[np.float64]


def probabilities(scores: NDArray[Any], is_softmax: bool | None = None) -> Floats:
    """Scores [K] as probabilities: as they are where they lie within 0 to 1 and sum up to 1, else their softmax.

    `is_softmax` settles what a vector is, where an archive says so.
    """
    values: Floats = np.nan_to_num(scores.ravel().astype(np.float64), posinf=1e30, neginf=-1e30)
    if looks_like_probabilities(values) if is_softmax is None else is_softmax:
        return values
    powers: Floats = np.exp(values - values.max(initial=-1e30))
    result: Floats = powers / powers.sum()
    return result


def looks_like_probabilities(values: Floats) -> bool:
    """Whether scores lie within 0 to 1 and sum up to 1, as a softmax leaves them."""
    return bool(values.min(initial=0) >= -1e-3 and abs(values.sum() - 1) < 0.02)


@dataclass
class Classifier:
    """One output that is a vector of scores."""

    output: str
    names: tuple[str, ...] = ()
    is_softmax: bool | None = None
    guessed: bool = True
    _reference: Counter[int] = field(default_factory=Counter)
    _candidate: Counter[int] = field(default_factory=Counter)
    _both: Counter[int] = field(default_factory=Counter)
    _top5: int = 0
    _sure: int = 0
    _sure_same: int = 0
    _shift: float = 0.0
    _classes: int = 0
    _certain: float = 0.0
    _probabilities: bool = True
    _logits: bool = False
    _by_image: list[float] = field(default_factory=list)
    _gallery: Gallery = field(default_factory=Gallery)
    _pairs: Counter[tuple[int, int]] = field(default_factory=Counter)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The one output."""
        return (self.output,)

    def add(self, image: str, reference: Outputs, candidate: Outputs) -> None:
        """Add one image's scores."""
        first = np.asarray(reference[self.output]).ravel()
        if self.is_softmax is None and first.size:
            self.is_softmax = looks_like_probabilities(first.astype(np.float64))
        a, b = probabilities(first, self.is_softmax), probabilities(candidate[self.output], self.is_softmax)
        top_a, top_b = int(a.argmax()), int(b.argmax())
        self._classes = a.size
        self._certain += float(a[top_a])
        self._probabilities &= looks_like_probabilities(first.astype(np.float64))
        self._logits |= bool(first.min() < 0)
        self._reference[top_a] += 1
        self._candidate[top_b] += 1
        self._both[top_a] += top_a == top_b
        self._pairs[top_a, top_b] += 1
        self._top5 += int(top_a in np.argpartition(-b, min(4, b.size - 1))[:5])
        self._sure += int(a[top_a] >= SURE)
        self._sure_same += int(a[top_a] >= SURE and top_a == top_b)
        shift = float(abs(a[top_a] - b[top_a]))
        self._shift += shift
        self._keep(image, a, b, (1 - min(shift, 1)) / (1 if top_a == top_b else 2))

    def _keep(self, image: str, a: Floats, b: Floats, agreement: float) -> None:
        self._by_image.append(agreement)
        self._gallery.add(image, agreement, float(a.max()), lambda: (self._sighting(a), self._sighting(b)))

    def _sighting(self, scores: Floats) -> Sighting:
        best = np.argsort(-scores, kind="stable")[:5]
        return Sighting(tuple(Seen(label(self.names, int(index)), float(scores[index])) for index in best))

    def certainty(self, outputs: Outputs) -> float:
        """The highest probability."""
        return float(probabilities(outputs[self.output], self.is_softmax).max())

    def sees(self, outputs: Outputs) -> Sighting:
        """The five classes that a model finds likeliest on one image."""
        return self._sighting(probabilities(outputs[self.output], self.is_softmax))

    def agreement(self) -> TaskAgreement:
        """What was found so far."""
        scores = "scores" if self.is_softmax else "scores, brought to probabilities by a softmax"
        origin = "taken for a classifier by its shape" if self.guessed else DECLARED
        few = len(self._by_image) < ENOUGH
        if not self.decides:
            origin += UNDECIDED
        elif few:
            origin += f"; fewer than {ENOUGH} images{BESIDE}"
        return TaskAgreement(
            f"Classification ({self.output})" if self.output else "Classification",
            "classification",
            self.outputs,
            self._metrics(),
            len(self._by_image),
            f"{self._classes} {scores}; {origin}",
            self._gallery.worst.sorted(),
            classes_seen(self.names, self._reference, self._candidate, self._both),
            tuple(self._by_image),
            self.guessed,
            self.decides,
            self.evident,
            few=few,
            best=self._gallery.best.sorted(),
            confusions=confusions_of(self._pairs),
        )

    @property
    def decides(self) -> bool:
        """Whether the vector is certainly scores of classes, not coordinates, angles or an embedding.

        It is where an archive says so, or where there is evidence in what it holds.
        """
        return not self.guessed or self.evident

    @property
    def evident(self) -> bool:
        """Probabilities on every image, or ImageNet's number of logits one of which mostly stands out.

        Of few numbers in large units, as three angles in degrees, one always stands out to a softmax.
        """
        mean = self._certain / max(len(self._by_image), 1)
        logits = self._classes in IMAGENET and self._logits and mean >= 0.3
        return bool(self._by_image) and (self._probabilities or logits)

    def _metrics(self) -> dict[str, Metric]:
        images = len(self._by_image)
        # INT8 of good calibration keeps 94 to 99 % of the first classes with no loss of accuracy: what changes are
        # images that the float model is unsure of. Calibrated on noise it keeps 60 to 75 %.
        same = share(self._both.total(), images)
        metrics = [Metric("top1", "top-1 agreement", same, ok=0.90, error=0.80)]
        if self._classes > 5:
            metrics.append(
                Metric("top5", "float's top class within top 5", share(self._top5, images), ok=0.95, error=0.9)
            )
        if self._sure >= 8:  # where it is sure, a change is an error
            words = "top-1 agreement where the float model is sure"
            metrics.append(Metric("top1_sure", words, share(self._sure_same, self._sure), ok=0.95, error=0.85))
        # A threshold of 0.5 in an application moves by this much; twice the outputs' scale shifts it by 0.2 and more.
        shift = share(self._shift, images)
        metrics.append(Metric("confidence_shift", "mean change of confidence", shift, unit="", ok=0.08, error=0.2))
        return by_key(*metrics)
