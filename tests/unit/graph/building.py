"""Small models written as text, and data for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx.parser
from onnx import ModelProto, TensorProto, helper, numpy_helper

from oakmill.graph import equality
from oakmill.graph.boundary import encoding_of
from oakmill.graph.encodings import activations
from oakmill.graph.quantize import Plan, quantize
from oakmill.graph.skeleton import copy_of, infer_shapes

Array = npt.NDArray[Any]


def parse(
    body: str,
    *,
    inputs: str = "float[2,8,6,5] x",
    outputs: str = "float[?,?,?,?] y",
    constants: str = "",
    opset: int = 16,
    domains: str = "",
) -> ModelProto:
    """A model from its nodes in onnx's own notation."""
    between = f"<{constants}>" if constants else ""
    text = f'<ir_version: 8, opset_import: ["": {opset}{domains}]> g ({inputs}) => ({outputs}) {between} {{ {body} }}'
    return onnx.parser.parse_model(text)


def feeds(model: ModelProto, seed: int = 1) -> dict[str, Array]:
    """Floats from -1 to 1 for every input."""
    random = np.random.default_rng(seed)
    return {
        value.name: random.uniform(-1, 1, [dim.dim_value for dim in value.type.tensor_type.shape.dim]).astype("f")
        for value in model.graph.input
    }


def convolution(channels: int = 3, *, layout: str = "NCHW", **attrs: Any) -> ModelProto:
    """x -> Conv (padded, 3x3, 4 filters) -> Relu -> y, in NHWC behind a Transpose."""
    weights = np.random.default_rng(3).normal(size=[4, channels, 3, 3]).astype("f")
    shape = [1, channels, 8, 6] if layout == "NCHW" else [1, 8, 6, channels]
    nodes = [] if layout == "NCHW" else [helper.make_node("Transpose", ["x"], ["t"], "turn", perm=[0, 3, 1, 2])]
    first = "t" if nodes else "x"
    nodes.append(helper.make_node("Conv", [first, "w"], ["c"], "conv", pads=[1, 1, 1, 1], **attrs))
    nodes.append(helper.make_node("Relu", ["c"], ["y"], "relu"))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def ops(model: ModelProto) -> list[str]:
    """The operators of a model, in order."""
    return [node.op_type for node in model.graph.node]


def names(model: ModelProto) -> tuple[list[str], list[str]]:
    """The inputs and outputs of a model, in order."""
    return [value.name for value in model.graph.input], [value.name for value in model.graph.output]


def in_8_bits(model: ModelProto, data: dict[str, Array]) -> dict[str, Array]:
    """What a model computes of `data` once it is quantized by the ranges that it has there."""
    ranged = activations(infer_shapes(model))
    everything = copy_of(model)
    known = {value.name for value in (*model.graph.input, *model.graph.output)}
    inner = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ranged.measured]
    everything.graph.output.extend(value for value in inner if value.name not in known)
    values = {**data, **equality.run(everything, data)}
    ranges = {name: (min(0.0, float(values[name].min())), float(values[name].max())) for name in ranged.measured}
    written = quantize(model, ranged.complete(ranges), Plan(), [])
    found = equality.run(written, data)
    for name, stored in found.items():
        if (encoding := encoding_of(written, name)) is not None:
            scale, zero = encoding
            found[name] = (stored.astype(np.float32) - zero) * scale
    return found
