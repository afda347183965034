"""Reads an IR with OpenVINO 2022.3.2 and runs it on the CPU plugin, in float between its quantizers."""

from __future__ import annotations

from typing import Any

import numpy as np
from frame import Refused, report
from openvino.runtime import Core, get_version  # type: ignore[import-not-found]
from openvino.runtime.passes import ConstantFolding, Manager  # type: ignore[import-not-found]

# Without this the plugin computes in bfloat16 on processors that have it.
CONFIG = {"ENFORCE_BF16": "NO"}
# With a matrix of 805 MB and two threads the plugin's multiplication ends by SIGSEGV; with one thread it is right.
LARGE = 1 << 27  # values
_NUMPY = {"f32": "float32", "f16": "float16", "boolean": "bool", "f64": "float64"}
_NUMPY.update({f"{kind[0]}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)})


def infer(request: dict[str, Any]) -> dict[str, Any]:
    """Run each sample; outputs go to `NAME/INDEX` in one .npz. Without samples, say only what was read."""
    core = Core()
    model = core.read_model(request["model"])
    inputs = _named("input", model.inputs, request["inputs"])
    outputs = _named("output", model.outputs, request["outputs"])
    _unpack_weights(model)
    # One request for all: with a new one for each, the plugin's 6-D Transpose reads the memory of the one before.
    asked = core.compile_model(model, "CPU", _config(model)).create_infer_request()
    results: dict[str, Any] = {}
    for index, sample in enumerate(request["samples"]):
        arrays = {inputs[name]: np.load(file) for name, file in sample.items()}
        feeds = {place: values.astype(_dtype(model.inputs[place])) for place, values in arrays.items()}
        found = list(asked.infer(feeds).values())
        for name, place in outputs.items():
            results[f"{name}/{index}"] = found[place].copy()
        report(index + 1, len(request["samples"]), "images")
    if request["samples"]:
        np.savez(request["target"], **results)
    return {
        "version": get_version(),
        "inputs": {name: _described(model.inputs[place]) for name, place in inputs.items()},
        "outputs": {name: _described(model.outputs[place]) for name, place in outputs.items()},
    }


def _config(model: Any) -> dict[str, str]:
    """How the plugin is to compute."""
    constants = (layer for layer in model.get_ops() if layer.get_type_name() == "Constant")
    largest = max((np.prod(layer.output(0).shape, dtype=np.int64) for layer in constants), default=0)
    return {**CONFIG, "INFERENCE_NUM_THREADS": "1"} if largest >= LARGE else CONFIG


def _unpack_weights(model: Any) -> None:
    """Turn weights of 8 bits into the floats that they stand for, so that the plugin takes no integer kernels.

    Those let sums overflow on processors without VNNI, and compute a GRU wrongly; the device does neither.
    """
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)


def _named(kind: str, ports: Any, wanted: list[str]) -> dict[str, int]:
    """The place of each wanted port; all ports must be wanted."""
    names = [{*port.get_names(), _layer(port)} for port in ports]
    found = {name: place for name in wanted for place, own in enumerate(names) if name in own}
    if len(found) != len(wanted) or len(set(found.values())) != len(names):
        there = ", ".join("/".join(sorted(own)) for own in names)
        raise Refused("names", f"the IR has the {kind}s {there}, the model {', '.join(wanted)}")
    return found


def _layer(port: Any) -> str:
    """What a port is called where its tensor has no name: its layer's, with a number where that gives several."""
    node = port.get_node()
    if node.get_type_name() != "Result":
        return str(node.get_friendly_name())
    source = node.input_value(0)
    number = f".{source.get_index()}" if source.get_node().get_output_size() > 1 else ""
    return f"{source.get_node().get_friendly_name()}{number}"


def _described(port: Any) -> dict[str, Any]:
    return {"shape": list(port.shape), "dtype": _dtype(port)}


def _dtype(port: Any) -> str:
    kind = port.element_type.get_type_name()
    return _NUMPY.get(str(kind), str(kind))
