"""Decoders of detectors' outputs, one for each family of heads: raw tensors in, boxes with scores out.

Formulas of the YOLO families: depthai-core, src/pipeline/utilities/DetectionParser/DetectionParserUtils.cpp, which is
what runs on the camera; YOLOX's: its own demo_utils.demo_postprocess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oakmill.heads.boxes import Boxes, Floats

Outputs = Mapping[str, NDArray[Any]]
Size = tuple[int, int]
"""Height and width of the input, in pixels."""
Candidates = tuple[Floats, Floats]
"""Corners [n, 4] in parts of the input, and the scores of all classes [n, K]."""

TLBR = frozenset({"yolov6r2", "yolov8", "yolov8n", "yolov9", "yolov10", "yolov11", "yolov12", "yolov3-u"})
V5 = frozenset({"yolov5", "yolov7", "yolo-p"})
V3 = frozenset({"yolov3", "yolov3-tiny"})
R1 = frozenset({"yolov6r1", "yolov6"})
LARGEST_EXPONENT = 20.0
LARGEST_SCORE = 1.01
LARGEST_ANGLE = 4.0
"""More than half a turn in radians: boxes that are turned have an angle behind their scores, which is no keypoint."""
IN_ORDER = 0.9
"""The share of boxes that lie as boxes do; of offsets from anchors, of either sign, a quarter does."""


class Decoder(Protocol):
    """Turns one image's outputs into boxes, every candidate with its best class, before any suppression."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that it reads."""

    @property
    def words(self) -> str:
        """What it takes them for."""

    def settled(self, outputs: Outputs) -> Decoder:
        """The same, with what only a first image's outputs can tell."""

    def decode(self, outputs: Outputs) -> Boxes:
        """The boxes."""


@dataclass(frozen=True)
class YoloGrid:
    """The heads that Luxonis' exporter leaves: [1, A (5 + K), H, W] each, one for each stride.

    `subtype` is of one of the families TLBR (distances to the four sides in cells; the fifth channel is the best
    class' score), V5 and V3 (anchors; the fifth is the objectness, times which scores count) and R1 (the centre's
    offset from its cell and the logarithm of the size, in cells; the fifth lets a score pass, as far as it is high).
    `strides` are pixels to a cell; where none are said, they follow from the grid's size.
    """

    outputs: tuple[str, ...]
    subtype: str
    classes: int
    size: Size
    anchors: tuple[Any, ...] = ()
    strides: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """What it takes them for."""
        return f"{self.subtype} heads, decoded as the camera does"

    def settled(self, outputs: Outputs) -> YoloGrid:
        """Nothing is left to tell."""
        return self

    def decode(self, outputs: Outputs) -> Boxes:
        """The boxes of all heads."""
        return _best(*self.candidates(outputs))

    def candidates(self, outputs: Outputs) -> Candidates:
        """Corners and the scores of all classes, cell by cell of one head after the other."""
        heads = [self._head(place, outputs[name]) for place, name in enumerate(self.outputs)]
        return np.concatenate([corners for corners, _ in heads]), np.concatenate([scores for _, scores in heads])

    def _head(self, place: int, head: NDArray[Any]) -> Candidates:
        rows, columns = head.shape[2:]
        block = 5 + self.classes
        values = head.astype(np.float64).reshape(-1, block, rows, columns)  # [anchors, block, rows, columns]
        said = [self.strides[place]] * 2 if self.strides else [self.size[1] / columns, self.size[0] / rows]
        stride = np.array(said, np.float64).reshape(1, 2, 1, 1)
        cell = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)))[None].astype(np.float64)
        anchors = np.array(self.anchors[place] if self.anchors else [[1, 1]], np.float64).reshape(-1, 2, 1, 1)
        corners, values = self._corners(values, cell, stride, anchors)
        scores, fifth = values[:, 5:], values[:, 4:5]
        if self.subtype not in TLBR:
            scores = np.minimum(scores, fifth) if self.subtype in R1 else scores * fifth
        flat = np.moveaxis(corners, 1, -1).reshape(-1, 4)
        return flat / np.tile(self.size[::-1], 2), np.moveaxis(scores, 1, -1).reshape(-1, self.classes)

    def _corners(self, values: Floats, cell: Floats, stride: Floats, anchors: Floats) -> tuple[Floats, Floats]:
        """Corners in pixels [anchors, 4, rows, columns], and the values with scores of 0 to 1."""
        if self.subtype in TLBR:
            low, high = (cell + 0.5 - values[:, :2]) * stride, (cell + 0.5 + values[:, 2:4]) * stride
            return np.concatenate([low, high], 1), values
        if self.subtype in V3:
            values = np.concatenate([sigmoid(values[:, :2]), values[:, 2:4], sigmoid(values[:, 4:])], 1)
            middle, size = (cell + values[:, :2]) * stride, _exp(values[:, 2:4]) * anchors
        elif self.subtype in V5:
            middle = (values[:, :2] * 2 - 0.5 + cell) * stride
            size = (values[:, 2:4] * 2) ** 2 * anchors
        else:
            middle, size = (cell + values[:, :2]) * stride, _exp(values[:, 2:4]) * stride
        return np.concatenate([middle - size / 2, middle + size / 2], 1), values


@dataclass(frozen=True)
class Rows:
    """One output of a row for each box: [1, N, C], or [1, C, N] where `transposed`.

    Of `C` columns the first four are the box's centre and size in pixels, in parts of the input, or in YOLOX's raw
    form, relative to its cell; `form` says which, and the first image tells where it does not. `objectness`: whether
    a fifth stands before the classes. `classes` is how many there are where other numbers follow them, keypoints or
    coefficients of masks; where nobody says so, the first image tells keypoints by values that are no scores.
    """

    output: str
    size: Size
    objectness: bool
    transposed: bool = False
    form: str = ""
    classes: int | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The one output."""
        return (self.output,)

    @property
    def words(self) -> str:
        """What it takes them for."""
        columns = f"rows of centre, size{', objectness' if self.objectness else ''} and class scores"
        columns += f" of {self.classes} classes, before other numbers" if self.classes else ""
        return f"{columns}, {_FORMS.get(self.form, 'of unknown form')}"

    def settled(self, outputs: Outputs) -> Rows:
        """With the form that one image's outputs have.

        Decoded centres follow the grid of cells, in pixels or in parts of the input; raw ones are offsets from it.
        """
        if self.form:
            return self
        rows = self._rows(outputs)
        if self.classes is None and _are_keypoints(rows[:, 5:]) and not self.objectness:
            return replace(self, classes=1).settled(outputs)
        if len(rows) != cells_of(self.size):
            return replace(self, form="pixels" if rows[:, :2].max(initial=0) > 2 else "parts")
        cells, steps = _cells(self.size)
        slope = float((rows[:, 0] @ (centres := (cells[:, 0] + 0.5) * steps[:, 0])) / (centres @ centres))
        follows = abs(_correlation(rows[:, 0], centres)) > 0.9
        decoded = "pixels" if slope > 2 / self.size[1] else "parts"
        return replace(self, form=decoded if follows else "cells")

    def _rows(self, outputs: Outputs) -> Floats:
        rows: Floats = outputs[self.output][0].astype(np.float64)
        return rows.T if self.transposed else rows

    def decode(self, outputs: Outputs) -> Boxes:
        """The boxes of all rows."""
        return _best(*self.candidates(outputs))

    def candidates(self, outputs: Outputs) -> Candidates:
        """Corners and the scores of all classes, row by row."""
        rows = self._rows(outputs)
        middle, size = rows[:, :2], rows[:, 2:4]
        if self.form == "cells":
            cells, steps = _cells(self.size)
            middle, size = (middle + cells) * steps, _exp(size) * steps
        first = 5 if self.objectness else 4
        classes = rows[:, first : None if self.classes is None else first + self.classes]
        scores = classes * rows[:, 4:5] if self.objectness else classes
        corners = np.concatenate([middle - size / 2, middle + size / 2], 1)
        whole = 1.0 if self.form == "parts" else np.tile(self.size[::-1], 2)
        return corners / whole, scores


_FORMS = {
    "cells": "relative to cells of 8, 16 and 32 pixels (as YOLOX leaves them)",
    "pixels": "in pixels",
    "parts": "in parts of the input",
}


def _are_keypoints(columns: Floats) -> bool:
    """Whether what follows one score are points in pixels: x, y and, mostly, a score of each."""
    by_three, by_two = columns.shape[1] % 3 == 0, columns.shape[1] % 2 == 0
    return columns.shape[1] >= 6 and (by_three or by_two) and float(np.abs(columns).max(initial=0)) > LARGEST_ANGLE


@dataclass(frozen=True)
class Pair:
    """Boxes [1, N, 4], and scores [1, N, K]; or [1, 4, N] and [1, K, N], where `transposed`.

    The boxes are corners, or `centres` and sizes; in parts of the input, or in pixels where `pixels`; the first image
    tells. `background`: whether class 0 of several is nothing; where nobody says so, it is if all scores of a row sum
    up to 1.
    """

    boxes: str
    scores: str
    size: Size | None = None
    background: bool | None = None
    pixels: bool = False
    transposed: bool = False
    centres: bool = False

    @property
    def outputs(self) -> tuple[str, ...]:
        """The two outputs."""
        return (self.boxes, self.scores)

    @property
    def words(self) -> str:
        """What it takes them for."""
        form = "centres and sizes" if self.centres else "corners"
        return f"{form} of boxes and scores of classes" + (", class 0 being the background" if self.background else "")

    def settled(self, outputs: Outputs) -> Pair:
        """With form, pixels or parts, and a background, as one image's outputs have it."""
        boxes, scores = self._rows(outputs)
        sums_to_one = bool(scores.shape[1] > 1 and np.abs(scores.sum(axis=1) - 1).max(initial=0) < 0.02)
        return replace(
            self,
            pixels=bool(np.abs(boxes).max(initial=0) > 4),
            centres=_are_centres(boxes, self.size),
            background=sums_to_one if self.background is None else self.background,
        )

    def _rows(self, outputs: Outputs) -> tuple[Floats, Floats]:
        """Boxes [N, 4] and scores [N, K]."""
        boxes, scores = (outputs[name].astype(np.float64) for name in self.outputs)
        if self.transposed:
            return boxes[0].T, scores[0].T
        rows = boxes.reshape(-1, 4)
        return rows, scores.reshape(len(rows), -1)

    def decode(self, outputs: Outputs) -> Boxes:
        """The boxes of all rows."""
        boxes, scores = self._rows(outputs)
        if self.centres:
            boxes = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
        if self.pixels:
            boxes = boxes / (np.tile(self.size[::-1], 2) if self.size else max(float(boxes.max(initial=0)), 1.0))
        first = 1 if self.background and scores.shape[1] > 1 else 0
        return Boxes(
            boxes, scores[:, first:].max(axis=1), scores[:, first:].argmax(axis=1) + first, classes=scores.shape[1]
        )


def _are_centres(boxes: Floats, size: Size | None) -> bool:
    """Whether the first two of four numbers follow the cells of the input's grids, and are no corners."""
    if size is None or len(boxes) != cells_of(size) or _in_order(boxes) >= IN_ORDER:
        return False
    cells, steps = _cells(size)
    return _correlation(boxes[:, 0], (cells[:, 0] + 0.5) * steps[:, 0]) > 0.9


def _in_order(corners: Floats) -> float:
    """The share of boxes whose second corner lies behind the first."""
    return float((corners[:, 2:] >= corners[:, :2]).all(axis=1).mean()) if len(corners) else 1.0


def unreadable(decoder: Decoder, outputs: Outputs) -> str:
    """Why one image's outputs can be no boxes with scores as they are decoded; empty where they can.

    Rows are known by their number, that of an input's cells; a pair of outputs may be anything.
    """
    boxes = decoder.decode(outputs)
    scores, middles = boxes.scores, (boxes.corners[:, :2] + boxes.corners[:, 2:]) / 2
    if scores.size and not (scores.min() >= -0.01 and scores.max() <= LARGEST_SCORE):
        return f"what would be scores reaches from {scores.min():.3g} to {scores.max():.3g}"
    inside = ((middles > -0.5) & (middles < 1.5)).all(axis=1)
    if isinstance(decoder, Pair) and scores.size and min(_in_order(boxes.corners), float(inside.mean())) < IN_ORDER:
        return (
            "what would be boxes has its corners in no order, or lies beside the image: it may be relative to anchors"
        )
    return ""


@dataclass(frozen=True)
class Found:
    """The finished detections of an SSD: [1, 1, N, 7], each image, class, score and four corners in parts."""

    output: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """The one output."""
        return (self.output,)

    @property
    def words(self) -> str:
        """What it takes them for."""
        return "detections of image, class, score and corners (SSD)"

    def settled(self, outputs: Outputs) -> Found:
        """Nothing is left to tell."""
        return self

    def decode(self, outputs: Outputs) -> Boxes:
        """The boxes up to the first row that is marked as the end."""
        rows = outputs[self.output].reshape(-1, 7).astype(np.float64)
        ends = np.flatnonzero(rows[:, 0] < 0)
        rows = rows[: ends[0]] if ends.size else rows
        return Boxes(rows[:, 3:7], rows[:, 2], np.nan_to_num(rows[:, 1]).astype(np.int64))


STRIDES = (8, 16, 32)


def cells_of(size: Size, strides: Sequence[int] = STRIDES) -> int:
    """How many cells the grids of an input have together."""
    return sum((size[0] // stride) * (size[1] // stride) for stride in strides)


def _cells(size: Size, strides: Sequence[int] = STRIDES) -> tuple[Floats, Floats]:
    """Column and row of each cell [n, 2], and its stride [n, 1]."""
    cells, steps = [], []
    for stride in strides:
        grid = np.meshgrid(np.arange(size[1] // stride), np.arange(size[0] // stride))
        cells.append(np.stack(grid, -1).reshape(-1, 2))
        steps.append(np.full((len(cells[-1]), 1), stride))
    return np.concatenate(cells).astype(np.float64), np.concatenate(steps).astype(np.float64)


def centres_of(size: Size, strides: Sequence[int]) -> Floats:
    """The middle of each cell [n, 2], in pixels: column and row, grid by grid."""
    cells, steps = _cells(size, strides)
    return (cells + 0.5) * steps


def _best(corners: Floats, scores: Floats) -> Boxes:
    """Each candidate with its best class."""
    return Boxes(corners, scores.max(axis=1), scores.argmax(axis=1), classes=scores.shape[1])


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    lengths = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / lengths if lengths > 0 else 0.0


def sigmoid(values: Floats) -> Floats:
    """1 / (1 + e^-x)."""
    result: Floats = 1 / (1 + np.exp(-np.clip(values, -60, 60)))
    return result


def softmax(values: Floats, axis: int = -1) -> Floats:
    """Each e^x in parts of their sum along the axis; the largest x is taken off first, so that none overflows."""
    powers = np.exp(values - values.max(axis, keepdims=True))
    shares: Floats = powers / powers.sum(axis, keepdims=True)
    return shares


def _exp(values: Floats) -> Floats:
    """e^x, where a broken model's x would overflow held at a box beyond any image."""
    result: Floats = np.exp(np.minimum(values, LARGEST_EXPONENT))
    return result
