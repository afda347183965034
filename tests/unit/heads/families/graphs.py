"""Builds small graphs of convolutions on three grids, for the forms that other repositories' exports have."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

SIDE = 64
STRIDES = (8, 16, 32)


class Builder:
    """Nodes and constants, a body of one convolution for each grid before them."""

    def __init__(self, opset: int = 13) -> None:
        self._random = np.random.default_rng(5)
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, np.ndarray] = {}
        self._opset = opset

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node; the name of its output is given back."""
        self._nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def split(self, source: str, sizes: list[int], names: list[str], axis: int) -> None:
        """Parts of a tensor."""
        bounds = self.constant(f"{names[0]} sizes", sizes, "int64")
        self._nodes.append(helper.make_node("Split", [source, bounds], names, axis=axis))

    def constant(self, name: str, value: object, kind: str = "float32") -> str:
        """A constant; its name is given back."""
        self._weights[name] = np.array(value, kind)
        return name

    def convolution(self, place: int, name: str, channels: int) -> str:
        """A grid's convolution, of the image."""
        stride = 8 << place
        body = f"body{place}"
        if body not in self._weights:
            weight = self._random.normal(size=[8, 3, stride, stride]) * 0.8 / stride
            self.add("Conv", ["images", self.constant(body, weight)], f"{body}/made", strides=[stride, stride])
        weight = self._random.normal(size=[channels, 8, 1, 1]) * 0.4
        return self.add("Conv", [f"{body}/made", self.constant(f"{name}/weight", weight)], name)

    def model(self, shape: list[int] | None, more: dict[str, list[int]] | None = None) -> ModelProto:
        """The network, its first output named `output`, where it has a shape."""
        shapes: dict[str, list[int]] = {**({"output": shape} if shape else {}), **(more or {})}
        graph = helper.make_graph(
            self._nodes,
            "detector",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in shapes.items()],
            [numpy_helper.from_array(value, name) for name, value in self._weights.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)], ir_version=8)


def cells(stride: int) -> np.ndarray:
    """Column and row of each cell of a grid, [H, W, 2]."""
    count = np.arange(SIDE // stride)
    return np.stack(np.meshgrid(count, count), -1).astype(np.float32)
