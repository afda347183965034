"""The agreement of segmentation: each pixel of the same class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport import pixels
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.metric import Metric
from oakmill.conversion.passport.regions import Regions
from oakmill.conversion.passport.tasks import (
    DECLARED,
    ClassAgreement,
    Gallery,
    Seen,
    Sighting,
    TaskAgreement,
    by_key,
    confusions_of,
    label,
    share,
)

SHOWN = 160
"""The most pixels of a mask along a side that are kept to be shown."""
LISTED = 6
"""Classes of a mask that are named beside it."""
COLOURS = np.array(
    [
        (0, 0, 0, 0), (51, 120, 255, 150), (255, 120, 40, 150), (60, 180, 90, 150), (200, 70, 200, 150),
        (240, 200, 40, 150), (40, 200, 210, 150), (230, 60, 90, 150), (150, 110, 70, 150),
    ], np.uint8,
)  # fmt: skip
"""Of classes in a drawing, red, green, blue and how dense: none of the first, the others in turn."""
MOST_CLASSES = 4096
CLEAR = 0.8
"""The share of a mask's pixels that are within a tenth of 0 or 1: what is left are its borders."""
SMALL = 0.01
"""The share of an image below which a mask is all border: there a pixel more or less is no other mask."""
MANY = 16
"""Regions of one class from which on they are things to be counted, as lines of text are: a person's mask is one."""

Counts = NDArray[np.int64]


@dataclass
class Segmentation:
    """One output of masks: [1, K, H, W] or [1, H, W, K] scores, of which the highest wins; K = 1 is one class over a
    threshold; or integers [1, H, W], class numbers. `axis` is that of the scores' classes."""

    output: str
    names: tuple[str, ...] = ()
    guessed: bool = True
    axis: int = 1
    _maps: bool = True
    _reference: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    _candidate: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    _both: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    _least: float = float("nan")
    _regions: Regions = field(default_factory=Regions)
    _by_image: list[float] = field(default_factory=list)
    _gallery: Gallery = field(default_factory=Gallery)
    _pairs: Counter[tuple[int, int]] = field(default_factory=Counter)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The one output."""
        return (self.output,)

    def add(self, image: str, reference: Outputs, candidate: Outputs) -> None:
        """Add one image's masks."""
        if np.asarray(reference[self.output]).dtype.kind in "iu":  # a file may give the classes' numbers as floats
            candidate = {self.output: np.rint(candidate[self.output]).astype(np.int64)}
        threshold = self.threshold(reference)
        self._maps &= are_masks(self._scores(reference))
        a, b = (self.classes(outputs, threshold) for outputs in (reference, candidate))
        if self._is_one_class(reference):
            self._regions.add(a > 0, b > 0)
        size = max(int(a.max(initial=0)), int(b.max(initial=0)), len(self._reference) - 1) + 1
        same = a == b
        self._reference = _added(self._reference, a, size)
        self._candidate = _added(self._candidate, b, size)
        self._both = _added(self._both, a[same], size)
        if (a > 0).mean() >= SMALL:
            self._least = float(np.fmin(self._least, (same & (a > 0)).sum() / ((a > 0) | (b > 0)).sum()))
        agreement = float(same.mean()) if same.size else 1.0
        self._by_image.append(agreement)
        self._pairs.update(_pairs_of(a[~same], b[~same]))
        self._gallery.add(image, agreement, _worth(a), lambda: (self._sighting(a), self._sighting(b)))

    def threshold(self, outputs: Outputs) -> float:
        """The score from which a pixel is of the one class: half of a probability, 0 of a logit."""
        scores = self._scores(outputs)
        return 0.5 if scores.min(initial=0) >= 0 and scores.max(initial=0) <= 1 else 0.0

    def classes(self, outputs: Outputs, threshold: float) -> Counts:
        """The class of each pixel, [H, W]."""
        return classes_of(self._scores(outputs), threshold)

    def _is_one_class(self, outputs: Outputs) -> bool:
        scores = self._scores(outputs)
        return scores.ndim == 4 and scores.shape[1] == 1

    def _scores(self, outputs: Outputs) -> NDArray[Any]:
        """The output, with its classes in front of rows and columns where it has any; [1, H, W] of classes' numbers."""
        values = np.asarray(outputs[self.output])
        if values.ndim == 4 and values.shape[self.axis] == 1 and values.dtype.kind in "iu" and (values > 1).any():
            return values.squeeze(self.axis)
        return values.transpose(0, 3, 1, 2) if values.ndim == 4 and self.axis == 3 else values

    def is_probable(self, outputs: Outputs) -> bool:
        """Whether each pixel has the probabilities of several classes, and neither a class's number nor raw scores."""
        scores = self._scores(outputs)
        return bool(scores.ndim == 4 and scores.shape[1] > 1 and scores.min(initial=0) >= 0 and scores.max() <= 1)

    def certainty(self, outputs: Outputs) -> float:
        """The mean over the pixels of the winner's score, where scores are probabilities; else 0."""
        return float(self._scores(outputs)[0].max(axis=0).mean()) if self.is_probable(outputs) else 0.0

    def agreement(self) -> TaskAgreement:
        """What was found so far."""
        origin = "taken for masks by its shape" if self.guessed else DECLARED
        return TaskAgreement(
            f"Segmentation ({self.output})" if self.output else "Segmentation",
            "segmentation",
            self.outputs,
            self._metrics(),
            len(self._by_image),
            f"the class of each pixel; {origin}",
            self._gallery.worst.sorted(),
            self._seen(),
            tuple(self._by_image),
            self.guessed,
            self.decides,
            self._maps,
            best=self._gallery.best.sorted(),
            confusions=confusions_of(self._pairs),
        )

    def _sighting(self, classes: Counts) -> Sighting:
        """The mask, and the classes in it with their shares of the image and their colours, the largest first."""
        step = max(1, -(-max(classes.shape) // SHOWN))
        counts = np.bincount(classes.ravel())
        present = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index] >= SMALL * classes.size]
        colours = [
            "#{:02x}{:02x}{:02x}".format(*colour) for colour in COLOURS[_places(np.array(present, np.int64)), :3]
        ]
        seen = (
            Seen(label(self.names, index), float(counts[index] / classes.size), colour=colour if index else "")
            for index, colour in zip(present[:LISTED], colours, strict=False)
        )
        return Sighting(tuple(seen), mask=pixels.png(COLOURS[_places(classes[::step, ::step])]))

    @property
    def decides(self) -> bool:
        """Where an archive says so, or where its values are those of masks on every image."""
        return not self.guessed or self._maps

    def _metrics(self) -> dict[str, Metric]:
        if self.guessed and not (self._reference[1:].any() or self._candidate[1:].any()):  # nothing over a threshold
            return by_key(Metric("pixels", "pixels of the same class", float("nan")))
        seen = self._reference > 0
        union = (self._reference + self._candidate - self._both)[seen]
        mean = float((self._both[seen] / union).mean()) if seen.any() else float("nan")
        alike = share(float(self._both.sum()), float(self._reference.sum()))
        # The borders of INT8 masks move by a pixel, which at 512 x 512 is 1 to 3 % of the pixels.
        return by_key(
            Metric("pixels", "pixels of the same class", alike, ok=0.95, error=0.85),
            Metric("mean_iou", "mean IoU of the float model's classes", mean, "", ok=0.8, error=0.6),
            Metric("least_iou", "IoU on the image where it is least", self._least, ""),
            *self._counted(),
        )

    def _counted(self) -> Iterator[Metric]:
        """The regions, where there are many."""
        if self._regions.reference >= MANY:
            words = f"of {self._regions.reference} regions the share that is in both"
            yield Metric("regions", words, self._regions.f1, ok=0.95, error=0.75)

    def _seen(self) -> tuple[ClassAgreement, ...]:
        found = np.flatnonzero(self._reference + self._candidate)
        found = found[np.argsort(-self._reference[found], kind="stable")]
        return tuple(
            ClassAgreement(
                int(index),
                label(self.names, int(index)),
                int(self._reference[index]),
                int(self._candidate[index]),
                int(self._both[index]),
            )
            for index in found
        )


def are_masks(scores: NDArray[Any]) -> bool:
    """Whether maps [1, K, H, W] are masks for certain: of several classes they sum up to 1 at each pixel; one is nearly
    0 or 1 at most of them, as saliency and regions of text are, and depth and brightness are not."""
    if (
        scores.ndim != 4
        or not np.isfinite(scores).all()
        or scores.min(initial=0) < -1e-3
        or scores.max(initial=0) > 1.001
    ):
        return False
    if scores.shape[1] > 1:
        return bool(np.abs(scores.sum(axis=1) - 1).max(initial=0) < 0.02)
    return float((np.abs(scores - 0.5) > 0.4).mean()) >= CLEAR


def classes_of(output: NDArray[Any], threshold: float = 0.5) -> Counts:
    """The class of each pixel, [H, W]."""
    if output.ndim == 4 and output.shape[1] == 1:
        classes = output[0, 0] > threshold
    elif output.ndim == 4:
        classes = output[0].argmax(axis=0)
    else:
        classes = np.clip(np.nan_to_num(output[0].astype(np.float64)), 0, MOST_CLASSES - 1)
    return np.asarray(classes, np.int64)


def _added(counts: Counts, classes: Counts, size: int) -> Counts:
    result: Counts = np.bincount(classes.ravel(), minlength=size)
    result[: len(counts)] += counts
    return result


def _pairs_of(a: Counts, b: Counts) -> Counter[tuple[int, int]]:
    """How often each pair of classes stands at the same pixel."""
    if not a.size:
        return Counter()
    size = int(max(a.max(), b.max())) + 1
    codes, counts = np.unique(a * size + b, return_counts=True)
    return Counter({divmod(code, size): count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)})


def _worth(classes: Counts) -> float:
    """How well an image shows what a segmenter does: several classes, and none that is all of it."""
    shares = np.bincount(classes.ravel()) / max(classes.size, 1)
    return float(1 - (shares**2).sum())


def _places(classes: Counts) -> Counts:
    """The rows of `COLOURS` that classes are drawn in."""
    found: Counts = np.where(classes > 0, 1 + (classes - 1) % (len(COLOURS) - 1), 0)
    return found
