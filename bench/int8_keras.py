"""Writes a chain of Keras' layers with residuals, such as MobileNetV2's, as ONNX; needs h5py (`pip install h5py`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

Layer = Mapping[str, Any]
Weights = Callable[[str, str], Any]


def read(file: Path) -> onnx.ModelProto:
    """The network of a .h5, from an image [1, 3, H, W]."""
    import h5py  # type: ignore[import-not-found]  # not one of the project's

    with h5py.File(file) as stored:
        values: dict[tuple[str, str], Any] = {}

        def take(path: str, item: Any) -> None:
            if hasattr(item, "shape"):
                *_, layer, name = path.split("/")
                values[layer, name] = np.asarray(item)

        stored["model_weights"].visititems(take)
        layers = list(_flat(json.loads(stored.attrs["model_config"])["config"]["layers"]))
    return _written(layers, lambda layer, name: values[layer, name])


def _flat(layers: list[Layer]) -> Iterator[Layer]:
    """A network within a network is as its layers."""
    for item in layers:
        inner = item["config"].get("layers")
        if inner:
            yield from _flat(inner)
        elif item["class_name"] not in ("InputLayer", "Dropout"):
            yield item


def _written(layers: list[Layer], weights: Weights) -> onnx.ModelProto:
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    before = "image"
    for item in layers:
        name = item["config"]["name"]
        sources = _sources(item)
        given = sources if len(sources) > 1 else [before]
        operator, tensors, attributes = OPERATORS[item["class_name"]](item["config"], weights)
        named = [
            numpy_helper.from_array(np.ascontiguousarray(value), f"{name}/{key}") for key, value in tensors.items()
        ]
        constants += named
        nodes.append(helper.make_node(operator, [*given, *(one.name for one in named)], [name], name, **attributes))
        before = name
    side = _side(layers[0])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])
    nodes += [helper.make_node("Softmax", [before], ["chances"], "chances", axis=1)]
    chances = helper.make_tensor_value_info("chances", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "network", [image], [chances], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def _sources(item: Layer) -> list[str]:
    return [name for name, *_ in _histories(item["inbound_nodes"])]


def _side(item: Layer) -> int:
    return int(item["inbound_nodes"][0]["args"][0]["config"]["shape"][1])


def _histories(found: Any) -> Iterator[Any]:
    if isinstance(found, dict):
        if "keras_history" in found:
            yield found["keras_history"]
        for value in found.values():
            yield from _histories(value)
    elif isinstance(found, list):
        for value in found:
            yield from _histories(value)


def _conv(config: Layer, weights: Weights) -> Any:
    kernel = weights(config["name"], "kernel").transpose(3, 2, 0, 1)
    return "Conv", {"kernel": kernel}, _window(config)


def _depthwise(config: Layer, weights: Weights) -> Any:
    kernel = weights(config["name"], "kernel").transpose(2, 3, 0, 1)
    return "Conv", {"kernel": kernel}, {**_window(config), "group": len(kernel)}


def _window(config: Layer) -> dict[str, Any]:
    return {"strides": config["strides"], "auto_pad": "SAME_UPPER" if config["padding"] == "same" else "VALID"}


def _norm(config: Layer, weights: Weights) -> Any:
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    values = {name: weights(config["name"], name) for name in names}
    return "BatchNormalization", values, {"epsilon": config["epsilon"]}


def _relu(config: Layer, _: Weights) -> Any:
    return "Clip", {"low": np.float32(0), "high": np.float32(config["max_value"])}, {}


def _pad(config: Layer, _: Weights) -> Any:
    (top, bottom), (left, right) = config["padding"]
    return "Pad", {"pads": np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)}, {}


def _mean(_: Layer, __: Weights) -> Any:
    return "ReduceMean", {}, {"axes": [2, 3], "keepdims": 0}


def _dense(config: Layer, weights: Weights) -> Any:
    return "Gemm", {name: weights(config["name"], name) for name in ("kernel", "bias")}, {}


OPERATORS: dict[str, Callable[[Layer, Weights], Any]] = {
    "Conv2D": _conv,
    "DepthwiseConv2D": _depthwise,
    "BatchNormalization": _norm,
    "ReLU": _relu,
    "ZeroPadding2D": _pad,
    "Add": lambda _, __: ("Add", {}, {}),
    "GlobalAveragePooling2D": _mean,
    "Dense": _dense,
}
