"""Small real models for a hub that is tried out: an ONNX of one picture, one of two, and a TorchScript like a YOLO."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oakmill.toolchains.torchscript.tiny import write_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

OPSET = 13
HEIGHT, WIDTH = 96, 160
_HEADS = ((20, "torch.cat([_8, torch.upsample_nearest2d(_16, None, [2., 2.])], 1)"), (12, "_16"), (12, "_32"))
_CHANNELS = 9  # four of the box, one of the object, four of the classes


def one_picture(path: Path) -> Path:
    """A small picture through three convolutions to ten scores."""
    return _save(path, "one_picture", [_backbone("image", "scores")])


def two_pictures(path: Path) -> Path:
    """Two pictures, each through its own convolutions, to two rows of scores."""
    return _save(path, "two_pictures", [_backbone(name, f"scores_{name}") for name in ("left", "right")])


def yolo(path: Path) -> Path:
    """A backbone that takes pictures of any size, and heads at strides of 8, 16 and 32; quick to emulate."""
    body = [
        f"_8 = {_layer('x', 3, 8, 8)}",
        f"_16 = {_layer('_8', 8, 12)}",
        f"_32 = {_layer('_16', 12, 12)}",
        *(f"_h{index} = {_head(source, width)}" for index, (width, source) in enumerate(_HEADS)),
        "return (_h0, _h1, _h2)",
    ]
    return write_model(path, returns="Tuple[Tensor, Tensor, Tensor]", body="\n    ".join(body))


def _layer(taken: str, width: int, given: int, stride: int = 2) -> str:
    return f"torch.relu(torch.conv2d({taken}, {_weights(given, width, 3)}, None, [{stride}, {stride}], [1, 1]))"


def _head(taken: str, width: int) -> str:
    return f"torch.conv2d({taken}, {_weights(_CHANNELS, width, 1)}, None, [1, 1], [0, 0])"


def _weights(given: int, width: int, size: int) -> str:
    """Weights that are as good as any, and need no bytes in the file."""
    shape = [given, width, size, size]
    count = given * width * size * size
    numbers = f"torch.arange({count}, dtype=6, layout=None, device=None, pin_memory=False)"
    return f"torch.mul(torch.reshape(torch.sin({numbers}), {shape}), {2 / (width * size * size) ** 0.5:.4f})"


_Part = tuple[list["onnx.NodeProto"], list["onnx.TensorProto"], "onnx.ValueInfoProto", "onnx.ValueInfoProto"]


def _backbone(taken: str, given: str) -> _Part:
    """Nodes, weights, input and output of one picture's way."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(7)
    nodes, weights, last = [], [], taken
    for index, (width, channels) in enumerate(((3, 8), (8, 16), (16, 10))):
        values = random.normal(0, (2 / (width * 9)) ** 0.5, (channels, width, 3, 3)).astype(np.float32)
        name = f"{taken}_{index}"
        weights.append(numpy_helper.from_array(values, f"{name}_weights"))
        nodes.append(
            helper.make_node(
                "Conv", [last, f"{name}_weights"], [f"{name}_conv"], kernel_shape=[3, 3], strides=[4, 4], pads=[1] * 4
            )
        )
        nodes.append(helper.make_node("Relu", [f"{name}_conv"], [name]))
        last = name
    nodes.append(helper.make_node("GlobalAveragePool", [last], [f"{taken}_mean"]))
    nodes.append(helper.make_node("Flatten", [f"{taken}_mean"], [given]))
    picture = helper.make_tensor_value_info(taken, TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])
    return nodes, weights, picture, helper.make_tensor_value_info(given, TensorProto.FLOAT, [1, 10])


def _save(path: Path, name: str, parts: Sequence[_Part]) -> Path:
    import onnx
    from onnx import helper

    graph = helper.make_graph(
        [node for nodes, _, _, _ in parts for node in nodes],
        name,
        [picture for _, _, picture, _ in parts],
        [scores for _, _, _, scores in parts],
        [item for _, weights, _, _ in parts for item in weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
