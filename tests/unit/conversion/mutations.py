"""A small detector, and faults that its finished file may hold: no platform's passport may call one of them ok."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

Outputs = Mapping[str, NDArray[Any]]
Weights = dict[str, NDArray[Any]]
Mutate = Callable[[Weights], None]
Spoil = Callable[[Outputs], Outputs]
SIZE, CELLS = 32, 256
RANDOM = np.random.default_rng(3)
WEIGHTS = {
    "first": RANDOM.normal(0, 1.2, (8, 3, 3, 3)) / 128,
    "second": RANDOM.normal(0, 0.25, (8, 8, 3, 3)),
    "heads": RANDOM.normal(0, 0.5, (6, 8, 1, 1)),
}


def detector(change: Mutate) -> ModelProto:
    """image -> two layers -> boxes [1, 256, 4] about the cells of a grid, and scores [1, 256, 2] of nothing and of one
    class; `change` edits the weights."""
    weights = {name: values.copy() for name, values in WEIGHTS.items()}
    weights["bias"] = np.array([0.3, 0.3, 0.3, 0.3, 2.0, -2.0])
    weights["factor"] = np.array(1.0)
    change(weights)
    places = (np.arange(16) + 0.5) / 16
    middles = np.stack(np.meshgrid(places, places), -1).reshape(1, CELLS, 2)
    constants = {**weights, "middles": middles, "away": np.array([-1.0, -1, 1, 1]) * 0.2, "rows": [1, 6, CELLS],
                 "at": [4], "until": [6], "zero": [0], "axis": [2]}  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "heads", "bias"], ["e"]),
        helper.make_node("Reshape", ["e", "rows"], ["f"]),
        helper.make_node("Transpose", ["f"], ["g"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["g", "zero", "at", "axis"], ["sides"]),
        helper.make_node("Slice", ["g", "at", "until", "axis"], ["logits"]),
        helper.make_node("Sigmoid", ["sides"], ["open"]),
        helper.make_node("Mul", ["open", "away"], ["apart"]),
        helper.make_node("Concat", ["middles", "middles"], ["centres"], axis=2),
        helper.make_node("Add", ["apart", "centres"], ["corners"]),
        helper.make_node("Mul", ["corners", "factor"], ["boxes"]),
        helper.make_node("Softmax", ["logits"], ["likely"], axis=2),
        helper.make_node("Mul", ["likely", "factor"], ["scores"]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, CELLS, columns])
               for name, columns in (("boxes", 4), ("scores", 2))]  # fmt: skip
    return _model(nodes, outputs, constants)


def _model(nodes: list[Any], outputs: list[Any], constants: Mapping[str, Any]) -> ModelProto:
    tensors = [
        numpy_helper.from_array(np.asarray(values, np.int64 if isinstance(values, list) else np.float32), name)
        for name, values in constants.items()
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIZE, SIZE])
    graph = helper.make_graph(nodes, "small", [image], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def zeroed(weights: Weights) -> None:
    for name in ("first", "second", "heads"):
        weights[name][np.random.default_rng(0).random(weights[name].shape) < 0.1] = 0


def exchanged(weights: Weights) -> None:
    weights["first"] = weights["first"][:, ::-1]


def negated(name: str) -> Mutate:
    def change(weights: Weights) -> None:
        place = np.unravel_index(np.abs(weights[name]).argmax(), weights[name].shape)
        weights[name][place] *= -1

    return change


def scaled(factor: float) -> Mutate:
    return lambda weights: weights.update(factor=np.array(factor))


def biased(weights: Weights) -> None:
    weights["bias"] = weights["bias"] + np.array([0, 0, 0, 0, 0, 1.0])


def swapped(weights: Weights) -> None:
    weights["second"] = weights["second"][[1, 0, *range(2, 8)]]


def without_a_layer(weights: Weights) -> None:
    weights["second"] = weights["second"] * 0


def unchanged(weights: Weights) -> None:
    """No fault."""


def no_faces(outputs: Outputs) -> Outputs:
    return {**outputs, "scores": outputs["scores"] * [1.0, 0.0]}


def mirrored(outputs: Outputs) -> Outputs:
    return {**outputs, "boxes": outputs["boxes"][:, ::-1]}


def as_is(outputs: Outputs) -> Outputs:
    return outputs


MUTATIONS: dict[str, tuple[Mutate, Spoil]] = {
    "scores of zero": (unchanged, no_faces),
    "a tenth of the weights zeroed": (zeroed, as_is),
    "red and blue exchanged": (exchanged, as_is),
    "outputs times 1.05": (scaled(1.05), as_is),
    "outputs times 0.95": (scaled(0.95), as_is),
    "a weight of the first layer negated": (negated("first"), as_is),
    "a weight of the second layer negated": (negated("second"), as_is),
    "a weight of the heads negated": (negated("heads"), as_is),
    "a bias moved": (biased, as_is),
    "two channels swapped": (swapped, as_is),
    "a layer of zeros": (without_a_layer, as_is),
    "boxes in another order": (unchanged, mirrored),
}
"""What is done to the weights, and to the outputs."""
