"""Small networks of one image that end as classifiers, readers, maps and detectors of faces do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Shape = Sequence[int | str | None]
Step = tuple[str, dict[str, Any]]


def ended(
    *steps: Step, name: str = "out", shape: Shape = (1, 8), kind: int = TensorProto.FLOAT, opset: int = 17,
    producer: str = "", **metadata: str,
) -> ModelProto:  # fmt: skip
    """A network of these nodes, one behind the other; `weight` gives a second input its shape."""
    nodes: list[NodeProto] = []
    weights = []
    value = "image"
    for place, (operator, attributes) in enumerate(steps):
        inputs, output = [value], name if place == len(steps) - 1 else f"value{place}"
        given = dict(attributes)
        if "weight" in given:
            weights.append(numpy_helper.from_array(np.ones(given.pop("weight"), np.float32), f"weight{place}"))
            inputs.append(f"weight{place}")
        nodes.append(helper.make_node(operator, inputs, [output], **given))
        value = output
    found = model(nodes, {name: shape}, weights, kind, opset, producer)
    helper.set_model_props(found, metadata)
    return found


def model(
    nodes: Sequence[NodeProto], outputs: Mapping[str, Shape], weights: Sequence[TensorProto] = (),
    kind: int = TensorProto.FLOAT, opset: int = 17, producer: str = "", side: int = 64,
) -> ModelProto:  # fmt: skip
    """A network of these nodes and outputs, of an image of 64 x 64."""
    graph = helper.make_graph(
        [*nodes], "ends", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info(name, kind, [*shape]) for name, shape in outputs.items()], [*weights],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name=producer)


def convolution(channels: int) -> Step:
    """A 1 x 1 convolution."""
    return "Conv", {"weight": (channels, 3, 1, 1)}


def doubling(inner: int, outer: int) -> Step:
    """A transposed convolution of step 2."""
    return "ConvTranspose", {"weight": (inner, outer, 2, 2), "strides": [2, 2]}


DENSE: Step = ("MatMul", {"weight": (64, 8)})
SOFTMAX: Step = ("Softmax", {"axis": 1})
SIGMOID: Step = ("Sigmoid", {})


def faces(names: dict[str, str], side: int = 64) -> ModelProto:
    """SCRFD's nine outputs, called as `names` says; each is the image summed up and spread over its rows."""
    nodes, weights = [helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0)], []
    outputs: dict[str, Shape] = {}
    for word, columns in (("score", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            called, rows = names[f"{word}_{stride}"], 2 * (side // stride) ** 2
            values = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
            weights.append(numpy_helper.from_array(values, f"{called}/values"))
            nodes.append(helper.make_node("Mul", [f"{called}/values", "mean"], [called]))
            outputs[called] = (rows, columns)
    return model(nodes, outputs, weights, side=side)
