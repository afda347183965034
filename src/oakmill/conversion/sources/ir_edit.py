"""Edits a network in OpenVINO's own format: shapes, outputs, preprocessing in front; then writes .xml and .bin.

What is added goes into the .xml as layers of opset1, which every reader knows, and its constants behind the weights
in the .bin; the weights themselves stay as they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement

import numpy as np
from numpy.typing import NDArray

from oakmill.errors import SpecError
from oakmill.graph.preprocessing import Preprocessing
from oakmill.model.ir_graph import IrGraph, Port, parameter_shape
from oakmill.model.openvino_ir import values_of

_NAMES = {"float16": ("f16", "FP16"), "float32": ("f32", "FP32"), "float64": ("f64", "FP64"), "int64": ("i64", "I64")}
_ALIGNMENT = 64
_LARGEST_HALF = float(np.finfo(np.float16).max)
PEAK = "peak:"
"""Precedes a tensor's name in the name of the output that holds its peak."""


class Editor:
    """One network under edit, with the constants that were added."""

    def __init__(self, graph: IrGraph, weights: Path) -> None:
        self.graph = graph
        self._weights = weights
        self._end = weights.stat().st_size
        self._added = bytearray()
        self._last = max(map(int, graph.layers))

    def write(self, path: Path, *, halve: bool = False) -> Path:
        """Write the network to `path`, an .xml, and its weights beside it; with `halve`, floats rounded to 16 bits.

        The folder is made.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        weights = path.with_suffix(".bin")
        shutil.copyfile(self._weights, weights)
        with weights.open("ab") as file:
            file.write(self._added)
        if halve:
            _halve(self.graph, weights)
        ElementTree(self.graph.root).write(path, encoding="utf-8", xml_declaration=True)
        return path

    def forget_old_api(self) -> None:
        """Drop the marks that make OpenVINO's older interface turn inputs and outputs to what they once were."""
        for marks in self.graph.root.iter("rt_info"):
            for mark in [item for item in marks if (item.get("name") or "").startswith("old_api_map")]:
                marks.remove(mark)

    def set_shape(self, name: str, shape: Sequence[int]) -> None:
        """Give an input another shape; the layers behind it follow when OpenVINO reads the network."""
        (layer,) = [item for item in self.graph.parameters if item.get("name") == name]
        layer.find("data").set("shape", ",".join(map(str, shape)))  # type: ignore[union-attr]
        port = layer.find("output/port")
        assert port is not None
        for dim in port.findall("dim"):
            port.remove(dim)
        _add_dims(port, shape)
        self._refresh()

    def cut_at(self, names: Sequence[str]) -> None:
        """Make what these layers compute the network's outputs, and drop the layers that only others need.

        A name is an output's, a layer's (its first output), that of one of its ports (LAYER.1), or a tensor's where
        the XML says tensors' names, as those of version 11 do; the layer is then called after the tensor.

        Raises:
            SpecError: the network computes nothing of that name, or it is said twice.
        """
        ports = [self._find(name) for name in names]
        for port in ports:
            if ports.count(port) > 1:
                name = self.graph.name_of(port)
                raise SpecError(f"The network cannot end at {name!r} twice.", subject=name)
        self._remove({result.get("id", "") for result in self.graph.results})
        for port in ports:
            self._add_result(f"{self.graph.name_of(port)}/result", port)
        self._refresh()
        self._drop_unneeded()

    def embed(self, item: Preprocessing) -> None:
        """Put one input's preprocessing behind its Parameter: reverse, then Multiply by 1/scale and Add -mean/scale.

        Raises:
            SpecError: it does not fit the input.
        """
        if item.is_neutral:
            return
        (layer,) = [found for found in self.graph.parameters if found.get("name") == item.name]
        start = layer.get("id", ""), layer.findall("output/port")[0].get("id", "")
        users = [edge for edge in self.graph.edges_element if _source(edge) == start]
        shape = tuple(size or 0 for size in parameter_shape(layer))
        port = start
        for kind, constant, extra in _steps(item, shape, self.graph.port_type(start)):
            name = f"{item.name}/preprocessing/{kind.lower()}"
            operands = [self._constant(f"{name}/{place}", value) for place, value in enumerate((constant, *extra))]
            port = self._layer(name, kind, [port, *operands], shape, self.graph.port_type(start))
        for edge in users:
            edge.set("from-layer", port[0])
            edge.set("from-port", port[1])
        self._refresh()

    def watch_peaks(self) -> None:
        """Add an output for every float tensor that the network computes: the largest magnitude in it."""
        for layer in list(self.graph.layers.values()):
            if layer.get("type") in ("Const", "Parameter", "Result"):
                continue
            for place in layer.findall("output/port"):
                port = layer.get("id", ""), place.get("id", "")
                if self.graph.port_type(port) not in ("float16", "float32"):
                    continue
                self._watch_peak(port)
        self._refresh()

    def _watch_peak(self, port: Port) -> None:
        name, dtype, shape = PEAK + self.graph.name_of(port), self.graph.port_type(port), self.graph.port_shape(port)
        known = [size or 1 for size in shape]
        size = self._layer(f"{name}/abs" if shape else name, "Abs", [port], known, dtype)
        if shape:
            axes = self._constant(f"{name}/axes", np.arange(len(shape), dtype=np.int64))
            size = self._layer(name, "ReduceMax", [size, axes], (), dtype, {"keep_dims": "false"})
        self._add_result(f"{name}/result", size)

    def _find(self, name: str) -> Port:
        computed = [
            (layer.get("id", ""), port.get("id", ""))
            for layer in self.graph.layers.values()
            if layer.get("type") != "Const"
            for port in layer.findall("output/port")
        ]
        by_layer = {self.graph.layers[port[0]].get("name"): port for port in reversed(computed)}
        by_name = {self.graph.name_of(port): port for port in computed}
        found = by_name.get(name) or by_layer.get(name) or self._find_tensor(name, computed)
        if found is None:
            raise SpecError(
                f"The network cannot end at {name!r}: no layer or tensor has that name.",
                subject=name,
                remedy=f"Its outputs are {', '.join(item.name for item in self.graph.outputs)}; a viewer shows the "
                "others.",
            )
        return found

    def _find_tensor(self, name: str, computed: Sequence[Port]) -> Port | None:
        for port in computed:
            layer = self.graph.layers[port[0]]
            ports = layer.findall("output/port")
            (place,) = [item for item in ports if item.get("id") == port[1]]
            if name in (place.get("names") or "").split(","):
                if len(ports) == 1:
                    layer.set("name", name)
                return port
        return None

    def _drop_unneeded(self) -> None:
        by_reader: dict[str, list[str]] = {}
        for reader, read in self.graph.feeds.items():
            by_reader.setdefault(reader[0], []).append(read[0])
        needed = {layer.get("id", "") for layer in (*self.graph.results, *self.graph.parameters)}
        waiting = list(needed)
        while waiting:
            for key in by_reader.get(waiting.pop(), ()):
                if key not in needed:
                    needed.add(key)
                    waiting.append(key)
        self._remove(set(self.graph.layers) - needed)
        self._refresh()

    def _remove(self, keys: AbstractSet[str]) -> None:
        """Remove layers and their edges."""
        layers, edges = self.graph.layers_element, self.graph.edges_element
        layers[:] = [layer for layer in layers if layer.get("id") not in keys]
        edges[:] = [edge for edge in edges if keys.isdisjoint((edge.get("from-layer"), edge.get("to-layer")))]

    def _refresh(self) -> None:
        self.graph = self.graph.refreshed()

    def _layer(
        self,
        name: str,
        kind: str,
        operands: Sequence[Port],
        shape: Sequence[int] | None,
        dtype: str,
        data: Mapping[str, str] | None = None,
    ) -> Port:
        """Add a layer; its output port, where it has one (a `shape`)."""
        self._last += 1
        key = str(self._last)
        layer = SubElement(
            self.graph.layers_element, "layer", {"id": key, "name": name, "type": kind, "version": "opset1"}
        )
        if data:
            SubElement(layer, "data", dict(data))
        if operands:
            inputs = SubElement(layer, "input")
            for place, source in enumerate(operands):
                port = SubElement(inputs, "port", {"id": str(place)})
                _add_dims(port, [size or 1 for size in self.graph.port_shape(source)])
                edge = {"from-layer": source[0], "from-port": source[1], "to-layer": key, "to-port": str(place)}
                SubElement(self.graph.edges_element, "edge", edge)
        if shape is None:
            return key, ""
        outputs = SubElement(layer, "output")
        made = SubElement(outputs, "port", {"id": str(len(operands)), "precision": _NAMES[dtype][1]})
        _add_dims(made, shape)
        self.graph.layers[key] = layer
        return key, str(len(operands))

    def _constant(self, name: str, values: NDArray[Any]) -> Port:
        self._added.extend(bytes(-(self._end + len(self._added)) % _ALIGNMENT))
        offset = self._end + len(self._added)
        self._added.extend(values.tobytes())
        data = {
            "element_type": _NAMES[values.dtype.name][0],
            "shape": ",".join(map(str, values.shape)),
            "offset": str(offset),
            "size": str(values.nbytes),
        }
        return self._layer(name, "Const", (), values.shape, values.dtype.name, data)

    def _add_result(self, name: str, port: Port) -> None:
        self._layer(name, "Result", [port], None, "float32")


def _steps(
    item: Preprocessing, shape: Sequence[int], dtype: str
) -> list[tuple[str, NDArray[Any], tuple[NDArray[Any], ...]]]:
    """The layers to add: type, constant operand and further ones, in order."""
    _check(item, shape, dtype)
    steps: list[tuple[str, NDArray[Any], tuple[NDArray[Any], ...]]] = []
    if item.reverses:
        steps.append(("Gather", np.array([2, 1, 0], np.int64), (np.array(item.axis(), np.int64),)))
    scale, mean = (_spread(item, values, shape) for values in (item.scale or (1.0,), item.mean or (0.0,)))
    if np.any(scale != 1):
        steps.append(("Multiply", (1 / scale).astype(dtype), ()))
    if np.any(mean != 0):
        steps.append(("Add", (-mean / scale).astype(dtype), ()))
    return steps


def _spread(item: Preprocessing, values: Sequence[float], shape: Sequence[int]) -> NDArray[np.float64]:
    """One value, or one for each channel, shaped to go with the input."""
    sizes = [1] * len(shape)
    if len(values) > 1:
        sizes[item.axis()] = len(values)
    return np.array(values, np.float64).reshape(sizes)


def _check(item: Preprocessing, shape: Sequence[int], dtype: str) -> None:
    if item.reverses and shape[item.axis()] != 3:
        raise SpecError(
            f"Input {item.name!r} has {shape[item.axis()]} channels; RGB and BGR have three.",
            subject=item.name,
            remedy="Give the input's encoding as GRAY or NONE, or its layout if the channels are elsewhere.",
        )
    if dtype not in ("float16", "float32", "float64"):
        raise SpecError(
            f"Input {item.name!r} is {dtype}: preprocessing needs a float input.",
            subject=item.name,
            remedy="Omit mean and scale, and give the encoding as NONE.",
        )


def _source(edge: Element) -> Port:
    return edge.get("from-layer", ""), edge.get("from-port", "")


def _add_dims(port: Element, shape: Sequence[int]) -> None:
    for size in shape:
        SubElement(port, "dim").text = str(size)


def _halve(graph: IrGraph, weights: Path) -> None:
    """Round the float32 constants to what 16 bits hold; those out of range saturate."""
    if not weights.stat().st_size:
        return
    data = np.memmap(weights, np.uint8, "r+")
    for constant in graph.constants():
        if constant.kind == "f32":
            values = values_of(constant, data)
            values[...] = np.clip(values, -_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)
    data.flush()
