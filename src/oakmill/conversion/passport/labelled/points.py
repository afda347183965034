"""Keypoints by labels: average precision by object keypoint similarity (OKS), as COCO's own library has it.

A person is found where the model's keypoints lie near the labelled ones, by the size of the person and by how exactly
people place each kind of point: https://cocodataset.org/#keypoints-eval. Points count in the image's own pixels, as a
stretched input would measure across and down by different rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from oakmill.calibration.images import placed
from oakmill.calibration.labels import ImageLabels, Thing
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.labelled.accuracy import Accuracy
from oakmill.conversion.passport.labelled.boxes import LOWEST, AgainstThings, Floats, Side, matched, overlaps, score
from oakmill.heads.boxes import Boxes

MOST = 20
"""Sets of keypoints of an image that count, as COCO's."""
OUTLINE = 0.53
"""Of a box, the part that its thing fills where labels have no outline: as Ultralytics takes it."""


@dataclass
class Keypoints(AgainstThings):
    """The outputs that one decoder reads, and keypoints beside them, against keypoints of things."""

    _other: str = ""

    def add(self, image: str, reference: Outputs | None, candidate: Outputs) -> None:
        """Add one image's outputs; one of which nobody says anything does not count."""
        labelled = self.truth.by_name.get(image)
        if labelled is None or labelled.things is None:
            return
        given = [
            None if outputs is None else self.task.with_keypoints(outputs, LOWEST, MOST)
            for outputs in (reference, candidate)
        ]
        self._match_classes(next(boxes.classes for boxes, _ in filter(None, given)))
        things = [self._thing(labelled, thing, place) for place, thing in enumerate(labelled.things, 1)]
        self._things += sum(not thing["ignore"] for thing in things)
        self._both = self._both and reference is not None
        for side, said in zip((self._reference, self._candidate), given, strict=True):
            if said is not None:
                self._match(side, labelled, things, *said)
        self._images += 1

    def _thing(self, image: ImageLabels, thing: Thing, number: int) -> dict[str, Any]:
        """As COCO's library takes it, in pixels of the image; points that the model does not see are not labelled."""
        points = np.array(thing.points, np.float64).reshape(-1, 3)
        seen = (points[:, 2] > 0) & self._is_inside(image, points)
        width, height = image.size
        x0, y0, x1, y1 = (float(value) for value in np.array(thing.box) * (width, height, width, height))
        box = [x0, y0, x1 - x0, y1 - y0]
        ignored = bool(thing.crowd or not seen.any())
        return {
            "id": number,
            "label": thing.label,
            "bbox": box,
            "area": thing.area * width * height or OUTLINE * box[2] * box[3],
            "keypoints": np.column_stack([points[:, :2] * (width, height), seen]).ravel(),
            "points": len(points),
            "iscrowd": int(ignored),
            "ignore": int(ignored),
        }

    def _is_inside(self, image: ImageLabels, points: Floats) -> Any:
        """Which points the model's input shows."""
        (a, b), (c, d) = self._placed(image)
        found = points[:, :2] * (a, c) + (b, d)
        return ((found >= 0) & (found <= 1)).all(axis=1)

    def _placed(self, image: ImageLabels) -> tuple[tuple[float, float], tuple[float, float]]:
        assert self.truth.size is not None
        return placed(image.size, (self.truth.size[1], self.truth.size[0]), self.truth.resize)

    def _match(
        self, side: Side, image: ImageLabels, things: list[dict[str, Any]], boxes: Boxes, points: Floats | None
    ) -> None:
        assert self._map is not None
        count = points.shape[1] if points is not None else 0
        own = [thing for thing in things if thing["points"] == count or thing["points"] == 0]
        if points is None or (things and not any(thing["points"] == count for thing in things)):
            said = sorted({thing["points"] for thing in things if thing["points"]})
            self._other = f"the labels have {said} keypoints of a thing, the model {count}" if said else self._other
            return
        (a, b), (c, d) = self._placed(image)
        pixels = (points[..., :2] - (b, d)) / (a, c) * image.size
        for label in sorted(set(self._map.to_model.values())):
            wanted = [_padded(thing, count) for thing in own if self._map.to_model.get(thing["label"]) == label]
            found = [
                {"id": row + 1, "score": float(boxes.scores[row]), "area": 1.0, "keypoints": _flat(pixels[row])}
                for row in np.flatnonzero(boxes.labels == label)
            ]
            evaluation = _evaluation(count)
            if (one := matched(evaluation, evaluation.computeOks, wanted, found, MOST)) is not None:
                side.found.setdefault(label, []).append((self._images, one))

    @property
    def counts(self) -> bool:
        """Whether there is anything to judge by now."""
        return self._things > 0 and bool(self._candidate.found)

    @property
    def matching(self) -> str:
        """How the labels' classes were matched with the model's, in words; or why nothing was."""
        return self._other or (self._map.words if self._map else "")

    def accuracy(self) -> Accuracy | None:
        """What was found so far; None where there was nothing to find."""
        if not self.counts or self._map is None:
            return None
        every = range(len(overlaps()))
        reference = self._reference if self._both else None
        scores = tuple(
            score(key, words, at, reference, self._candidate, self._images)
            for key, words, at in (("oks_ap", "AP by OKS", every), ("oks_ap50", "AP50 by OKS", every[:1]))
        )
        labels = f"{self._things} things with keypoints, {self.truth.labels.source}"
        return Accuracy("Keypoints", "keypoints", self._images, labels, scores, self._map.words)


def _padded(thing: dict[str, Any], count: int) -> dict[str, Any]:
    """One without points has so many that nobody labelled."""
    return thing if thing["points"] else {**thing, "keypoints": np.zeros(3 * count)}


def _flat(points: Floats) -> Floats:
    return np.column_stack([points, np.ones(len(points))]).ravel()


def _evaluation(count: int) -> Any:
    """COCO's own, with its constants for the 17 points of people; of others all are alike, as Ultralytics has it."""
    from pycocotools.cocoeval import COCOeval

    evaluation = COCOeval(iouType="keypoints")
    if count != len(evaluation.params.kpt_oks_sigmas):
        evaluation.params.kpt_oks_sigmas = np.full(count, 1 / count)
    return evaluation
