"""Boxes out of a detector's outputs: overlap, suppression of doubles, and matching of two sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CANDIDATES = 2000
"""Boxes that the suppression looks at, the highest scores first: a broken model may score all of its 8,400 high."""


AT_ONCE = 400
"""Boxes up to which all overlaps are computed in one go: quick, and 1 MB."""


@dataclass(frozen=True)
class Boxes:
    """Detections on one image: `corners` [n, 4] as x0, y0, x1, y1 in parts of the input's width and height,
    `scores` [n] of 0 to 1, `labels` [n] the class of each; `classes` is how many there are to tell apart, 0 where that
    is not known."""

    corners: Floats
    scores: Floats
    labels: NDArray[np.int64]
    classes: int = field(default=0, kw_only=True)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: Any) -> Boxes:
        return Boxes(self.corners[index], self.scores[index], self.labels[index], classes=self.classes)


def overlap(a: Floats, b: Floats) -> Floats:
    """Intersection over union of each box of `a` [n, 4] with each of `b` [m, 4], as [n, m]."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared: Floats = np.clip(high - low, 0, None).prod(axis=2)
    total = _area(a)[:, None] + _area(b)[None] - shared
    result: Floats = np.divide(shared, total, out=np.zeros_like(shared), where=total > 0)
    return result


def _area(boxes: Floats) -> Floats:
    area: Floats = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return area


def suppress(boxes: Boxes, iou: float, most: int = 300, *, by_class: bool = True) -> Boxes:
    """Without the boxes that overlap a higher one, of their class or of any, by more than `iou`; at most `most`."""
    return boxes[surviving(boxes, iou, most, by_class=by_class)]


def surviving(boxes: Boxes, iou: float, most: int = 300, *, by_class: bool = True) -> NDArray[np.int64]:
    """The places of the boxes that `suppress` keeps, the highest scores first."""
    order = np.argsort(-boxes.scores, kind="stable")[:CANDIDATES]
    boxes = boxes[order]
    table = overlap(boxes.corners, boxes.corners) if len(boxes) <= AT_ONCE else None
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    for index in range(len(boxes)):
        if not alive[index]:
            continue
        kept.append(index)
        if len(kept) == most:
            break
        over = overlap(boxes.corners[index : index + 1], boxes.corners)[0] if table is None else table[index]
        alive &= (over <= iou) | (by_class & (boxes.labels != boxes.labels[index]))
    found: NDArray[np.int64] = order[np.array(kept, np.int64)].astype(np.int64)
    return found


@dataclass(frozen=True)
class Matches:
    """Which box of the reference is which of the candidate's: two vectors of indices, and the overlap of each."""

    reference: NDArray[np.int64]
    candidate: NDArray[np.int64]
    iou: Floats


def match(reference: Boxes, candidate: Boxes, iou: float = 0.5) -> Matches:
    """Pair boxes of the same class that overlap by at least `iou`, the reference's highest scores first."""
    pairs: list[tuple[int, int, float]] = []
    over = overlap(reference.corners, candidate.corners)
    over[reference.labels[:, None] != candidate.labels[None]] = -1.0
    for index in np.argsort(-reference.scores, kind="stable"):
        if not over.shape[1]:
            break
        best = int(over[index].argmax())
        if over[index, best] >= iou:
            pairs.append((int(index), best, float(over[index, best])))
            over[:, best] = -1.0
    first, second, third = zip(*pairs, strict=True) if pairs else ((), (), ())
    return Matches(np.array(first, np.int64), np.array(second, np.int64), np.array(third, np.float64))
