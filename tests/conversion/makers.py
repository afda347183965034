"""Makes the small models that the tests convert, good ones and bad ones."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

SIDE = 16


def conv_model(
    *,
    opset: int = 13,
    shape: Sequence[int | str] = (1, 3, SIDE, SIDE),
    weight: NDArray[np.float32] | None = None,
    tail: Sequence[onnx.NodeProto] = (),
) -> ModelProto:
    """image -> 3x3 convolution to 4 channels -> Relu -> [tail] -> scores."""
    if weight is None:
        weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32) * 0.05
    last = "scores" if not tail else "hidden"
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["features"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], [last], "relu"),
        *tail,
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def two_input_model() -> ModelProto:
    """left and right pictures -> their weighted difference."""
    weights = np.random.default_rng(1).standard_normal((2, 3, 3, 3)).astype(np.float32) * 0.1
    pictures = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, SIDE, SIDE]) for name in ("left", "right")
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["left", "weight"], ["a"], "conv_left"),
            helper.make_node("Conv", ["right", "weight"], ["b"], "conv_right"),
            helper.make_node("Sub", ["a", "b"], ["difference"], "sub"),
        ],
        "stereo",
        pictures,
        [helper.make_tensor_value_info("difference", TensorProto.FLOAT, [1, 2, SIDE - 2, SIDE - 2])],
        [numpy_helper.from_array(weights, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def saved(model: ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def archived(model: ModelProto, path: Path, preprocessing: Mapping[str, Any], heads: Sequence[Any] = ()) -> Path:
    """The model as an NN Archive with that preprocessing of its one input."""
    config = {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": "small", "path": "small.onnx"},
            "inputs": [
                {
                    "name": "image",
                    "dtype": "float32",
                    "input_type": "image",
                    "shape": [1, 3, SIDE, SIDE],
                    "layout": "NCHW",
                    "preprocessing": dict(preprocessing),
                }
            ],
            "outputs": [{"name": "scores", "dtype": "float32"}],
            "heads": list(heads),
        },
    }
    with tarfile.open(path, "w:xz") as archive:
        for name, data in (
            ("config.json", json.dumps(config).encode()),
            ("small.onnx", model.SerializeToString()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def archive_of(path: Path) -> dict[str, bytes]:
    """The files of an NN Archive."""
    with lzma.open(path) as file, tarfile.open(fileobj=file) as archive:
        return {
            member.name: content.read() for member in archive if (content := archive.extractfile(member)) is not None
        }
