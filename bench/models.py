"""Makes the models that the benchmarks need and nobody has to download: a ResNet-18 with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

STAGES = ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
"""Channels and stride of each residual block; source: He et al. 2015, table 1."""


class _Network:
    """Collects nodes and weights; each method adds a layer and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self._random = np.random.default_rng(0)

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def weight(self, shape: tuple[int, ...], spread: float) -> str:
        name = f"weight_{len(self.weights)}"
        values = self._random.standard_normal(shape) * spread
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(self, x: str, channels: tuple[int, int], size: int, stride: int) -> str:
        before, after = channels
        weight = self.weight((after, before, size, size), (2 / (before * size * size)) ** 0.5)
        bias = self.weight((after,), 0.01)
        return self.node("Conv", x, weight, bias, strides=[stride] * 2, pads=[size // 2] * 4)

    def block(self, x: str, channels: tuple[int, int], stride: int) -> str:
        before, after = channels
        inner = self.node("Relu", self.conv(x, channels, 3, stride))
        inner = self.conv(inner, (after, after), 3, 1)
        around = x if before == after and stride == 1 else self.conv(x, channels, 1, stride)
        return self.node("Relu", self.node("Add", inner, around))


def write_resnet18(path: Path) -> Path:
    """Write a ResNet-18, 224x224, 11.7 million random weights, opset 13."""
    net = _Network()
    x = net.node("Relu", net.conv("image", (3, 64), 7, 2))
    x = net.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for after, stride in STAGES:
        x = net.block(x, (channels, after), stride)
        channels = after
    x = net.node("Flatten", net.node("GlobalAveragePool", x))
    net.node("Gemm", x, net.weight((1000, 512), 0.04), net.weight((1000,), 0.01), transB=1)
    net.nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        net.nodes,
        "resnet18",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1000])],
        net.weights,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
