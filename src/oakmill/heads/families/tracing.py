"""Follows values backwards through an exported graph: to the convolutions that a head is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

MOVES = frozenset({"Reshape", "Transpose", "Flatten", "Identity", "Unsqueeze", "Squeeze", "Split", "Slice", "Cast"})
"""What takes values elsewhere, and changes none."""
FARTHEST = 400
"""Nodes between an output and its last convolutions; exports of five grids, with a choice of boxes, have up to 150."""
MOST_BINS = 64
"""Of a side's distribution; the families have 16 or 17."""
_RANK, _ROWS = 4, 2
"""Dimensions of a map, NCHW, and which of them its rows are."""


class Graph:
    """Who makes and reads what in the main graph, and the constants that nodes read."""

    def __init__(self, model: ModelProto) -> None:
        graph: GraphProto = model.graph
        self._makers: dict[str, NodeProto] = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._strides = _strides(graph, self)

    def maker(self, name: str, *kinds: str) -> NodeProto | None:
        """The node that makes a tensor, if it is of these kinds, or of any where none is named."""
        node = self._makers.get(name)
        return node if node is not None and (not kinds or node.op_type in kinds) else None

    def readers(self, name: str) -> Sequence[NodeProto]:
        """The nodes that read a tensor."""
        return self._readers.get(name, [])

    def before(self, name: str) -> Iterator[NodeProto]:
        """The nodes that a tensor is made by, the nearest first, up to the last convolutions."""
        waiting, seen = [name], set[str]()
        while waiting and len(seen) < FARTHEST:
            node = self._makers.get(waiting.pop(0))
            if node is None or node.output[0] in seen:
                continue
            seen.add(node.output[0])
            yield node
            if not self.channels(node.output[0]):
                waiting.extend(node.input)

    def ends(self, name: str) -> tuple[str, ...]:
        """The outputs of the last convolutions that a tensor is made of, in the order in which they are joined."""
        found: dict[str, None] = {}
        self._ends(name, found, set())
        return tuple(found)

    def _ends(self, name: str, found: dict[str, None], seen: set[str]) -> None:
        waiting = [name]
        while waiting and len(seen) < FARTHEST:
            name = waiting.pop()
            node = self._makers.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            if self.channels(name):
                found[name] = None
            elif node.op_type != "Shape":  # what asks a tensor for its shape is made of none of its values
                waiting.extend(reversed(node.input))

    def channels(self, name: str) -> int:
        """How many channels a head's convolution gives; 0 where it is none, or weighs bins."""
        node = self.maker(name, "Conv")
        weight = self._weights.get(node.input[1]) if node is not None and len(node.input) > 1 else None
        if node is None or weight is None or len(weight.dims) != 4 or self.ramp(node.input[1]):
            return 0
        return int(weight.dims[0])

    def kind(self, name: str) -> type[np.floating[Any]]:
        """The type of a convolution's numbers."""
        node = self.maker(name, "Conv")
        weight = self._weights.get(node.input[1]) if node is not None and len(node.input) > 1 else None
        return np.float16 if weight is not None and weight.data_type == TensorProto.FLOAT16 else np.float32

    def parts(self, name: str) -> tuple[str, ...]:
        """What a tensor is joined of, along one axis; the tensor itself where it is not."""
        node = self.maker(name, "Concat")
        if node is None:
            return (name,)
        axis, waiting = attribute(node, "axis"), list(reversed(node.input))
        found: list[str] = []
        for _ in range(FARTHEST):
            if not waiting:
                break
            item = waiting.pop()
            inner = self.maker(item, "Concat")
            if inner is not None and attribute(inner, "axis") == axis:
                waiting.extend(reversed(inner.input))
            else:
                found.append(item)
        return tuple(found)

    def moved(self, name: str, *kinds: str) -> bool:
        """Whether a tensor holds values of such nodes alone, joined and moved."""
        waiting, seen = [name], set[str]()
        while waiting and len(seen) < FARTHEST:
            item = waiting.pop()
            node = self._makers.get(item)
            if node is None:
                return False
            if item in seen or node.op_type in kinds:
                continue
            seen.add(item)
            if node.op_type == "Concat":
                waiting.extend(node.input)
            elif node.op_type in MOVES:
                waiting.extend(node.input[:1])
            else:
                return False
        return True

    def bins(self, name: str) -> int:
        """How many bins a tensor's distances are weighed by, with 0, 1, 2 and so on; 1 where there are none."""
        for node in self.before(name):
            if node.op_type == "Softmax":
                return self._bins_behind(node)
        return 1

    def _bins_behind(self, softmax: NodeProto) -> int:
        name = softmax.output[0]
        for _ in range(3):
            if len(readers := self.readers(name)) != 1:
                return 0
            (reader,) = readers
            if reader.op_type in ("Conv", "MatMul", "Mul") and len(reader.input) > 1:
                return self.ramp(next(item for item in reader.input if item != name))
            if reader.op_type not in MOVES:
                return 0
            name = reader.output[0]
        return 0

    def ramp(self, name: str) -> int:
        """How many numbers a constant has that are 0, 1, 2 and so on; 0 where they are others."""
        tensor = self._weights.get(name)
        if tensor is not None and (int(np.prod(tensor.dims)) > MOST_BINS or tensor.data_location):
            return 0
        values = self.constant(name)
        flat = np.zeros(0) if values is None else values.ravel()
        return len(flat) if 1 < len(flat) <= MOST_BINS and np.array_equal(flat, np.arange(len(flat))) else 0

    def constant(self, name: str) -> NDArray[Any] | None:
        """A constant's values; None where it is none, no numbers, or they lie in another file."""
        tensor = self._weights.get(name)
        node = self.maker(name, "Constant") if tensor is None else None
        if node is not None and node.attribute and node.attribute[0].HasField("t"):
            tensor = node.attribute[0].t
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL or tensor.data_type == TensorProto.STRING:
            return None
        return numpy_helper.to_array(tensor)

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is a constant, wherever its values lie."""
        return name in self._weights or self.maker(name, "Constant") is not None

    def stride(self, name: str) -> int:
        """How many times smaller than the input a map is; 0 where it cannot be told."""
        return round(self._strides.get(name, 0))


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """A node's attribute."""
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def _strides(graph: GraphProto, known: Graph) -> dict[str, float]:
    """How many times smaller than the input each map is, as far as strides, pools, steps and scales tell."""
    found = {value.name: 1.0 for value in graph.input}
    for node in graph.node:
        before = next((found[name] for name in node.input if found.get(name)), 0.0)
        if before:
            after = before * _factor(node, known)
            found.update(dict.fromkeys(node.output, after if math.isfinite(after) else 0.0))
    return found


def _factor(node: NodeProto, known: Graph) -> float:
    """How many times smaller a node makes a map; 0 where it cannot be told."""
    if node.op_type in ("Conv", "MaxPool", "AveragePool"):
        return float((attribute(node, "strides") or [1])[0])
    if node.op_type == "SpaceToDepth":
        return float(attribute(node, "blocksize", 1))
    if node.op_type == "Slice" and len(node.input) > 4:
        axes, steps = known.constant(node.input[3]), known.constant(node.input[4])
        rows = {} if axes is None or steps is None else dict(zip(axes.ravel() % _RANK, steps.ravel(), strict=False))
        return float(rows.get(_ROWS, 1))
    if node.op_type in ("Resize", "Upsample"):
        scales = next((values for name in node.input[1:] if (values := known.constant(name)) is not None and
                       values.dtype == np.float32 and values.size == 4), None)  # fmt: skip
        scale = 0.0 if scales is None else float(scales.ravel()[-1])
        return 1 / scale if math.isfinite(scale) and scale > 0 else 0.0
    return 0.0 if node.op_type in ("ConvTranspose", "DepthToSpace", "Reshape", "Shape") else 1.0
