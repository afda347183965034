"""YOLO v5 and v7 with anchors and masks: boxes as of `anchored`, and behind the scores the coefficients of a mask.

An export gives rows [1, N, 5 + K + M], of which the last M are no Sigmoid, and prototypes [1, M, h, w]. DepthAI's
parser looks a box' coefficients up by its cell, and knows one box there; so each anchor of a grid becomes maps of its
own, in the form that it reads of YOLO v8: the distances from a cell's centre to the box's left, top, right and bottom,
in cells; the greatest score; K scores, each the objectness times the class's; and M coefficients. depthai 3.12 sorts
outputs by their names, so that these are numbered with two digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from onnx import ModelProto

from oakmill.heads.boxes import Floats
from oakmill.heads.decoders import Outputs, YoloGrid
from oakmill.heads.families.base import Reading
from oakmill.heads.families.endings import SIDES, Endings
from oakmill.heads.families.grids import OnGrids, Seen, apart, counted
from oakmill.heads.families.tracing import Graph


@dataclass(frozen=True)
class Place:
    """One anchor of a grid: the grid's convolution, which of its anchors it is, and its width and height in pixels."""

    grid: str
    number: int
    anchor: tuple[float, float]


@dataclass(frozen=True)
class AnchoredMasks(OnGrids):
    """A detector of this family: a place for each of its `strides`, and the output of its prototypes, `masks` many."""

    places: tuple[Place, ...]
    masks: int
    protos: str

    family: ClassVar[str] = "yolov5"
    seen: ClassVar[str] = "a Sigmoid of each grid's boxes and scores, coefficients of masks, and anchors as constants"
    parser: ClassVar[str] = "YOLOExtendedParser"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"a YOLO detector with masks of {counted(self.classes)}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The source's outputs that it is about."""
        return (self.source.output, self.protos)

    @property
    def boxes(self) -> tuple[str, ...]:
        """The outputs of boxes and scores."""
        return self.ends[: len(self.places)]

    @property
    def coefficients(self) -> tuple[str, ...]:
        """The outputs of coefficients."""
        return self.ends[len(self.places) : -1]

    @property
    def extra(self) -> dict[str, Any]:
        """What the head says of masks."""
        names = {"mask_outputs": [*self.coefficients], "protos_outputs": self.ends[-1]}
        return {**names, "n_prototypes": self.masks, "is_softmax": True}

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The network with maps for each anchor; a copy."""
        ending = Endings(model, Graph(model).kind(self.places[0].grid))
        width = 5 + self.classes
        for name, mask, stride, place in zip(self.boxes, self.coefficients, self.strides, self.places, strict=True):
            first = place.number * (width + self.masks)
            values = ending.slice(place.grid, f"{name}/values", (first, first + width))
            _boxes(ending, ending.node("Sigmoid", [values], f"{name}/sigmoid"), name, self.classes, place, stride)
            ending.output(name, [1, width, None, None])
            ending.slice(place.grid, mask, (first + width, first + width + self.masks))
            ending.output(mask, [1, self.masks, None, None])
        ending.output(ending.node("Identity", [self.protos], self.ends[-1]), [1, self.masks, None, None])
        return ending.finished()

    def before(self, outputs: Outputs) -> Reading:
        """Boxes, scores and coefficients as the export has them."""
        seen = self.source.seen(outputs, self.size)
        masks = {"coefficients": seen.others, "protos": outputs[self.protos][0]}
        return {**seen.reading(self.classes), **masks}

    def apart(self, before: Outputs, after: Outputs) -> float:
        """How far the ends' boxes, scores, coefficients and prototypes are from the source's."""
        wanted = self.source.seen(before, self.size)
        reader = YoloGrid(self.boxes, self.subtype, self.classes, self.size, strides=self.strides)
        corners, scores = reader.candidates(after)
        rows: Floats = np.concatenate([after[name][0].reshape(self.masks, -1).T for name in self.coefficients])
        protos = float(np.abs(before[self.protos] - after[self.ends[-1]]).max(initial=0))
        return max(apart(wanted, Seen(corners, scores, rows.astype(np.float64))), protos)


def names_of(count: int) -> tuple[str, ...]:
    """The ends' names: boxes of each anchor of each grid, coefficients of each, prototypes."""
    numbers = range(1, count + 1)
    boxes, masks = (f"output{at:02d}_yolov8" for at in numbers), (f"output{at:02d}_masks" for at in numbers)
    return (*boxes, *masks, "protos_output")


def _boxes(ending: Endings, values: str, name: str, classes: int, place: Place, stride: int) -> None:
    """Distances and scores of one anchor, out of Sigmoids [1, 5 + K, H, W].

    In cells the middle lies 2 s - 1 beside the cell's centre, and the half size is 2 s^2 times the anchor's size.
    """
    middle = ending.slice(values, f"{name}/xy", (0, 2))
    middle = ending.node("Mul", [middle, ending.constant(f"{name}/two", [2.0])], f"{name}/doubled")
    middle = ending.node("Sub", [middle, ending.constant(f"{name}/one", [1.0])], f"{name}/middle")
    size = ending.slice(values, f"{name}/wh", (2, SIDES))
    size = ending.node("Mul", [size, size], f"{name}/squared")
    reach = np.array(place.anchor).reshape(1, 2, 1, 1) * 2 / stride
    half = ending.node("Mul", [size, ending.constant(f"{name}/reach", reach)], f"{name}/extent")
    low = ending.node("Sub", [half, middle], f"{name}/low")
    high = ending.node("Add", [half, middle], f"{name}/high")
    objectness = ending.slice(values, f"{name}/objectness", (SIDES, SIDES + 1))
    scores = ending.slice(values, f"{name}/classes", (SIDES + 1, SIDES + 1 + classes))
    scores = ending.node("Mul", [objectness, scores], f"{name}/scores")
    ending.node("Concat", [low, high, ending.greatest(scores, f"{name}/greatest"), scores], name, axis=1)
