"""YOLOX, and YOLO v6's first release: an offset from the cell to the box's centre, and the logarithm of its size.

An export joins the raw numbers of all grids, or boxes that it decoded, with the objectness and the scores of classes.
DepthAI's parser decodes the raw numbers of each grid, [1, 5 + K, H, W], but takes the score of the class alone, and
the fifth channel for a gate. So both hold what these networks score by: the objectness times the class's score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnx import ModelProto, NodeProto

from oakmill.heads.decoders import Outputs, YoloGrid
from oakmill.heads.families.base import Evidence
from oakmill.heads.families.endings import SIDES, Endings
from oakmill.heads.families.grids import USUAL_STRIDES, Decoded, OnGrids, Seen, apart, strides_of
from oakmill.heads.families.tracing import Graph, attribute


@dataclass(frozen=True)
class Grid:
    """What one stride gives: raw boxes [1, 4, H, W], the objectness [1, 1, H, W] and scores [1, K, H, W], of 0 to 1."""

    boxes: str
    objectness: str
    scores: str


@dataclass(frozen=True)
class Centred(OnGrids):
    """A detector of this family."""

    grids: tuple[Grid, ...]

    family: ClassVar[str] = "yolox"
    seen: ClassVar[str] = "raw boxes, a Sigmoid of objectness and one of scores, joined on each grid"

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The network that ends at an output for each grid; a copy."""
        ending = Endings(model, Graph(model).kind(self.grids[0].boxes))
        for name, grid in zip(self.ends, self.grids, strict=True):
            scores = ending.node("Mul", [grid.objectness, grid.scores], f"{name}/scores")
            greatest = ending.greatest(scores, f"{name}/greatest")
            ending.node("Concat", [grid.boxes, greatest, scores], name, axis=1)
            ending.output(name, [1, SIDES + 1 + self.classes, None, None])
        return ending.finished()

    def apart(self, before: Outputs, after: Outputs) -> float:
        """How far the ends' boxes are from the source's."""
        wanted = self.source.seen(before, self.size)
        corners, scores = YoloGrid(self.ends, self.subtype, self.classes, self.size).candidates(after)
        return apart(wanted, Seen(corners, scores, wanted.others))


def find(model: ModelProto, evidence: Evidence) -> Centred | None:
    """The detector that the graph shows, else None: each grid joins raw boxes with the Sigmoids of two convolutions."""
    if evidence.export or len(model.graph.output) != 1:
        return None
    graph, output = Graph(model), model.graph.output[0]
    if len(output.type.tensor_type.shape.dim) != 3:
        return None
    order = graph.ends(output.name)
    joined = [node for node in graph.before(output.name) if _grid(graph, node) and node.input[0] in order]
    joined.sort(key=lambda node: order.index(node.input[0]))
    classes = {_width(graph, node.input[2]) for node in joined}
    if len(joined) < 2 or len(classes) != 1:
        return None
    strides = strides_of([graph.stride(node.input[0]) for node in joined], evidence)
    raw = graph.moved(output.name, "Conv", "Sigmoid")  # the grids' numbers as they are
    if raw and strides != USUAL_STRIDES:
        return None
    source = Decoded(output.name, classes.pop(), objectness=True, form="cells" if raw else "pixels")
    ends = tuple(f"output{place}_yolov6" for place in range(1, len(joined) + 1))
    return Centred(source, ends, strides, evidence, "yolov6", grids=tuple(Grid(*node.input) for node in joined))


def _grid(graph: Graph, node: NodeProto) -> bool:
    """Whether a node joins raw boxes, a Sigmoid of one channel and one of scores."""
    if node.op_type != "Concat" or len(node.input) != 3 or attribute(node, "axis") != 1:
        return False
    boxes, *sigmoids = node.input
    widths = [_width(graph, name) for name in sigmoids]
    return graph.channels(boxes) == SIDES and widths[0] == 1 and widths[1] > 0


def _width(graph: Graph, name: str) -> int:
    """How many channels a convolution gives whose Sigmoid a tensor is; 0 where it is none.

    Of one channel a TFLite export turns no axes, but shapes its numbers anew.
    """
    shaped = graph.maker(name, "Reshape")
    made = graph.maker(shaped.input[0] if shaped is not None and shaped.input else name, "Sigmoid")
    width = graph.channels(made.input[0]) if made is not None and made.input else 0
    return width if shaped is None or width == 1 else 0
