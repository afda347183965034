"""Builds the nodes from a head's convolutions to the outputs that the camera's parser reads, in the model's opset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from oakmill.model.pruning import drop_unneeded
from oakmill.model.structure import opset_of

SIDES = 4


class Endings:
    """A copy of a model that gets new outputs in the place of its own; names of tensors are the outputs' and a word."""

    def __init__(self, model: ModelProto, kind: type[np.floating[Any]]) -> None:
        self.model = ModelProto()
        self.model.CopyFrom(model)
        self._opset = opset_of(model) or 1
        self._kind = kind
        self._outputs: list[tuple[str, Sequence[Any]]] = []

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; its output's name is given back."""
        node: NodeProto = helper.make_node(kind, [*inputs], [output], output, **attributes)
        self.model.graph.node.append(node)
        return output

    def constant(self, name: str, values: NDArray[Any] | Sequence[Any], kind: Any = None) -> str:
        """Add a constant, of the network's type of numbers unless another is named."""
        self.model.graph.initializer.append(numpy_helper.from_array(np.array(values, kind or self._kind), name))
        return name

    def output(self, name: str, shape: Sequence[Any]) -> None:
        """Name an output; an open dimension is None."""
        self._outputs.append((name, shape))

    def finished(self) -> ModelProto:
        """The model that ends at its new outputs, without what nothing needs any more."""
        graph = self.model.graph
        del graph.output[:]
        dtype = helper.np_dtype_to_tensor_dtype(np.dtype(self._kind))
        graph.output.extend(helper.make_tensor_value_info(name, dtype, shape) for name, shape in self._outputs)
        drop_unneeded(graph)
        return self.model

    def distances(self, source: str, name: str, bins: int) -> list[str]:
        """The four distances of a map of distributions [1, 4 R, H, W], each [1, 1, H, W]; or of the map as it is."""
        if bins == 1:
            return [source]
        return [self._distance(source, f"{name}/side{side}", side, bins) for side in range(SIDES)]

    def _distance(self, source: str, part: str, side: int, bins: int) -> str:
        likely = self._softmax(self.slice(source, f"{part}/bins", (side * bins, (side + 1) * bins)), f"{part}/likely")
        ramp = "oakmill_head/ramp"
        if all(tensor.name != ramp for tensor in self.model.graph.initializer):
            self.constant(ramp, np.arange(bins).reshape(1, -1, 1, 1))
        return self.node("Conv", [likely, ramp], part)

    def _softmax(self, source: str, target: str) -> str:
        """Over channels; before opset 13 it is over all that follows its axis, so that the channels go last."""
        if self._opset >= 13:
            return self.node("Softmax", [source], target, axis=1)
        last = self.node("Transpose", [source], f"{target}/last", perm=[0, 2, 3, 1])
        likely = self.node("Softmax", [last], f"{target}/of_last", axis=3)
        return self.node("Transpose", [likely], target, perm=[0, 3, 1, 2])

    def slice(self, source: str, target: str, bounds: tuple[int, int]) -> str:
        """Some channels; the bounds are attributes before opset 10."""
        if self._opset < 10:
            return self.node("Slice", [source], target, axes=[1], starts=bounds[:1], ends=bounds[1:])
        words = zip(("start", "end", "axis"), (*bounds, 1), strict=True)
        names = [self.constant(f"{target}/{word}", [value], np.int64) for word, value in words]
        return self.node("Slice", [source, *names], target)

    def greatest(self, source: str, target: str) -> str:
        """The greatest channel; the axis is an attribute before opset 18."""
        if self._opset < 18:
            return self.node("ReduceMax", [source], target, axes=[1], keepdims=1)
        axis = self.constant(f"{target}/axis", [1], np.int64)
        return self.node("ReduceMax", [source, axis], target, keepdims=1)

    def flat(self, source: str, target: str, channels: int) -> str:
        """A map's cells in one row: [1, C, H W]."""
        return self.node("Reshape", [source, self.constant(f"{target}/shape", [1, channels, -1], np.int64)], target)
