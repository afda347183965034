"""YOLO v5u, v8, v9, v11 and v12, which predict distances as distributions (DFL): recognised by the graph, and cut.

An export decodes boxes and joins them with the scores to one output [1, 4 + K, N]. DepthAI's parser reads one output
for each stride instead, [1, 5 + K, H, W]: the distances from a cell's centre to the box's left, top, right and bottom,
in cells; the greatest score; the score of each of K classes. The form is what Luxonis' own exporter writes
(`outputN_yolov6r2`), so the graph is ended before the decoding and the distances are summed on each grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.heads.decoders import Outputs, Rows, Size, YoloGrid
from oakmill.heads.families import ultralytics
from oakmill.heads.families.base import NOTHING, Evidence, Reading, Sure, read, unfit
from oakmill.model.pruning import drop_unneeded
from oakmill.model.structure import opset_of

SIDES = 4
_LONGEST_WAY = 64
"""Nodes between an output and the Softmax of its distances; exports have about 20."""
_SAME_VALUES = {"Reshape", "Transpose", "Flatten", "Identity", "Unsqueeze", "Squeeze"}


@dataclass(frozen=True)
class Grid:
    """What one stride's two convolutions give: distances [1, 4 R, H, W] of R bins each, and logits [1, K, H, W]."""

    distances: str
    logits: str


@dataclass(frozen=True)
class Detector:
    """A detector of this family: the output that it decodes to, its grids in order, its bins R and classes K."""

    output: str
    grids: tuple[Grid, ...]
    bins: int
    classes: int
    evidence: Evidence = NOTHING

    family: ClassVar[str] = "yolov8"
    sure: ClassVar[Sure] = Sure.CERTAIN
    seen: ClassVar[str] = "distances as distributions over bins, joined with scores on the same grids"

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"a YOLO detector of {self.classes} class{'es' if self.classes > 1 else ''}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The one output of the source."""
        return (self.output,)

    @property
    def ends(self) -> tuple[str, ...]:
        """The outputs' names after the cut, as the vendor's parser knows them."""
        return tuple(f"output{place}_yolov6r2" for place in range(1, len(self.grids) + 1))

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names that the exporter wrote."""
        return self.evidence.export.names if self.evidence.export else ()

    @property
    def strides(self) -> list[int]:
        """Pixels to a cell, for each grid: the exporter's greatest, halved for each finer one."""
        greatest = self.evidence.export.stride if self.evidence.export else 32
        return [greatest >> place for place in reversed(range(len(self.grids)))]

    @property
    def size(self) -> Size:
        """Height and width of the input, in pixels."""
        return self.evidence.size or (0, 0)

    def problem(self) -> str:
        """Why its parser could not read it at this size; empty where it can."""
        return unfit(self.size, max(self.strides))

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The network that ends at the vendor's outputs."""
        return cut(model, self)

    def heads(self, names: Sequence[str]) -> tuple[dict[str, Any]]:
        """Its head, with a name for each class."""
        return (head(self, names, self.strides),)

    def before(self, outputs: Outputs) -> Reading:
        """Boxes and scores as the export decodes them."""
        return read(Rows(self.output, self.size, objectness=False, transposed=True, form="pixels"), outputs)

    def after(self, outputs: Outputs) -> Reading:
        """Boxes and scores as the camera decodes them."""
        return read(YoloGrid(self.ends, "yolov8", self.classes, self.size), outputs)


def find(model: ModelProto, evidence: Evidence = NOTHING) -> Detector | None:
    """The detector that the graph shows without doubt, else None.

    Its one output joins boxes and a Sigmoid of scores; the boxes come from a Softmax whose bins are weighed with 0, 1,
    2 and so on; and both come from the same grids, each the output of a convolution.
    """
    if evidence.export and evidence.export.task not in ultralytics.TASKS:
        return None
    graph, output = _Graph(model.graph), model.graph.output[0].name
    joined = graph.maker(output, "Concat")
    if joined is None or len(joined.input) != 2 or len(model.graph.output) != 1:
        return None
    scores, softmax = graph.maker(joined.input[1], "Sigmoid"), graph.before(joined.input[0], "Softmax")
    if scores is None or softmax is None:
        return None
    bins = graph.bins_behind(softmax)
    distances, logits = graph.grids(softmax.input[0], 0), graph.grids(scores.input[0], 1)
    wide, classes = set(map(graph.channels, distances)), set(map(graph.channels, logits))
    if len(distances) != len(logits) or len(classes) != 1 or wide != {SIDES * bins} or 0 in wide | classes:
        return None
    return Detector(output, tuple(map(Grid, distances, logits)), bins, classes.pop(), evidence)


def cut(model: ModelProto, detector: Detector) -> ModelProto:
    """The network that ends at the vendor's outputs; a copy, with the source's shapes of values where it has them."""
    found = ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    kind = _Graph(graph).kind(detector.grids[0].distances)
    ramp = numpy_helper.from_array(np.arange(detector.bins, dtype=kind).reshape(1, -1, 1, 1), "oakmill_head/ramp")
    graph.initializer.append(ramp)
    for name, grid in zip(detector.ends, detector.grids, strict=True):
        graph.node.extend(_ending(grid, name, detector.bins, found))
    del graph.output[:]
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    shape: Sequence[Any] = [1, SIDES + 1 + detector.classes, None, None]
    graph.output.extend(helper.make_tensor_value_info(name, dtype, shape) for name in detector.ends)
    drop_unneeded(graph)
    return found


def head(detector: Detector, classes: Sequence[str], strides: Sequence[int]) -> dict[str, Any]:
    """The head of an NN Archive (luxonis_ml's schema 1.0), as DepthAI's YOLO parser reads it.

    Args:
        detector: what was cut.
        classes: a name for each class.
        strides: pixels to a cell, for each grid; said only where they are not 8, 16 and 32.
    """
    metadata: dict[str, Any] = {
        "yolo_outputs": [*detector.ends],
        "subtype": "yolov8",
        "classes": [*classes],
        "n_classes": detector.classes,
        "iou_threshold": 0.5,
        "conf_threshold": 0.5,
        "max_det": 300,
        "anchors": None,
    }
    if list(strides) != [8, 16, 32]:
        metadata["strides"] = [*strides]
    return {"parser": "YOLO", "metadata": metadata, "outputs": [*detector.ends]}


def _ending(grid: Grid, name: str, bins: int, model: ModelProto) -> Iterator[NodeProto]:
    """Nodes from a grid's two convolutions to the vendor's output."""
    sides = []
    for side in range(SIDES):
        part, bounds = f"{name}/side{side}", (side * bins, (side + 1) * bins)
        yield _slice(grid.distances, f"{part}/bins", bounds, model)
        yield from _softmax(f"{part}/bins", f"{part}/likely", model)
        yield helper.make_node("Conv", [f"{part}/likely", "oakmill_head/ramp"], [part], f"{part}/sum")
        sides.append(part)
    yield helper.make_node("Sigmoid", [grid.logits], [f"{name}/scores"], f"{name}/sigmoid")
    yield _greatest(f"{name}/scores", f"{name}/greatest", model)
    yield helper.make_node("Concat", [*sides, f"{name}/greatest", f"{name}/scores"], [name], name, axis=1)


def _softmax(source: str, target: str, model: ModelProto) -> Iterator[NodeProto]:
    """Softmax over channels; before opset 13 it is over all that follows its axis, so that the channels go last."""
    if _opset(model) >= 13:
        yield helper.make_node("Softmax", [source], [target], target, axis=1)
        return
    last, likely = f"{target}/last", f"{target}/of_last"
    yield helper.make_node("Transpose", [source], [last], last, perm=[0, 2, 3, 1])
    yield helper.make_node("Softmax", [last], [likely], likely, axis=3)
    yield helper.make_node("Transpose", [likely], [target], target, perm=[0, 3, 1, 2])


def _slice(source: str, target: str, bounds: tuple[int, int], model: ModelProto) -> NodeProto:
    """A slice of channels; bounds are attributes before opset 10."""
    if _opset(model) < 10:
        return helper.make_node("Slice", [source], [target], target, axes=[1], starts=bounds[:1], ends=bounds[1:])
    words = []
    for word, value in zip(("start", "end", "axis"), (*bounds, 1), strict=True):
        words.append(f"{target}/{word}")
        model.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), words[-1]))
    return helper.make_node("Slice", [source, *words], [target], target)


def _greatest(source: str, target: str, model: ModelProto) -> NodeProto:
    """The greatest channel; the axis is an attribute before opset 18."""
    if _opset(model) < 18:
        return helper.make_node("ReduceMax", [source], [target], target, axes=[1], keepdims=1)
    axis = f"{target}/axis"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), axis))
    return helper.make_node("ReduceMax", [source, axis], [target], target, keepdims=1)


def _opset(model: ModelProto) -> int:
    return opset_of(model) or 1


class _Graph:
    """Who makes what, in the main graph, and the constants that nodes read."""

    def __init__(self, graph: GraphProto) -> None:
        self._makers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._weights = {tensor.name: tensor for tensor in graph.initializer}

    def maker(self, name: str, kind: str) -> NodeProto | None:
        """The node that makes a tensor, if it is of this kind."""
        node = self._makers.get(name)
        return node if node is not None and node.op_type == kind else None

    def before(self, name: str, kind: str) -> NodeProto | None:
        """The nearest node of a kind on the way to a tensor."""
        waiting, seen = [name], set[str]()
        while waiting and len(seen) < _LONGEST_WAY:
            node = self._makers.get(waiting.pop(0))
            if node is None or node.output[0] in seen:
                continue
            if node.op_type == kind:
                return node
            seen.add(node.output[0])
            waiting.extend(node.input)
        return None

    def bins_behind(self, softmax: NodeProto) -> int:
        """How many bins a Softmax's values are weighed by, with 0, 1, 2 and so on; 0 where they are not."""
        name = softmax.output[0]
        for _ in range(3):
            if len(readers := self._readers.get(name, [])) != 1:
                return 0
            (reader,) = readers
            if reader.op_type in ("Conv", "MatMul", "Mul") and len(reader.input) > 1:
                other = next(item for item in reader.input if item != name)
                return self._ramp(other)
            if reader.op_type not in _SAME_VALUES:
                return 0
            name = reader.output[0]
        return 0

    def _ramp(self, name: str) -> int:
        values = self.constant(name)
        flat = np.zeros(0) if values is None else values.ravel()
        return len(flat) if 1 < len(flat) <= 64 and np.array_equal(flat, np.arange(len(flat))) else 0

    def grids(self, name: str, place: int) -> tuple[str, ...]:
        """The convolutions' outputs, one for each stride, whose values a tensor joins; `place`: of the two in each.

        Older exports join distances and logits on each grid first, and split them after all grids are joined.
        """
        split = False
        for _ in range(_LONGEST_WAY):
            node = self._makers.get(name)
            if node is None:
                return ()
            if node.op_type == "Concat":
                parts = [self._flattened(item) for item in node.input]
                ends = [self._of_two(part, place) if split else part for part in parts if part]
                return tuple(end for end in ends if end) if all(ends) and len(ends) == len(parts) else ()
            split |= node.op_type in ("Split", "Slice")
            if node.op_type not in _SAME_VALUES | {"Split", "Slice"}:
                return ()
            name = node.input[0]
        return ()

    def _flattened(self, name: str) -> str:
        """What a Reshape or Flatten of a grid reads."""
        node = self._makers.get(name)
        return node.input[0] if node is not None and node.op_type in ("Reshape", "Flatten") else ""

    def _of_two(self, name: str, place: int) -> str:
        node = self.maker(name, "Concat")
        return node.input[place] if node is not None and len(node.input) == 2 else ""

    def channels(self, name: str) -> int:
        """How many channels a convolution gives; 0 where it is none."""
        node = self.maker(name, "Conv")
        weight = self._weights.get(node.input[1]) if node is not None else None
        return weight.dims[0] if weight is not None and len(weight.dims) == 4 else 0

    def kind(self, name: str) -> type[np.floating[Any]]:
        """The type of a convolution's numbers."""
        node = self.maker(name, "Conv")
        weight = self._weights.get(node.input[1]) if node is not None else None
        return np.float16 if weight is not None and weight.data_type == TensorProto.FLOAT16 else np.float32

    def constant(self, name: str) -> np.ndarray[Any, Any] | None:
        """A constant's values."""
        if name in self._weights:
            return numpy_helper.to_array(self._weights[name])
        node = self.maker(name, "Constant")
        if node is None or not node.attribute or not node.attribute[0].HasField("t"):
            return None
        return numpy_helper.to_array(node.attribute[0].t)
