"""YOLO v5 and v7, and v3 and v4 of the same repositories: boxes as offsets from anchors, with an objectness.

An export decodes the boxes of each grid and joins all. DepthAI's parser reads the Sigmoid of each grid's convolution,
[1, A (5 + K), H, W], and needs the anchors, in pixels, which the graph has as constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from oakmill.heads.boxes import Floats
from oakmill.heads.decoders import Outputs, YoloGrid
from oakmill.heads.families.anchored_masks import AnchoredMasks, Place, names_of
from oakmill.heads.families.base import Evidence
from oakmill.heads.families.endings import Endings
from oakmill.heads.families.grids import Decoded, OnGrids, Seen, apart, strides_of
from oakmill.heads.families.tracing import Graph

MOST_GRIDS = 5
MOST_ANCHORS = 9
"""To a cell; these families have 3."""
_RANK = 4
"""Dimensions of a map, NCHW."""
_LONGEST_WAY = 4
"""Nodes that an export may put between the anchors and their use."""

Anchors = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Anchored(OnGrids):
    """A detector of this family: the convolution of each grid, and its anchors' widths and heights in pixels."""

    grids: tuple[str, ...]
    anchors: tuple[Anchors, ...]

    family: ClassVar[str] = "yolov5"
    seen: ClassVar[str] = "a Sigmoid of each grid's convolution, and anchors as constants"

    @property
    def extra(self) -> dict[str, Any]:
        """The anchors of each output."""
        return {"anchors": [[[*pair] for pair in anchors] for anchors in self.anchors]}

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The network that ends at the Sigmoid of each grid; a copy."""
        ending = Endings(model, Graph(model).kind(self.grids[0]))
        for name, grid, anchors in zip(self.ends, self.grids, self.anchors, strict=True):
            ending.output(ending.node("Sigmoid", [grid], name), [1, len(anchors) * (5 + self.classes), None, None])
        return ending.finished()

    def apart(self, before: Outputs, after: Outputs) -> float:
        """How far the ends' boxes are from the source's."""
        wanted = self.source.seen(before, self.size)
        reader = YoloGrid(self.ends, self.subtype, self.classes, self.size, self.anchors)
        corners, scores = reader.candidates(after)
        return apart(wanted, Seen(corners, scores, wanted.others))


def find(model: ModelProto, evidence: Evidence) -> Anchored | AnchoredMasks | None:
    """The detector that the graph shows, else None: its output joins grids, of one convolution and anchors each.

    Old exports have the grids as outputs besides, of five dimensions, which nothing needs; a map beside the rows may be
    of prototypes, whose coefficients stand behind the scores.
    """
    output, *others = model.graph.output
    columns, dims = output.type.tensor_type.shape.dim, [value.type.tensor_type.shape.dim for value in others]
    if len(columns) != 3 or columns[2].dim_value < 6 or any(len(shape) not in (4, 5) for shape in dims):
        return None
    graph, width = Graph(model), columns[2].dim_value
    parts = graph.parts(output.name)
    ends = [graph.ends(part) for part in parts]
    if not 2 <= len(parts) <= MOST_GRIDS or any(len(found) != 1 or graph.channels(found[0]) % width for found in ends):
        return None
    grids = tuple(found[0] for found in ends)
    anchors = [_anchors(graph, part, graph.channels(grid) // width) for part, grid in zip(parts, grids, strict=True)]
    if len(set(grids)) != len(grids) or not all(found for found, _ in anchors):
        return None
    strides = strides_of([graph.stride(grid) for grid in grids], evidence)
    subtype = "yolov7" if any(quartered for _, quartered in anchors) else "yolov5"
    names = tuple(f"output{place}_{subtype}" for place in range(1, len(parts) + 1))
    found = Anchored(
        Decoded(output.name, width - 5, objectness=True), names, strides, evidence, subtype, grids=grids,
        anchors=tuple(found for found, _ in anchors),
    )  # fmt: skip
    bare = [_is_bare_at_the_end(graph, part) for part in parts]
    if not any(bare):
        return found
    count = dims[0][1].dim_value if len(dims) == 1 and len(dims[0]) == _RANK else 0
    return _with_masks(found, count, others[0].name) if all(bare) and 0 < count < found.classes else None


def _is_bare_at_the_end(graph: Graph, part: str) -> bool:
    """Whether the last columns of a grid's rows are as its convolution gives them: coefficients, behind no Sigmoid."""
    joined = next((node for node in graph.before(part) if node.op_type == "Concat" and len(node.input) > 2), None)
    return joined is not None and graph.moved(joined.input[-1], "Conv")


def _with_masks(found: Anchored, masks: int, protos: str) -> AnchoredMasks:
    """The same, whose last columns are coefficients of masks: a place for each anchor of each grid."""
    pairs = zip(found.grids, found.anchors, strict=True)
    places = tuple(Place(grid, at, anchor) for grid, anchors in pairs for at, anchor in enumerate(anchors))
    strides = tuple(step for step, anchors in zip(found.strides, found.anchors, strict=True) for _ in anchors)
    source = Decoded(found.source.output, found.classes - masks, objectness=True)
    return AnchoredMasks(
        source, names_of(len(places)), strides, found.evidence, "yolov8", places=places, masks=masks, protos=protos
    )


def _anchors(graph: Graph, part: str, count: int) -> tuple[Anchors, bool]:
    """The anchors that a grid's sizes are multiplied by, none where it has no such constant; and whether v7 wrote it.

    v5 doubles a size before it is squared; v7's exports have the factor of 4 in the constant.
    """
    if not 1 <= count <= MOST_ANCHORS or not any(node.op_type == "Sigmoid" for node in graph.before(part)):
        return (), False
    for node in graph.before(part):
        for name in node.input if node.op_type == "Mul" else ():
            if (pairs := _pairs(_spread(graph, name), count)) is not None:
                quartered = not any(_is_doubled(graph, item) for item in node.input)
                scaled = pairs / (4.0 if quartered else 1.0)
                return tuple((float(width), float(height)) for width, height in scaled), quartered
    return (), False


def _spread(graph: Graph, name: str) -> NDArray[Any] | None:
    """A constant's values, of which an export may make one for each cell only when it runs."""
    for _ in range(_LONGEST_WAY):
        node = graph.maker(name, "Expand", "Cast", "Identity")
        if node is None:
            return graph.constant(name)
        name = next(iter(node.input), "")
    return None


def _pairs(values: NDArray[Any] | None, count: int) -> Floats | None:
    """A constant's widths and heights [count, 2], where it has the same of every cell."""
    if values is None or values.size < 2 * count or values.shape[-1:] != (2,) or values.size % (2 * count):
        return None
    cells: Floats = values.astype(np.float64).reshape(count, -1, 2)
    same = bool(np.ptp(cells, axis=1).max() == 0)
    return cells[:, 0] if same and float(cells.min()) > 0 else None


def _is_doubled(graph: Graph, squared: str) -> bool:
    """Whether what is squared was doubled before."""
    square = graph.maker(squared, "Pow", "Mul")
    base = graph.maker(square.input[0], "Mul") if square is not None and square.input else None
    values = [graph.constant(name) for name in base.input] if base is not None else []
    return any(value is not None and value.size == 1 and float(value.ravel()[0]) == 2.0 for value in values)
