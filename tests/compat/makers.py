"""Models that are converted through the client: as small as real ones can be, as ONNX and as an NN Archive."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 3, 32, 48)
MEAN = [123.675, 116.28, 103.53]
SCALE = [58.395, 57.12, 57.375]


def tiny(path: Path) -> Path:
    """One convolution and its mean."""
    weights = np.random.default_rng(3).normal(0, 0.2, (4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["conv"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(SHAPE))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def dated(path: Path, weights: int = 80) -> Path:
    """The same as old exporters wrote it: with an open batch, and every one of many weights among the inputs."""
    model = onnx.load(tiny(path))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    last = model.graph.output[0].name
    for number in range(weights):
        name, result = f"Parameter{number}", f"sum{number}"
        model.graph.initializer.append(numpy_helper.from_array(np.full((1,), 0.01 * number, np.float32), name))
        model.graph.node.append(helper.make_node("Add", [last, name], [result]))
        last = result
    model.graph.output[0].name = last
    listed = [helper.make_tensor_value_info(item.name, item.data_type, item.dims) for item in model.graph.initializer]
    model.graph.input.extend(listed)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def open_sizes(path: Path) -> Path:
    """The same for images of any size."""
    model = onnx.load(tiny(path))
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_param = f"size{dimension.dim_value}"
    onnx.save(model, path)
    return path


def archived(path: Path, model: Path) -> Path:
    """The model in an NN Archive that says mean, scale and RGB."""
    preprocessing: dict[str, Any] = {"mean": MEAN, "scale": SCALE, "reverse_channels": None, "dai_type": "RGB888p"}
    about = {"dtype": "float32", "shape": list(SHAPE), "layout": "NCHW"}
    config = {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": "tiny", "path": model.name, "precision": "float32"},
            "inputs": [{"name": "image", **about, "input_type": "image", "preprocessing": preprocessing}],
            "outputs": [{"name": "scores", "dtype": "float32"}],
            "heads": None,
        },
    }
    with tarfile.open(path, "w:xz") as archive:
        archive.add(model, model.name)
        data = json.dumps(config).encode()
        entry = tarfile.TarInfo("config.json")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return path


def calibration_images(path: Path, count: int = 3) -> Path:
    """A zip of arrays that calibrate a quantization, as the client's users make it: without the batch."""
    random = np.random.default_rng(5)
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(count):
            buffer = io.BytesIO()
            np.save(buffer, (random.random(SHAPE[1:]) * 255).astype(np.float32))
            archive.writestr(f"sample_{index}.npy", buffer.getvalue())
    return path
