"""Detectors by labels: average precision as COCO defines it, matched by its own library.

AP is the mean over overlaps of 0.50 to 0.95, over classes, and over 101 levels of recall; AP50 that at 0.50:
https://cocodataset.org/#detection-eval. Each image is matched by pycocotools as it comes; precision and recall are
added up here, as a bootstrap counts images more than once or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oakmill.calibration.labels import ImageLabels, Thing
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.detection import Detector
from oakmill.conversion.passport.labelled import bootstrap
from oakmill.conversion.passport.labelled.accuracy import Accuracy, Score
from oakmill.conversion.passport.labelled.truth import ClassMap, Truth
from oakmill.heads.boxes import Boxes

LOWEST = 0.001
"""The score from which a box counts: with a bound, what is found with little certainty would be missing from AP."""
MOST = 100
"""Boxes of an image that count, as COCO's."""
LEAST_SEEN = 0.25
"""A thing of which a crop of the image shows less is one that may be found or not."""
_EVERY_AREA = (0.0, 1e10)
_RECALLS = np.linspace(0, 1, 101)

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


class Matched(NamedTuple):
    """One class on one image: each box's score [n], whether it is right and whether it counts at each overlap [t, n],
    and how many things there are to find."""

    scores: Floats
    right: Truths
    ignored: Truths
    things: int


@dataclass
class Side:
    """One model: what was matched, by class, with the image's place."""

    found: dict[int, list[tuple[int, Matched]]] = field(default_factory=dict)

    def measures(self, overlaps: Sequence[int]) -> bootstrap.Measure:
        """Average precision at these of the overlaps, over all classes."""
        classes = [_joined(items) for items in self.found.values()]

        def measure(row: bootstrap.Counts) -> float:
            each = [value for item in classes if (value := _precision(item, row, overlaps)) is not None]
            return float(np.mean(each)) if each else float("nan")

        return measure


@dataclass
class AgainstThings:
    """Both models' outputs that one decoder reads, against labelled things; what is counted as images come."""

    truth: Truth
    task: Detector
    _map: ClassMap | None = None
    _reference: Side = field(default_factory=Side)
    _candidate: Side = field(default_factory=Side)
    _images: int = 0
    _things: int = 0
    _both: bool = True

    def _match_classes(self, known: int | None) -> None:
        """Match the labels' classes with the model's, of which it shows so many, once."""
        self._map = self._map or self.truth.class_map(self.task.names, len(self.task.names) or known or None)


@dataclass
class Detections(AgainstThings):
    """The outputs that one decoder reads, against boxes of things."""

    _cut: int = 0

    def add(self, image: str, reference: Outputs | None, candidate: Outputs) -> None:
        """Add one image's outputs; one of which nobody says anything does not count."""
        labelled = self.truth.by_name.get(image)
        if labelled is None or labelled.things is None:
            return
        given = [
            None if outputs is None else self.task.boxes(outputs, LOWEST, MOST) for outputs in (reference, candidate)
        ]
        self._match_classes(next(boxes.classes for boxes in given if boxes is not None))
        things = self._seen(labelled)
        self._both = self._both and reference is not None
        for side, boxes in zip((self._reference, self._candidate), given, strict=True):
            if boxes is not None:
                self._match(side, things, boxes)
        self._images += 1

    def _seen(self, image: ImageLabels) -> list[tuple[int, Floats, bool]]:
        """The things as the model sees them: its class, corners, and whether it may be found or not."""
        assert self._map is not None
        things = [thing for thing in image.things or () if thing.label in self._map.to_model]
        corners = self.truth.corners(image, things)
        kept = []
        for thing, box in zip(things, corners, strict=True):
            part = self._part(image, thing, box)
            self._cut += part < LEAST_SEEN
            if part > 0:
                kept.append((self._map.to_model[thing.label], box, thing.crowd or part < LEAST_SEEN))
        self._things += sum(not ignored for _, _, ignored in kept)
        return kept

    def _part(self, image: ImageLabels, thing: Thing, box: Floats) -> float:
        """How much of a thing the model sees."""
        whole = self.truth.corners(image, [thing], cut=False)[0]
        area = float(np.prod(whole[2:] - whole[:2]))
        return float(np.prod(np.clip(box[2:] - box[:2], 0, None))) / area if area > 0 else 0.0

    def _match(self, side: Side, things: Sequence[tuple[int, Floats, bool]], boxes: Boxes) -> None:
        assert self._map is not None
        for label in sorted(set(self._map.to_model.values())):
            own = [(box, ignored) for at, box, ignored in things if at == label]
            matched = match(own, boxes[boxes.labels == label])
            if matched is not None:
                side.found.setdefault(label, []).append((self._images, matched))

    @property
    def counts(self) -> bool:
        """Whether there is anything to judge by now."""
        return self._things > 0

    @property
    def matching(self) -> str:
        """How the labels' classes were matched with the model's, in words."""
        return self._map.words if self._map else ""

    def accuracy(self) -> Accuracy | None:
        """What was found so far; None where there was nothing to find."""
        if not self.counts or self._map is None:
            return None
        every = range(len(overlaps()))
        reference = self._reference if self._both else None
        scores = tuple(
            score(key, key, at, reference, self._candidate, self._images)
            for key, at in (("AP", every), ("AP50", every[:1]))
        )
        note = self._map.words
        if self._cut:
            note += (
                f"; {self._cut} things lie outside what a crop shows, or nearly, and do not count (--resize pad shows "
                "the whole image)"
            )
        labels = f"{self._things} boxes, {self.truth.labels.source}"
        return Accuracy("Detection", "detection", self._images, labels, scores, note)


def score(key: str, words: str, at: Sequence[int], reference: Side | None, candidate: Side, images: int) -> Score:
    """Average precision of both models at these of the overlaps, on so many images."""
    once = np.ones(images, np.int64)
    found = candidate.measures(at)
    first = reference.measures(at) if reference else None
    means = (first(once) if first else float("nan")), found(once)
    drawn = bootstrap.draws(images, bootstrap.DRAWS_OF_AP)
    return Score(key, words, *means, *bootstrap.intervals(first, found, drawn), unit="")


def overlaps() -> Floats:
    """Those at which a box is held against a thing."""
    return np.asarray(_evaluation().params.iouThrs, np.float64)


def _evaluation() -> Any:
    from pycocotools.cocoeval import COCOeval

    return COCOeval(iouType="bbox")


def match(things: Sequence[tuple[Floats, bool]], boxes: Boxes) -> Matched | None:
    """Match the boxes of one class on one image with its things, as COCO does; None where there are neither.

    Args:
        things: corners [4] in parts of the input, and whether it may be found or not.
        boxes: the model's, corners in the same parts.
    """
    evaluation = _evaluation()
    rows = zip(boxes.corners, boxes.scores, strict=True)
    return matched(
        evaluation,
        evaluation.computeIoU,
        [_thing(place + 1, box, ignored=ignored) for place, (box, ignored) in enumerate(things)],
        [{**_thing(place + 1, box, ignored=False), "score": float(score)} for place, (box, score) in enumerate(rows)],
        MOST,
    )


def matched(
    evaluation: Any,
    alike: Callable[[int, int], Any],
    things: Sequence[Mapping[str, Any]],
    found: Sequence[Mapping[str, Any]],
    most: int,
) -> Matched | None:
    """What COCO's library matches of one class on one image, by its measure `alike`; None of nothing and nothing."""
    evaluation._gts[0, 0], evaluation._dts[0, 0] = things, found
    evaluation.ious = {(0, 0): alike(0, 0)}
    answer = evaluation.evaluateImg(0, 0, _EVERY_AREA, most)
    if answer is None:
        return None
    ignored = np.asarray(answer["dtIgnore"], bool)
    right = np.asarray(answer["dtMatches"], np.float64) > 0
    there = int((np.asarray(answer["gtIgnore"]) == 0).sum())
    return Matched(np.asarray(answer["dtScores"], np.float64), right, ignored, there)


def _thing(number: int, corners: Floats, *, ignored: bool) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(value) for value in corners)
    box = [x0, y0, x1 - x0, y1 - y0]
    return {"id": number, "bbox": box, "area": box[2] * box[3], "iscrowd": int(ignored), "ignore": int(ignored)}


class _Class(NamedTuple):
    """All images of one class, the highest score first: each box's image, and what `Matched` has; things by image."""

    image: NDArray[np.int64]
    right: Truths
    ignored: Truths
    things: dict[int, int]


def _joined(items: Sequence[tuple[int, Matched]]) -> _Class:
    scores = np.concatenate([item.scores for _, item in items])
    order = np.argsort(-scores, kind="mergesort")
    image = np.concatenate([np.full(len(item.scores), place, np.int64) for place, item in items])
    right, ignored = (
        np.concatenate(parts, axis=1) for parts in zip(*((i.right, i.ignored) for _, i in items), strict=True)
    )
    things = {place: item.things for place, item in items if item.things}
    return _Class(image[order], right[:, order], ignored[:, order], things)


def _precision(item: _Class, row: bootstrap.Counts, at: Sequence[int]) -> float | None:
    """Average precision of one class, its images counted as `row` says; None where there is nothing to find."""
    there = sum(int(row[place]) * count for place, count in item.things.items())
    if not there:
        return None
    weights = row[item.image]
    means = []
    for level in at:
        counted = weights * ~item.ignored[level]
        right = np.cumsum(counted * item.right[level])
        seen = np.cumsum(counted)
        precision = right / np.maximum(seen, 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        places = np.searchsorted(right / there, _RECALLS, side="left")
        means.append(float(np.append(best, 0.0)[np.minimum(places, len(best))].mean()))
    return float(np.mean(means))
