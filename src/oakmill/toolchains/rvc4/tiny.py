"""The model of 1 kB that shows whether the toolchain works: the mean of each channel, doubled, in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

INPUT, OUTPUT = "picture", "doubled_means"
PICTURE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(1, 8, 8, 3)
ANSWER = 2 * PICTURE.astype(np.float32).mean(axis=(1, 2), keepdims=True)
"""189, 191 and 193: all on the grid of the model's scales, so that only the processor's own rounding is left."""

STEP = 1.0
"""The output's scale."""

SCALES = {"picture": 1.0, "planes": 1.0, "means": 0.5, "two": 0.015625, "tall": STEP, OUTPUT: STEP}


def write_model(path: Path) -> Path:
    """Write it as quantized ONNX, opset 17: uint8 pixels [1, 8, 8, 3] in, uint8 [1, 1, 1, 3] out."""
    nodes = [
        _real(INPUT),
        helper.make_node("Transpose", ["picture_real"], ["planes_raw"], "to_planes", perm=[0, 3, 1, 2]),
        *_grid("planes"),
        helper.make_node("GlobalAveragePool", ["planes_real"], ["means_raw"], "means"),
        *_grid("means"),
        _real("two"),
        helper.make_node("Mul", ["means_real", "two_real"], ["tall_raw"], "double"),
        *_grid("tall"),
        helper.make_node("Transpose", ["tall_real"], [f"{OUTPUT}_raw"], "to_pixels", perm=[0, 2, 3, 1]),
        _stored(OUTPUT),
    ]
    constants = [
        *(helper.make_tensor(f"{name}_scale", TensorProto.FLOAT, [], [scale]) for name, scale in SCALES.items()),
        helper.make_tensor("zero", TensorProto.UINT8, [], [0]),
        helper.make_tensor("two", TensorProto.UINT8, [1], [round(2 / SCALES["two"])]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, PICTURE.shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.UINT8, ANSWER.shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def _stored(name: str) -> onnx.NodeProto:
    return helper.make_node("QuantizeLinear", [f"{name}_raw", f"{name}_scale", "zero"], [name], f"{name}_store")


def _real(name: str) -> onnx.NodeProto:
    return helper.make_node("DequantizeLinear", [name, f"{name}_scale", "zero"], [f"{name}_real"], f"{name}_read")


def _grid(name: str) -> list[onnx.NodeProto]:
    return [_stored(name), _real(name)]
