"""Detectors of faces whose boxes stand in rows, at one or more anchors of each cell: UltraFace, YuNet, RetinaFace.

No parser of DepthAI reads their rows, but its YOLO parser reads a map [1, 6, H, W] for each anchor: the distances from
a cell's centre to the box's left, top, right and bottom, in cells; the score, twice. So the rows are laid out as maps,
one for each stride and anchor, with their strides in the head. depthai 3.12 sorts outputs by their names, so that these
are numbered with two digits.

Formulas: of UltraFace the graph decodes itself; YuNet's are those of OpenCV's FaceDetectorYN (modules/objdetect,
face_detect.cpp); RetinaFace's those of its own utils/box_utils.py, with the anchors of its configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from oakmill.heads.boxes import Floats
from oakmill.heads.decoders import Outputs, Size, YoloGrid
from oakmill.heads.families.base import Evidence, Reading, Sure
from oakmill.heads.families.described import Graph, Output, sure_of
from oakmill.heads.families.endings import Endings

ULTRAFACE, YUNET, RETINAFACE = "ultraface", "yunet", "retinaface"
ULTRAFACE_ANCHORS = {8: 3, 16: 2, 32: 2, 64: 3}
"""Anchors at each cell by stride: of its two variants, RFB and slim."""
YUNET_ANCHORS = {8: 1, 16: 1, 32: 1}
RETINAFACE_SIDES = {8: (16, 32), 16: (64, 128), 32: (256, 512)}
"""Sides of the anchors in pixels, by stride."""
VARIANCES = (0.1, 0.2)
"""By which RetinaFace's offsets and logarithms of sides are multiplied."""
THRESHOLD, MOST_BOXES = 0.5, 300


@dataclass(frozen=True)
class Map:
    """Rows that become one map: those of one anchor (of `anchors`) of a grid, which begin at row `first`.

    `boxes` and `scores` are the tensors that hold them; of two tensors of scores the root of their product counts, of
    one of two columns the second. `side` is the anchor's, in pixels; 0 where nothing depends on it.
    """

    stride: int
    shape: tuple[int, int]
    anchor: int
    anchors: int
    first: int
    boxes: str
    scores: tuple[str, ...]
    side: int = 0

    @property
    def rows(self) -> slice:
        """The rows of its grid, those of the other anchors among them."""
        return slice(self.first, self.first + self.anchors * self.shape[0] * self.shape[1])


@dataclass(frozen=True)
class FaceRows:
    """A detector of this kind; `corners`: its boxes are corners in parts of the image already.

    `kept` are outputs that nothing of the head reads, such as the faces' points: they stay.
    """

    family: str
    words: str
    seen: str
    sure: Sure
    maps: tuple[Map, ...]
    size: Size
    corners: bool = False
    kept: tuple[tuple[str, tuple[int | None, ...]], ...] = ()
    kind: int = TensorProto.FLOAT
    classes: int = 1
    names: tuple[str, ...] = ("face",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The source's outputs that hold boxes and scores."""
        return tuple(dict.fromkeys(name for item in self.maps for name in (item.boxes, *item.scores)))

    @property
    def ends(self) -> tuple[str, ...]:
        """One for each map."""
        return tuple(f"output{place:02d}_yolov6r2" for place in range(1, len(self.maps) + 1))

    def problem(self) -> str:
        """There is none: the grids were laid out for this size."""
        return ""

    def heads(self, names: Sequence[str]) -> tuple[dict[str, Any]]:
        """The head of DepthAI's YOLO parser."""
        metadata = {
            "yolo_outputs": [*self.ends], "subtype": "yolov8", "classes": [*names], "n_classes": self.classes,
            "iou_threshold": THRESHOLD, "conf_threshold": THRESHOLD, "max_det": MOST_BOXES, "anchors": None,
            "strides": [item.stride for item in self.maps],
        }  # fmt: skip
        return ({"parser": "YOLO", "metadata": metadata, "outputs": [*self.ends]},)

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The network with a map for each anchor, in the place of its rows."""
        ending = _Ending(model, np.float16 if self.kind == TensorProto.FLOAT16 else np.float32)
        for item, name in zip(self.maps, self.ends, strict=True):
            sides = ending.corners(item, name, self.size) if self.corners else ending.offsets(item, name)
            ending.node("Concat", [*sides, ending.score(item, name)], name, axis=1)
            ending.output(name, [1, 6, *item.shape])
        for kept, shape in self.kept:
            ending.output(kept, shape)
        return ending.finished()

    def before(self, outputs: Outputs) -> Reading:
        """Corners and scores as its makers decode them, map by map."""
        parts = [self._decoded(item, outputs) for item in self.maps]
        return {
            "corners": np.concatenate([boxes for boxes, _ in parts]),
            "scores": np.concatenate([s for _, s in parts]),
        }

    def _decoded(self, item: Map, outputs: Outputs) -> tuple[Floats, Floats]:
        rows = [_table(outputs[name])[item.rows][item.anchor :: item.anchors] for name in (item.boxes, *item.scores)]
        boxes, scores = rows[0], rows[1][:, -1:] if len(rows) == 2 else np.sqrt(rows[1] * rows[2])
        if self.corners:
            return boxes, scores
        columns, lines = np.meshgrid(np.arange(item.shape[1]), np.arange(item.shape[0]))
        cells = np.stack([columns.ravel(), lines.ravel()], 1)
        if item.side:
            middle = (cells + 0.5) * item.stride + boxes[:, :2] * VARIANCES[0] * item.side
            size = item.side * np.exp(boxes[:, 2:] * VARIANCES[1])
        else:
            middle, size = (cells + boxes[:, :2]) * item.stride, np.exp(boxes[:, 2:]) * item.stride
        whole = np.tile(self.size[::-1], 2)
        return np.concatenate([middle - size / 2, middle + size / 2], 1) / whole, scores

    def apart(self, before: Outputs, after: Outputs) -> float:
        """How far corners, in parts of the image, and scores are apart."""
        strides = tuple(item.stride for item in self.maps)
        corners, scores = YoloGrid(self.ends, "yolov8", 1, self.size, strides=strides).candidates(after)
        wanted = self.before(before)
        return max(
            float(np.abs(wanted["corners"] - corners).max(initial=0)),
            float(np.abs(wanted["scores"] - scores).max(initial=0)),
        )


def _table(values: NDArray[Any]) -> Floats:
    """Rows [N, C] of an output [1, N, C] or [N, C]."""
    table: Floats = values.astype(np.float64).reshape(-1, values.shape[-1])
    return table


class _Ending(Endings):
    """Lays rows out as maps."""

    def __init__(self, model: ModelProto, kind: type[np.floating[Any]]) -> None:
        super().__init__(model, kind)
        self._grids: dict[tuple[str, int], str] = {}
        self._columns = {value.name: value.type.tensor_type.shape.dim[-1].dim_value for value in model.graph.output}

    def mixed(self, item: Map, tensor: str, name: str, weights: Sequence[Sequence[float]], bias: float = 0.0) -> str:
        """What one anchor says of a tensor, each channel a sum of its columns by their weights, [1, K, H, W].

        A convolution also where it only picks columns: RVC2's compiler does not take a part of a map twice.
        """
        columns = self._columns[tensor]
        grid = self._grids.get((tensor, item.first)) or self._grid(item, tensor, columns)
        wide = np.zeros((len(weights), item.anchors * columns, 1, 1))
        wide[:, item.anchor * columns : (item.anchor + 1) * columns, 0, 0] = weights
        words = [self.constant(f"{name}/weights", wide), self.constant(f"{name}/bias", np.full(len(weights), bias))]
        return self.node("Conv", [grid, *words], name)

    def _grid(self, item: Map, tensor: str, columns: int) -> str:
        base, cells = f"{tensor}/from{item.first}", item.shape[0] * item.shape[1]
        rows = self._shaped(tensor, f"{base}/all", [1, -1, columns])
        part = self.slice(rows, f"{base}/rows", (item.rows.start, item.rows.stop))
        table = self._shaped(part, f"{base}/table", [1, cells, item.anchors * columns])
        turned = self.node("Transpose", [table], f"{base}/turned", perm=[0, 2, 1])
        self._grids[tensor, item.first] = self._shaped(turned, f"{base}/grid", [1, item.anchors * columns, *item.shape])
        return self._grids[tensor, item.first]

    def _shaped(self, source: str, target: str, shape: Sequence[int]) -> str:
        return self.node("Reshape", [source, self.constant(f"{target}/shape", [*shape], np.int64)], target)

    def score(self, item: Map, name: str) -> str:
        """The score, twice, [1, 2, H, W]."""
        if len(item.scores) == 1:
            return self.mixed(item, item.scores[0], f"{name}/scores", [[0, 1], [0, 1]])
        parts = [
            self.mixed(item, tensor, f"{name}/score{at}", [[1], [1]]) for at, tensor in enumerate(item.scores)
        ]  # fmt: skip
        return self.node("Sqrt", [self.node("Mul", parts, f"{name}/product")], f"{name}/scores")

    def corners(self, item: Map, name: str, size: Size) -> tuple[str, ...]:
        """Distances, in cells, to corners in parts of the image."""
        across, down = size[1] / item.stride, size[0] / item.stride
        sides = self.mixed(item, item.boxes, f"{name}/corners", np.diag([-across, -down, across, down]).tolist())
        columns, lines = np.meshgrid(np.arange(item.shape[1]) + 0.5, np.arange(item.shape[0]) + 0.5)
        centres = self.constant(f"{name}/centres", np.stack([columns, lines, -columns, -lines])[None])
        return (self.node("Add", [sides, centres], f"{name}/distances"),)

    def offsets(self, item: Map, name: str) -> tuple[str, ...]:
        """Distances, in cells, to a box of an offset and the logarithm of its size."""
        shift, power = (VARIANCES[0] * item.side / item.stride, VARIANCES[1]) if item.side else (1.0, 1.0)
        reach, centre = (item.side / item.stride / 2, 0.0) if item.side else (0.5, -0.5)
        middle = self.mixed(item, item.boxes, f"{name}/middle", [[shift, 0, 0, 0], [0, shift, 0, 0]], centre)
        size = self.mixed(item, item.boxes, f"{name}/power", [[0, 0, power, 0], [0, 0, 0, power]])
        size = self.node("Exp", [size], f"{name}/size")
        half = self.node("Mul", [size, self.constant(f"{name}/reach", [reach])], f"{name}/extent")
        return self.node("Sub", [half, middle], f"{name}/low"), self.node("Add", [half, middle], f"{name}/high")


def _grids(size: Size, anchors: Mapping[int, int]) -> Iterator[tuple[int, tuple[int, int], int, int]]:
    """Stride, rows and columns, anchors, and the first row of each grid, one behind the other."""
    first = 0
    for stride, each in anchors.items():
        shape = (-(-size[0] // stride), -(-size[1] // stride))
        yield stride, shape, each, first
        first += each * shape[0] * shape[1]


def _count(size: Size, anchors: Mapping[int, int]) -> int:
    return sum(each * shape[0] * shape[1] for _, shape, each, _ in _grids(size, anchors))


def _of_columns(graph: Graph, columns: int, rows: int) -> list[Output]:
    return [output for output in graph.outputs if output.shape == (1, rows, columns)]


def find_ultraface(model: ModelProto, evidence: Evidence) -> FaceRows | None:
    """Decoded corners [1, N, 4], and a Softmax of two scores [1, N, 2], for UltraFace's number of anchors N."""
    graph, size = Graph(model), evidence.size
    if size is None or len(graph.outputs) != 2:
        return None
    rows = _count(size, ULTRAFACE_ANCHORS)
    boxes, scores = _of_columns(graph, 4, rows), _of_columns(graph, 2, rows)
    if len(boxes) != 1 or len(scores) != 1 or scores[0].softmax_axis() != 2 or not graph.has_before(boxes[0], "Exp"):
        return None
    maps = [
        Map(stride, shape, anchor, each, first, boxes[0].name, (scores[0].name,))
        for stride, shape, each, first in _grids(size, ULTRAFACE_ANCHORS) for anchor in range(each)
    ]  # fmt: skip
    return FaceRows(
        ULTRAFACE, "a detector of faces (UltraFace)", f"decoded boxes and two scores at its {rows} anchors",
        sure_of(evidence, ULTRAFACE, Sure.CERTAIN), tuple(maps), size, corners=True, kind=boxes[0].kind,
    )  # fmt: skip


def find_retinaface(model: ModelProto, evidence: Evidence) -> FaceRows | None:
    """Offsets [1, N, 4], a Softmax of two scores [1, N, 2] and five points [1, N, 10], at RetinaFace's N anchors."""
    graph, size = Graph(model), evidence.size
    if size is None or len(graph.outputs) != 3:
        return None
    each = {stride: len(sides) for stride, sides in RETINAFACE_SIDES.items()}
    rows = _count(size, each)
    boxes, scores, points = (_of_columns(graph, columns, rows) for columns in (4, 2, 10))
    if not (len(boxes) == len(scores) == len(points) == 1) or scores[0].softmax_axis() != 2:
        return None
    maps = [
        Map(stride, shape, anchor, count, first, boxes[0].name, (scores[0].name,), RETINAFACE_SIDES[stride][anchor])
        for stride, shape, count, first in _grids(size, each) for anchor in range(count)
    ]  # fmt: skip
    return FaceRows(
        RETINAFACE, "a detector of faces (RetinaFace, with anchors of 16 to 512 pixels)",
        f"offsets, two scores and five points at {rows} anchors, whose sides nothing shows",
        sure_of(evidence, RETINAFACE, Sure.LIKELY), tuple(maps), size, kept=((points[0].name, points[0].shape),),
        kind=boxes[0].kind,
    )  # fmt: skip


def find_yunet(model: ModelProto, evidence: Evidence) -> FaceRows | None:
    """Twelve outputs: of each of three strides two Sigmoids [1, N, 1], offsets [1, N, 4] and five points [1, N, 10]."""
    graph, size = Graph(model), evidence.size
    if size is None or len(graph.outputs) != 4 * len(YUNET_ANCHORS):
        return None
    maps, kept = [], []
    for stride, shape, _, _ in _grids(size, YUNET_ANCHORS):
        tables = [output for output in graph.outputs if _is_of(output, stride, shape[0] * shape[1])]
        by_columns = {columns: [item for item in tables if item.shape[-1] == columns] for columns in (1, 4, 10)}
        if [len(found) for found in by_columns.values()] != [2, 1, 1]:
            return None
        if not all(output.ends_in("Sigmoid") for output in by_columns[1]):
            return None
        scores = tuple(output.name for output in by_columns[1])
        maps.append(Map(stride, shape, 0, 1, 0, by_columns[4][0].name, scores))
        kept.append((by_columns[10][0].name, (1, shape[0] * shape[1], 10)))
    return FaceRows(
        YUNET, "a detector of faces (YuNet of 2023)", "two scores, a box and five points at each cell of three strides",
        sure_of(evidence, YUNET, Sure.CERTAIN), tuple(maps), size, kept=tuple(kept), kind=graph.outputs[0].kind,
    )  # fmt: skip


def _is_of(output: Output, stride: int, rows: int) -> bool:
    """Whether an output has a row for each cell of a stride; where their number is open, its name says the stride."""
    shape = output.shape
    if len(shape) != 3 or shape[0] != 1:
        return False
    return output.name.rpartition("_")[2] == str(stride) if shape[1] is None else shape[1] == rows
