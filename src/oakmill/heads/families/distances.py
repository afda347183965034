"""YOLO v5u, v6 from release 2, v8 to v12, v26 and Gold: distances from a cell to the sides of its box.

An export decodes boxes and joins them with the scores, and with what else the task has, to one output; some choose the
best boxes too. DepthAI's parser reads one output for each stride instead, [1, 5 + K, H, W]: the distances from a
cell's centre to the box's left, top, right and bottom, in cells; the greatest score; the score of each of K classes.
The form and the names are those of Luxonis' own exporter, so the graph is ended before the decoding. v26, of which that
exporter joins all boxes to one output, is ended in the same form: the built-in parser reads it, and in 8 bits scores
keep a scale of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from onnx import ModelProto

from oakmill.heads.boxes import Floats
from oakmill.heads.decoders import Outputs, YoloGrid, centres_of, sigmoid
from oakmill.heads.families import ultralytics
from oakmill.heads.families.base import Evidence, Reading
from oakmill.heads.families.endings import SIDES, Endings
from oakmill.heads.families.grids import Decoded, OnGrids, Seen, apart, counted, strides_of
from oakmill.heads.families.tracing import Graph, attribute
from oakmill.heads.values import of_points

HIDDEN = 8.0
"""A visibility before its Sigmoid that counts as seen, for keypoints that have none of their own: 0.9997."""
_WORDS = {
    "detect": "a YOLO detector of",
    "segment": "a YOLO detector with masks of",
    "pose": "a YOLO detector with keypoints of",
    "obb": "a YOLO detector of turned boxes of",
}


@dataclass(frozen=True)
class Grid:
    """What one stride's convolutions give: distances [1, 4 R, H, W] of R bins each, logits [1, K, H, W], and what
    else the task has [1, E, H, W]."""

    distances: str
    logits: str
    other: str = ""


@dataclass(frozen=True)
class Distances(OnGrids):
    """A detector of this family.

    `others` are the channels E of a task's own, `joined` the tensor that holds them decoded; `doubled`: keypoints'
    offsets are doubled, and count from the cell's corner.
    """

    source: Decoded
    grids: tuple[Grid, ...]
    bins: int
    task: str = "detect"
    others: int = 0
    joined: str = ""
    protos: str = ""
    dims: int = 0
    doubled: bool = True

    family: ClassVar[str] = "yolov8"
    seen: ClassVar[str] = "distances to the sides of boxes and a Sigmoid of scores, from the same grids"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"{_WORDS[self.task]} {counted(self.classes)}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The source's outputs that it is about."""
        return (self.source.output, self.protos) if self.protos else (self.source.output,)

    @property
    def boxes(self) -> tuple[str, ...]:
        """The outputs of boxes and scores."""
        return tuple(name for name in self.ends if "_yolo" in name)

    @property
    def parser(self) -> str:  # type: ignore[override]
        """DepthAI's built-in parser, or that of depthai-nodes where there is more than boxes."""
        return "YOLOExtendedParser" if self.task in ("segment", "pose") else "YOLO"

    @property
    def extra(self) -> dict[str, Any]:
        """What the head of a task says besides."""
        names = [name for name in self.ends if "_yolo" not in name]
        if self.task == "segment":
            masks = {"mask_outputs": names[:-1], "protos_outputs": names[-1]}
            return {**masks, "n_prototypes": self.others, "is_softmax": True}
        if self.task == "pose":
            return {"keypoints_outputs": names, "n_keypoints": self.others // self.dims}
        return {"angles_outputs": names} if self.task == "obb" else {}

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The network that ends at the vendor's outputs; a copy."""
        ending = Endings(model, Graph(model).kind(self.grids[0].distances))
        for name, grid in zip(self.boxes, self.grids, strict=True):
            sides = ending.distances(grid.distances, name, self.bins)
            scores = ending.node("Sigmoid", [grid.logits], f"{name}/scores")
            greatest = ending.greatest(scores, f"{name}/greatest")
            ending.node("Concat", [*sides, greatest, scores], name, axis=1)
            ending.output(name, [1, SIDES + 1 + self.classes, None, None])
        others = [name for name in self.ends if name not in self.boxes]
        for place, name in enumerate(others):
            self._other(ending, place, name)
        return ending.finished()

    def _other(self, ending: Endings, place: int, name: str) -> None:
        """One of a task's own outputs."""
        if self.task == "pose":
            self._keypoints(ending, place, name)
        elif self.task == "obb":
            ending.output(ending.node("Identity", [self.joined], name), [1, 1, None])
        elif place < len(self.grids):
            ending.output(ending.node("Identity", [self.grids[place].other], name), [1, self.others, None, None])
        else:
            ending.output(ending.node("Identity", [self.protos], name), [1, self.others, None, None])

    def _keypoints(self, ending: Endings, place: int, name: str) -> None:
        """Keypoints in pixels, and their visibility before its Sigmoid: [1, 3 n, cells]."""
        source, stride, count = self.grids[place].other, self.strides[place], self.others // self.dims
        if self.dims == 2:
            spread = np.kron(np.eye(count), np.eye(3, 2)).reshape(3 * count, 2 * count, 1, 1)
            source = ending.node("Conv", [source, ending.constant(f"{name}/spread", spread)], f"{name}/of_three")
        rows, columns = (side // stride for side in self.size)
        middle = np.stack(np.meshgrid(np.arange(columns), np.arange(rows))) + (0.0 if self.doubled else 0.5)
        factor = np.tile([2.0 * stride, 2.0 * stride, 1.0] if self.doubled else [stride, stride, 1.0], count)
        seen = np.full((1, rows, columns), HIDDEN if self.dims == 2 else 0.0)
        offset = np.tile(np.concatenate([middle * stride, seen]), (count, 1, 1))[None]
        scaled = ending.node(
            "Mul", [source, ending.constant(f"{name}/factor", factor.reshape(1, -1, 1, 1))], f"{name}/scaled"
        )
        placed = ending.node("Add", [scaled, ending.constant(f"{name}/cells", offset)], f"{name}/placed")
        ending.output(ending.flat(placed, name, 3 * count), [1, 3 * count, None])

    def before(self, outputs: Outputs) -> Reading:
        """Boxes and scores as the export decodes them, and what else the task has; turned boxes are no corners, and not
        what DepthAI shows."""
        seen = self._wanted(outputs)
        reading = seen.reading(self.classes)
        if self.task == "obb":
            return {"scores": reading["scores"]}
        if self.task == "pose":
            return {**reading, "keypoints": of_points(seen.others, self.dims, self.size)}
        if self.task == "segment":
            return {**reading, "coefficients": seen.others, "protos": outputs[self.protos][0]}
        return reading

    def _wanted(self, outputs: Outputs) -> Seen:
        """What the source's output says, its keypoints in pixels."""
        seen = self.source.seen(outputs, self.size)
        if self.task != "pose" or self.source.chosen or not self.source.is_in_parts(outputs):
            return seen
        points = seen.others.reshape(len(seen.others), -1, self.dims).copy()
        points[..., :2] *= self.size[::-1]
        return replace(seen, others=points.reshape(len(points), -1))

    def apart(self, before: Outputs, after: Outputs) -> float:
        """How far the ends' boxes are from the source's."""
        wanted = self._wanted(before)
        corners, scores = YoloGrid(self.boxes, self.subtype, self.classes, self.size).candidates(after)
        others = self._others(after)
        if self.task == "obb":
            corners = _turned(corners, centres_of(self.size, self.strides), others[:, 0], self.size)
        return apart(wanted, Seen(corners, scores, others))

    def _others(self, outputs: Outputs) -> Floats:
        """A task's own numbers of all candidates [n, E], as the source has them."""
        names = [name for name in self.ends if name not in self.boxes][: len(self.grids)]
        if not names:
            return np.zeros((sum(outputs[name][0, 0].size for name in self.boxes), 0))
        rows = np.concatenate([outputs[name][0].reshape(outputs[name].shape[1], -1).T for name in names])
        rows = rows.astype(np.float64)
        if self.task != "pose":
            return rows
        points = rows.reshape(len(rows), -1, 3)
        points[..., 2] = sigmoid(points[..., 2])
        return points[..., : self.dims].reshape(len(rows), -1)


def _turned(corners: Floats, centres: Floats, angles: Floats, size: tuple[int, int]) -> Floats:
    """Boxes whose middle lies in the direction that their angle turns: distances count along the box' own sides."""
    whole = np.array(size[::-1], np.float64)
    first, second = corners[:, :2] * whole, corners[:, 2:] * whole
    (x, y), cos, sin = ((first + second) / 2 - centres).T, np.cos(angles), np.sin(angles)
    middle, half = centres + np.stack([x * cos - y * sin, x * sin + y * cos], 1), (second - first) / 2
    return np.concatenate([(middle - half) / whole, (middle + half) / whole], 1)


def find(model: ModelProto, evidence: Evidence) -> Distances | None:
    """The detector that the graph shows, else None.

    One tensor joins boxes and a Sigmoid of scores; the boxes come from distances, which a Softmax over bins may give,
    weighed with 0, 1, 2 and so on; and both come from the same grids, each the output of a convolution.
    """
    if evidence.export and evidence.export.task not in ultralytics.TASKS:
        return None
    rows = [value.name for value in model.graph.output if len(value.type.tensor_type.shape.dim) == 3]
    maps = [value.name for value in model.graph.output if value.name not in rows]
    if len(rows) != 1 or len(maps) > 1:
        return None
    graph = Graph(model)
    for joined in _joined(graph, rows[0]):
        if (found := _found(graph, rows[0], joined, (*maps, "")[0], evidence)) is not None:
            return found
    return None


def _joined(graph: Graph, output: str) -> Iterator[str]:
    """Tensors on the way to an output that join boxes with scores."""
    if graph.maker(output, "Concat") is not None:
        yield output
    for node in graph.before(output):
        if node.op_type == "Concat" and node.output[0] != output:
            yield node.output[0]


def _found(graph: Graph, output: str, joined: str, protos: str, evidence: Evidence) -> Distances | None:
    parts = graph.parts(joined)
    scored = [place for place, part in enumerate(parts) if place and graph.moved(part, "Sigmoid")]
    if not scored:
        return None
    scores = scored[0]
    boxes, between, behind = parts[0], parts[1:scores], parts[scores + 1 :]
    if len(behind) > 1 or len(between) > 1 or any(graph.ends(part) for part in between):
        return None
    other = graph.ends(behind[0]) if behind else ()
    distances, logits = _apart([end for end in graph.ends(boxes) if end not in other], graph.ends(parts[scores]), graph)
    bins, grids = graph.bins(boxes), len(distances)
    wide, classes = set(map(graph.channels, distances)), set(map(graph.channels, logits))
    if len(logits) != grids or grids < 2 or len(classes) != 1 or wide != {SIDES * bins}:
        return None
    source = _source(graph, output, joined, classes.pop(), objectness=bool(between))
    if source is None or (other and len(other) != grids):
        return None
    others = graph.channels(other[0]) if other else 0
    task, dims = _task(others, protos, graph, boxes, evidence)
    if not task:
        return None
    strides = strides_of([graph.stride(name) for name in distances], evidence)
    subtype = "yolov10" if source.chosen and task == "detect" else "yolov8"
    pairs = zip(distances, logits, other or [""] * grids, strict=True)
    return Distances(
        source, _ends(task, subtype, grids), strides, evidence, subtype,
        grids=tuple(Grid(*names) for names in pairs), bins=bins, task=task, others=others, protos=protos, dims=dims,
        joined=behind[0] if behind else "", doubled=bool(behind) and _doubled(graph, behind[0]),
    )  # fmt: skip


def _apart(boxes: Sequence[str], scores: Sequence[str], graph: Graph) -> tuple[Sequence[str], Sequence[str]]:
    """The convolutions of distances and of logits; older exports join both on each grid, distances first."""
    if set(boxes) != set(scores):
        return boxes, scores
    places: dict[str, int] = {}
    for name in boxes:
        readers = [node for node in graph.readers(name) if node.op_type == "Concat" and len(node.input) == 2]
        places[name] = list(readers[0].input).index(name) if len(readers) == 1 else -1
    return [name for name in boxes if places[name] == 0], [name for name in boxes if places[name] == 1]


def _source(graph: Graph, output: str, joined: str, classes: int, *, objectness: bool) -> Decoded | None:
    """The form of the source's own output: joined channels first or last, or the best of all boxes."""
    maker = graph.maker(joined)
    last = maker is not None and attribute(maker, "axis") in (-1, 2)
    if output == joined:
        return Decoded(output, classes, objectness, transposed=not last, form="")
    turned = graph.maker(output, "Transpose")
    if turned is not None and turned.input[0] == joined:
        return Decoded(output, classes, objectness, transposed=last, form="")
    if not any(node.op_type == "TopK" for node in graph.before(output)):
        scaled = graph.maker(output, "Concat")  # by LiteRT's exporter, which brings coordinates to parts of the image
        return Decoded(output, classes, objectness, transposed=not last, form="") if scaled is not None else None
    turns = any(node.op_type in ("Cos", "Sin") for node in graph.before(joined))
    return Decoded(output, classes, chosen=True, centres=turns)


def _task(others: int, protos: str, graph: Graph, boxes: str, evidence: Evidence) -> tuple[str, int]:
    """The task, and of how many numbers a keypoint is; an empty task where the graph shows none that is known."""
    if protos:
        return ("segment", 0) if others else ("", 0)
    if not others:
        return "detect", 0
    if others == 1 and any(node.op_type == "Cos" for node in graph.before(boxes)):
        return "obb", 0
    said = evidence.export.keypoints if evidence.export else (0, 0)
    count, dims = said if all(said) else (others // 3, 3)
    return ("pose", dims) if dims in (2, 3) and count * dims == others else ("", 0)


def _doubled(graph: Graph, decoded: str) -> bool:
    """Whether keypoints are decoded from doubled offsets, as before v26."""
    values = [graph.constant(name) for node in graph.before(decoded) if node.op_type == "Mul" for name in node.input]
    return any(value is not None and value.size == 1 and float(value.ravel()[0]) == 2.0 for value in values)


def _ends(task: str, subtype: str, grids: int) -> tuple[str, ...]:
    """The outputs' names after the cut, as the vendor's parsers know them."""
    word = "yolov6r2" if task == "detect" and subtype == "yolov8" else subtype
    boxes = tuple(f"output{place}_{word}" for place in range(1, grids + 1))
    if task == "segment":
        return (*boxes, *(f"output{place}_masks" for place in range(1, grids + 1)), "protos_output")
    if task == "pose":
        return (*boxes, *(f"kpt_output{place}" for place in range(1, grids + 1)))
    return (*boxes, "angle_output") if task == "obb" else boxes
