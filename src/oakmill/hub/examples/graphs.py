"""Writes the examples' networks as ONNX, in the forms by which their heads are recognised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from oakmill.hub.examples.learning import Layer

_OPSET, _IR = 13, 8


def classifier(
    hidden: Layer, scores: Layer, colours: NDArray[np.float32], sides: tuple[int, int], names: Sequence[str]
) -> bytes:
    """RGB [1, 3, side, side], of 0 to 255, to the probabilities [1, K] of classes; `sides` of the image and a cell."""
    side, cell = sides
    rows = side // cell
    weights = {
        "cells.weight": _means(colours, cell),
        "hidden.weight": hidden.weights.reshape(-1, 1, rows, rows),
        "hidden.bias": hidden.bias,
        "scores.weight": scores.weights[:, :, None, None],
        "scores.bias": scores.bias,
    }
    nodes = [
        helper.make_node("Conv", ["image", "cells.weight"], ["cells"], "cells", strides=[cell, cell]),
        helper.make_node("Conv", ["cells", "hidden.weight", "hidden.bias"], ["units"], "hidden"),
        helper.make_node("Relu", ["units"], ["active"], "relu"),
        helper.make_node("Conv", ["active", "scores.weight", "scores.bias"], ["map"], "scores"),
        helper.make_node("Flatten", ["map"], ["logits"], "flatten"),
        helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
    ]
    return _written("digits", nodes, weights, side, ("probabilities", [1, len(names)]), names)


@dataclass(frozen=True)
class Grids:
    """The first layers of a detector: the colours [C, 3] that are looked for, and how they are seen on each grid."""

    directions: NDArray[np.float32]
    bias: NDArray[np.float32]
    strides: tuple[int, ...]
    window: int


def detector(grids: Grids, hidden: Layer, ends: Sequence[Layer], side: int, names: Sequence[str]) -> bytes:
    """BGR [1, 3, side, side], of 0 to 255, to boxes, objectness and scores [1, N, 5 + K], as a YOLOX gives them."""
    channels = len(grids.directions)
    weights: dict[str, NDArray[Any]] = {"colours.weight": _means(grids.directions, 4), "colours.bias": grids.bias}
    nodes = [
        helper.make_node("Conv", ["image", "colours.weight", "colours.bias"], ["colours"], "colours", strides=[4, 4]),
        helper.make_node("Relu", ["colours"], ["seen4"], "colours_relu"),
    ]
    below, rows = "seen4", []
    for stride in grids.strides:
        name = f"grid{stride}"
        pool: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
        nodes.append(helper.make_node("AveragePool", [below], [f"seen{stride}"], f"{name}/pool", **pool))
        below = f"seen{stride}"
        nodes += _head(name, below, grids.window)
        weights |= {
            f"{name}.hidden.weight": hidden.weights.reshape(-1, channels, grids.window, grids.window),
            f"{name}.hidden.bias": hidden.bias,
        }
        for kind, layer in zip(("boxes", "objectness", "scores"), ends, strict=True):
            weights |= {f"{name}.{kind}.weight": layer.weights[:, :, None, None], f"{name}.{kind}.bias": layer.bias}
        rows.append(f"{name}_rows")
        weights[f"{name}.shape"] = np.array([1, 5 + len(names), -1], np.int64)
    nodes.append(helper.make_node("Concat", rows, ["joined"], "join", axis=2))
    nodes.append(helper.make_node("Transpose", ["joined"], ["output"], "to_rows", perm=[0, 2, 1]))
    count = sum((side // stride) ** 2 for stride in grids.strides)
    return _written("balls", nodes, weights, side, ("output", [1, count, 5 + len(names)]), names)


def _means(directions: NDArray[np.float32], cell: int) -> NDArray[np.float32]:
    """The kernel [C, 3, cell, cell] that takes the mean of each cell along directions [C, 3]."""
    return np.tile(directions[:, :, None, None] / cell**2, (1, 1, cell, cell)).astype(np.float32)


def _head(name: str, below: str, window: int) -> list[NodeProto]:
    """A grid's hidden units, and what is told of each cell."""
    edge = window // 2

    def convolved(source: str, what: str, **options: Any) -> NodeProto:
        inputs = [source, f"{name}.{what}.weight", f"{name}.{what}.bias"]
        return helper.make_node("Conv", inputs, [f"{name}_{what}"], f"{name}/{what}", **options)

    active = f"{name}_active"
    return [
        convolved(below, "hidden", pads=[edge] * 4),
        helper.make_node("Relu", [f"{name}_hidden"], [active], f"{name}/relu"),
        convolved(active, "boxes"),
        convolved(active, "objectness"),
        convolved(active, "scores"),
        helper.make_node("Sigmoid", [f"{name}_objectness"], [f"{name}_sure"], f"{name}/sure"),
        helper.make_node("Sigmoid", [f"{name}_scores"], [f"{name}_likely"], f"{name}/likely"),
        helper.make_node(
            "Concat", [f"{name}_boxes", f"{name}_sure", f"{name}_likely"], [f"{name}_cells"], f"{name}/cells", axis=1
        ),
        helper.make_node("Reshape", [f"{name}_cells", f"{name}.shape"], [f"{name}_rows"], f"{name}/rows"),
    ]


def _written(
    name: str,
    nodes: Sequence[NodeProto],
    weights: dict[str, NDArray[Any]],
    side: int,
    output: tuple[str, list[int]],
    names: Sequence[str],
) -> bytes:
    """The model's bytes, with the classes' names as its writer notes them."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])],
        [numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in weights.items()],
    )
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="oakmill"
    )
    helper.set_model_props(model, {"names": repr(list(names))})
    checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
