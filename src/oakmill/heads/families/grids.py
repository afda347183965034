"""What the YOLO families have in common: outputs on grids, a head for DepthAI's parsers, and a proof by their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from oakmill.heads.boxes import Floats
from oakmill.heads.decoders import Outputs, Rows, Size
from oakmill.heads.families.base import Evidence, Reading, Sure

USUAL_STRIDES = (8, 16, 32)
MOST_BOXES = 300
LARGEST_PART = 2.0
"""Of a centre in parts of the image: it lies at most that far beside its cell; in pixels the last cell's is larger."""
THRESHOLD = 0.5
"""Of scores, and of overlaps in the suppression: what Luxonis' exporter writes."""


@dataclass(frozen=True)
class Seen:
    """What the source's output says: corners [n, 4] in parts of the image, scores [n, K], other numbers [n, E].

    `chosen`: its rows are the best of all candidates, each with one class, which `scores` [n, 1] and `labels` [n] tell.
    """

    corners: Floats
    scores: Floats
    others: Floats
    labels: NDArray[np.int64] | None = None

    def reading(self, classes: int) -> Reading:
        """The same, with scores of all classes: of those that an export did not choose, 0."""
        if self.labels is None:
            return {"corners": self.corners, "scores": self.scores}
        scores = np.where(np.arange(classes) == self.labels[:, None], self.scores, 0.0)
        return {"corners": self.corners, "scores": scores}


class Source(Protocol):
    """The form of a source's own outputs."""

    @property
    def output(self) -> str:
        """The first of them."""

    @property
    def classes(self) -> int:
        """How many classes there are."""

    def seen(self, outputs: Outputs, size: Size) -> Seen:
        """What they say of one image."""


@dataclass(frozen=True)
class Decoded:
    """The form of a source's own output: [1, N, C], or [1, C, N] where `transposed`.

    `form` is that of `decoders.Rows`; where it is empty, the numbers tell parts of the image from pixels. `chosen`: a
    row is four corners, or centre and size where `centres`, a score and its class; behind come `others`.
    """

    output: str
    classes: int
    objectness: bool = False
    transposed: bool = False
    chosen: bool = False
    centres: bool = True
    form: str = "pixels"

    def is_in_parts(self, outputs: Outputs) -> bool:
        """Whether its boxes are in parts of the image."""
        rows = outputs[self.output][0].astype(np.float64)
        return is_in_parts(rows.T if self.transposed else rows)

    def seen(self, outputs: Outputs, size: Size) -> Seen:
        """What it says of one image."""
        rows: Floats = outputs[self.output][0].astype(np.float64)
        rows = rows.T if self.transposed else rows
        if self.chosen:
            return self._chosen(rows, size)
        form = self.form or ("parts" if is_in_parts(rows) else "pixels")
        reader = Rows(self.output, size, self.objectness, self.transposed, form, self.classes)
        corners, scores = reader.candidates(outputs)
        return Seen(corners, scores, rows[:, 4 + self.objectness + self.classes :])

    def _chosen(self, rows: Floats, size: Size) -> Seen:
        first, second = rows[:, :2], rows[:, 2:4]
        if self.centres:
            first, second = first - second / 2, first + second / 2
        corners = np.concatenate([first, second], 1) / np.tile(size[::-1], 2)
        return Seen(corners, rows[:, 4:5], rows[:, 6:], rows[:, 5].astype(np.int64))


def is_in_parts(rows: Floats) -> bool:
    """Whether boxes [n, 4...] are in parts of the image, as of TFLite exports, and not in pixels."""
    return bool(np.abs(rows[:, :2]).max(initial=0) <= LARGEST_PART)


def apart(wanted: Seen, found: Seen) -> float:
    """How far the camera's boxes, scores and other numbers are from the source's; infinite where others are found.

    Args:
        wanted: the source's.
        found: the camera's, of all candidates.
    """
    if wanted.labels is not None:
        return _apart_of_chosen(wanted, wanted.labels, found)
    pairs = ((wanted.corners, found.corners), (wanted.scores, found.scores), (wanted.others, found.others))
    return max(_off(a, b) for a, b in pairs)


def _off(a: Floats, b: Floats) -> float:
    """The largest difference, of values above 1 by the largest of them."""
    if a.shape != b.shape:
        return float("inf")
    off = float((np.abs(a - b) / _above_one(a)).max(initial=0))
    return off if np.isfinite(off) else float("inf")


def _above_one(values: Floats) -> float:
    return max(1.0, float(np.abs(values).max(initial=0)))


def _apart_of_chosen(wanted: Seen, labels: NDArray[np.int64], found: Seen) -> float:
    """Each chosen row by its nearest candidate of the same class; and the best of all candidates are as good."""
    scale = np.array([[_above_one(found.corners)] * 4 + [_above_one(found.others)] * found.others.shape[1]])
    all_found = np.concatenate([found.corners, found.others], 1) / scale
    rows = np.concatenate([wanted.corners, wanted.others], 1)
    if rows.shape[1:] != all_found.shape[1:]:
        return float("inf")
    worst = 0.0
    for row, label, score in zip(rows / scale, labels, wanted.scores[:, 0], strict=True):
        if not 0 <= label < found.scores.shape[1]:
            return float("inf")
        off = np.maximum(np.abs(all_found - row).max(axis=1), np.abs(found.scores[:, label] - score))
        worst = max(worst, float(off.min()))
    best = np.sort(found.scores, axis=None)[::-1][: len(labels)]
    worst = max(worst, _off(np.sort(wanted.scores, axis=None)[::-1], best))
    return worst if np.isfinite(worst) else float("inf")


@dataclass(frozen=True)
class OnGrids:
    """A recognised YOLO: the form of its own output, the outputs that the camera reads, and what its head says."""

    source: Source
    ends: tuple[str, ...]
    strides: tuple[int, ...]
    evidence: Evidence
    subtype: str

    family: ClassVar[str] = ""
    seen: ClassVar[str] = ""
    sure: ClassVar[Sure] = Sure.CERTAIN
    parser: ClassVar[str] = "YOLO"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"a YOLO detector of {counted(self.classes)}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The source's outputs that it is about."""
        return (self.source.output,)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.source.classes

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names as far as the file has them."""
        return self.evidence.names

    @property
    def size(self) -> Size:
        """Height and width of the input, in pixels."""
        return self.evidence.size or (0, 0)

    @property
    def extra(self) -> dict[str, Any]:
        """What a head of this kind says besides."""
        return {}

    def before(self, outputs: Outputs) -> Reading:
        """Boxes and scores as the export decodes them."""
        return self.source.seen(outputs, self.size).reading(self.classes)

    def problem(self) -> str:
        """Why its parser could not read it at this size; empty where it can. Says the nearest sizes."""
        stride = max(self.strides)
        if not any(side % stride for side in self.size):
            return ""
        near = [" or ".join(map(str, _near(length, stride))) for length in reversed(self.size)]
        return f"{self.size[1]} x {self.size[0]} is no multiple of its stride {stride}: take {near[0]} x {near[1]}"

    def heads(self, names: Sequence[str]) -> tuple[dict[str, Any]]:
        """Its head, with a name for each class; strides are said only where they are not 8, 16 and 32."""
        metadata: dict[str, Any] = {
            "yolo_outputs": [name for name in self.ends if "_yolo" in name],
            "subtype": self.subtype,
            "classes": [*names],
            "n_classes": self.classes,
            "iou_threshold": THRESHOLD,
            "conf_threshold": THRESHOLD,
            "max_det": MOST_BOXES,
            "anchors": None,
            **self.extra,
        }
        if self.strides != USUAL_STRIDES:
            metadata["strides"] = [*self.strides]
        return ({"parser": self.parser, "metadata": metadata, "outputs": [*self.ends]},)


def counted(classes: int) -> str:
    """How many classes, in words."""
    return f"{classes} class{'' if classes == 1 else 'es'}"


def _near(length: int, stride: int) -> list[int]:
    """The multiples just below and above a length; the length itself where it is one."""
    below = length // stride * stride
    return [below] if below == length else [side for side in (below, below + stride) if side]


def strides_of(found: Sequence[int], evidence: Evidence) -> tuple[int, ...]:
    """Pixels to a cell of each grid: as the graph tells, else the exporter's greatest, halved for each finer one."""
    if all(found) and list(found) == sorted(set(found)):
        return tuple(found)
    greatest = evidence.export.stride if evidence.export else USUAL_STRIDES[-1]
    return tuple(max(1, greatest >> place) for place in reversed(range(len(found))))
