"""The model of 1 kB that shows whether the toolchain works: the mean of each channel, doubled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

INPUT, OUTPUT = "picture", "doubled_means"
PICTURE = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(1, 3, 8, 8)
ANSWER = 2 * PICTURE.astype(np.float32).mean(axis=(2, 3), keepdims=True)


def write_model(path: Path) -> Path:
    """Write it as ONNX, opset 13: [1, 3, 8, 8] in, [1, 3, 1, 1] out."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", [INPUT], ["means"], name="means"),
            helper.make_node("Mul", ["means", "two"], [OUTPUT], name="double"),
        ],
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, PICTURE.shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ANSWER.shape)],
        [helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path
