"""A small network that sees something in drawn images: four classes of pixels, by their colours."""

from __future__ import annotations

import json

import numpy as np
from onnx import TensorProto, helper

from tests.web.furnish import packed

CLASSES = ("floor", "shelf", "pallet", "person")


def segmenter(size: int = 48) -> bytes:
    """An NN Archive with a head of masks: a convolution of 1 x 1, whose classes are the background and each colour."""
    weights = np.array([[0.2, 0.2, 0.2], [1, -0.5, -0.5], [-0.5, 1, -0.5], [-0.5, -0.5, 1]], np.float32) / 255
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])
    masks = helper.make_tensor_value_info("masks", TensorProto.FLOAT, [1, 4, size, size])
    kernel = helper.make_tensor("w", TensorProto.FLOAT, (4, 3, 1, 1), weights.ravel())
    graph = helper.make_graph(
        [helper.make_node("Conv", ["images", "w"], ["masks"], "see")], "net", [image], [masks], [kernel]
    )
    net = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    preprocessing = {"mean": [0, 0, 0], "scale": [1, 1, 1], "dai_type": "RGB888p"}
    described = {
        "name": "images", "dtype": "float32", "input_type": "image", "shape": [1, 3, size, size], "layout": "NCHW",
        "preprocessing": preprocessing,
    }  # fmt: skip
    about = {"classes": list(CLASSES), "n_classes": len(CLASSES), "is_softmax": False}
    model = {
        "metadata": {"name": "net", "path": "net.onnx", "precision": "float32"},
        "inputs": [described],
        "outputs": [{"name": "masks", "dtype": "float32"}],
        "heads": [{"parser": "SegmentationParser", "metadata": about, "outputs": ["masks"]}],
    }
    return packed({"config.json": json.dumps({"config_version": "1.0", "model": model}).encode(), "net.onnx": net})
