"""YOLO v5 and v7 whose export leaves the decoding to the app: each grid's numbers as they are, and no anchors.

v7's export.py does so without `--grid`, v5's with `--train`. The anchors are not in such a file, and a training may
have found its own; so it is a guess, by the usual ones of v5, which v7-tiny has too, or of v7. From there on it is as
`anchored`: DepthAI's parser reads the Sigmoid of each grid's convolution, [1, A (5 + K), H, W].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from onnx import ModelProto

from oakmill.heads.boxes import Floats
from oakmill.heads.decoders import Outputs, Size, YoloGrid, sigmoid
from oakmill.heads.families import anchored
from oakmill.heads.families.anchored import Anchored, Anchors
from oakmill.heads.families.anchored_masks import AnchoredMasks
from oakmill.heads.families.base import Evidence, Sure
from oakmill.heads.families.grids import Seen, strides_of
from oakmill.heads.families.tracing import Graph, attribute

V5, V7 = "yolov5", "yolov7"
_FOUR_GRIDS: tuple[Anchors, ...] = (
    ((19, 27), (44, 40), (38, 94)), ((96, 68), (86, 152), (180, 137)), ((140, 301), (303, 264), (238, 542)),
    ((436, 615), (739, 380), (925, 792)),
)  # fmt: skip
USUAL: Mapping[tuple[str, int], tuple[Anchors, ...]] = {
    (V5, 3): (
        ((10, 13), (16, 30), (33, 23)), ((30, 61), (62, 45), (59, 119)), ((116, 90), (156, 198), (373, 326)),
    ),
    (V5, 4): _FOUR_GRIDS,
    (V7, 3): (
        ((12, 16), (19, 36), (40, 28)), ((36, 75), (76, 55), (72, 146)), ((142, 110), (192, 243), (459, 401)),
    ),
    (V7, 4): _FOUR_GRIDS,
}  # fmt: skip
"""Widths and heights in pixels that the configurations of both repositories have, by how many grids there are."""
_RANK = 5
"""Dimensions of such an output: [1, A, H, W, 5 + K]."""


@dataclass(frozen=True)
class Raw:
    """The form of such a source: an output [1, A, H, W, 5 + K] for each grid, before its Sigmoid."""

    outputs: tuple[str, ...]
    classes: int
    anchors: tuple[Anchors, ...]

    @property
    def output(self) -> str:
        """The first of them."""
        return self.outputs[0]

    def seen(self, outputs: Outputs, size: Size) -> Seen:
        """What they say of one image, once decoded."""
        maps = {name: _as_map(sigmoid(outputs[name].astype(np.float64))) for name in self.outputs}
        corners, scores = YoloGrid(self.outputs, V5, self.classes, size, self.anchors).candidates(maps)
        return Seen(corners, scores, np.zeros((len(scores), 0)))


def _as_map(values: Floats) -> Floats:
    """[1, A, H, W, C] as [1, A C, H, W]."""
    turned = np.moveaxis(values, -1, 2)
    return turned.reshape(1, -1, *turned.shape[3:])


@dataclass(frozen=True)
class Undecoded(Anchored):
    """A detector of this kind, at the usual anchors."""

    source: Raw

    seen: ClassVar[str] = (
        "a grid's numbers as its convolution gives them; the file has no anchors, and the usual ones are taken, which "
        "are wrong where a training found its own"
    )
    sure: ClassVar[Sure] = Sure.GUESS

    @property
    def family(self) -> str:  # type: ignore[override]
        """That of its anchors."""
        return self.subtype

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"{super().words} at the anchors of {'YOLO v5' if self.subtype == V5 else 'YOLO v7'}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The source's outputs that it is about."""
        return self.source.outputs


def find_five(model: ModelProto, evidence: Evidence) -> Anchored | AnchoredMasks | None:
    """The detector that the graph shows, else None: with anchors of its own, or without, at v5's usual ones."""
    return anchored.find(model, evidence) or _undecoded(model, evidence, V5)


def find_seven(model: ModelProto, evidence: Evidence) -> Anchored | AnchoredMasks | None:
    """The same, at v7's usual ones."""
    return anchored.find(model, evidence) or _undecoded(model, evidence, V7)


def _undecoded(model: ModelProto, evidence: Evidence, kind: str) -> Undecoded | None:
    """The detector whose grids are the outputs, else None. Unless the user says whose anchors they are, they are taken
    for v7's where the graph is like it."""
    dims = [value.type.tensor_type.shape.dim for value in model.graph.output]
    if (kind, len(dims)) not in USUAL or any(len(shape) != _RANK for shape in dims):
        return None
    if not evidence.wanted and kind != (V7 if _is_like_seven(model) else V5):
        return None
    anchors, width = USUAL[kind, len(dims)], dims[0][4].dim_value
    if width < 6 or any((shape[1].dim_value, shape[4].dim_value) != (len(anchors[0]), width) for shape in dims):
        return None
    graph, names = Graph(model), tuple(value.name for value in model.graph.output)
    ends = [graph.ends(name) if graph.moved(name, "Conv") else () for name in names]
    channels = [graph.channels(found[0]) if len(found) == 1 else 0 for found in ends]
    steps = [graph.stride(found[0]) if len(found) == 1 else 0 for found in ends]
    if set(channels) != {len(anchors[0]) * width} or len({found[0] for found in ends}) != len(ends):
        return None
    if all(steps) and steps != sorted(set(steps)):
        return None
    boxes = tuple(f"output{place}_{kind}" for place in range(1, len(dims) + 1))
    grids = tuple(found[0] for found in ends)
    source = Raw(names, width - 5, anchors)
    return Undecoded(source, boxes, strides_of(steps, evidence), evidence, kind, grids=grids, anchors=anchors)


def _is_like_seven(model: ModelProto) -> bool:
    """Whether pools halve its maps, as those of v7, and it is not v7-tiny, of another activation and v5's anchors."""
    pools = [node for node in model.graph.node if node.op_type == "MaxPool"]
    halves = any(2 in (attribute(node, "strides") or ()) for node in pools)
    return halves and all(node.op_type != "LeakyRelu" for node in model.graph.node)
