"""How right models are by labels: YOLOX's boxes decoded, and their average precision at an overlap of one half."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CLASSES = 80


@dataclass(frozen=True)
class Detections:
    """Of one picture: corners [N, 4] in parts of the picture, classes [N], scores [N]."""

    corners: Array
    classes: Array
    scores: Array


def labels(picture: Path, folder: Path) -> Detections:
    """A picture's labels in YOLO's form: class, centre, size."""
    file = folder / f"{picture.stem}.txt"
    rows = [list(map(float, line.split())) for line in file.read_text().splitlines()] if file.is_file() else []
    table = np.array(rows).reshape(-1, 5)
    half = table[:, 3:] / 2
    return Detections(
        np.concatenate([table[:, 1:3] - half, table[:, 1:3] + half], 1), table[:, 0].astype(int), np.ones(len(table))
    )


def yolox(output: Array, side: int, threshold: float = 0.01) -> Detections:
    """YOLOX's raw output [1, N, 5 + K]: centres relative to cells of 8, 16 and 32 pixels, sizes as logarithms."""
    cells, strides = [], []
    for stride in (8, 16, 32):
        count = side // stride
        y, x = np.meshgrid(np.arange(count), np.arange(count), indexing="ij")
        cells.append(np.stack([x, y], -1).reshape(-1, 2))
        strides.append(np.full((count * count, 1), stride))
    rows, step = output[0].astype(np.float64), np.concatenate(strides)
    centre, half = (rows[:, :2] + np.concatenate(cells)) * step, np.exp(rows[:, 2:4].clip(-20, 20)) * step / 2
    corners, scores = np.concatenate([centre - half, centre + half], 1) / side, rows[:, 4:5] * rows[:, 5:]
    found: list[tuple[Array, int, float]] = []
    for kind in range(scores.shape[1]):
        above = np.flatnonzero(scores[:, kind] > threshold)
        for index in above[suppressed(corners[above], scores[above, kind])]:
            found.append((corners[index], kind, float(scores[index, kind])))
    return Detections(
        np.array([box for box, _, _ in found]).reshape(-1, 4),
        np.array([kind for _, kind, _ in found], int),
        np.array([score for _, _, score in found]),
    )


def suppressed(corners: Array, scores: Array, overlap: float = 0.65) -> list[int]:
    """Indices of the boxes that no better one overlaps."""
    waiting, kept = np.argsort(-scores, kind="stable"), []
    while len(waiting):
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        waiting = waiting[overlaps(corners[best : best + 1], corners[waiting])[0] < overlap]
    return kept


def overlaps(a: Array, b: Array) -> Array:
    """Intersection over union, [len(a), len(b)]."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (a, b)]
    joined = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(joined, 1e-9))


def average_precision(found: list[Detections], truth: list[Detections], overlap: float = 0.5) -> float:
    """AP at an overlap: the mean over classes that are labelled, each with 101 points of recall, as COCO has it."""
    kinds = sorted({int(kind) for item in truth for kind in item.classes})
    return float(np.mean([_precision(kind, found, truth, overlap) for kind in kinds]))


def _precision(kind: int, found: list[Detections], truth: list[Detections], overlap: float) -> float:
    boxes = [item.corners[item.classes == kind] for item in truth]
    total, used = sum(map(len, boxes)), [set[int]() for _ in boxes]
    ranked = sorted(
        ((score, image, corners) for image, item in enumerate(found)
         for corners, own, score in zip(item.corners, item.classes, item.scores, strict=True) if own == kind),
        key=lambda entry: -entry[0],
    )  # fmt: skip
    right = []
    for _, image, corners in ranked:
        close = overlaps(corners[None], boxes[image])[0] if len(boxes[image]) else np.zeros(0)
        best = int(close.argmax()) if len(close) else -1
        right.append(best >= 0 and close[best] >= overlap and best not in used[image])
        if right[-1]:
            used[image].add(best)
    if not right:
        return 0.0
    hits = np.cumsum(right)
    recall, precision = hits / total, hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    points = [envelope[recall >= point] for point in np.linspace(0, 1, 101)]
    return float(np.mean([point[0] if len(point) else 0.0 for point in points]))
