"""The network in an OpenVINO IR's XML: its layers, the edges between their ports, and where its weights lie."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from xml.etree.ElementTree import Element

from oakmill.errors import BrokenModel, UnsupportedModel
from oakmill.model.source import Tensor

BITS = {
    "f64": 64, "f32": 32, "f16": 16, "bf16": 16, "i64": 64, "i32": 32, "i16": 16, "i8": 8, "i4": 4,
    "u64": 64, "u32": 32, "u16": 16, "u8": 8, "u4": 4, "u1": 1, "boolean": 8,
}  # fmt: skip
"""Bits of one value, by the names that IR gives its number formats."""

_PORT_TYPES = {
    "FP64": "float64", "FP32": "float32", "FP16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_NUMBER = re.compile(r"\d{1,18}")

Port = tuple[str, str]
"""A layer's id and the id of one of its ports."""


@dataclass(frozen=True)
class Constant:
    """Values in the .bin: `offset` and `size` in bytes, `kind` as IR names the number format."""

    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int
    size: int


class IrGraph:
    """A network as its XML has it; the tree may be edited, and `refreshed` then reads it anew.

    Raises:
        BrokenModel: layers or edges contradict each other.
        UnsupportedModel: it is of another version than 10 and 11.
    """

    def __init__(self, root: Element) -> None:
        self.root = root
        if root.tag != "net":
            raise BrokenModel("the XML is no OpenVINO IR: its root is not <net>")
        self.version = _version(root)
        layers, edges = root.find("layers"), root.find("edges")
        if layers is None or edges is None:
            raise BrokenModel("the OpenVINO IR has no layers or no edges")
        self.layers_element, self.edges_element = layers, edges
        self.layers = _by_id(layers)
        self.feeds = dict(self._edges())
        if not self.parameters or not self.results:
            raise BrokenModel(f"the OpenVINO IR has no {'outputs' if self.parameters else 'inputs'}")
        names = [layer.get("name") for layer in self.parameters]
        if len(set(names)) != len(names):
            raise BrokenModel("two inputs of the OpenVINO IR have the same name")
        for result in self.results:
            if (result.get("id", ""), _only_port(result)) not in self.feeds:
                raise BrokenModel(f"output {result.get('name')!r} of the OpenVINO IR is computed by no layer")

    def refreshed(self) -> IrGraph:
        """The same tree, read again after an edit."""
        return IrGraph(self.root)

    @cached_property
    def parameters(self) -> list[Element]:
        """The layers that are the network's inputs."""
        return [layer for layer in self.layers.values() if layer.get("type") == "Parameter"]

    @cached_property
    def results(self) -> list[Element]:
        """The layers that are the network's outputs."""
        return [layer for layer in self.layers.values() if layer.get("type") == "Result"]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The network's inputs, by their layers' names."""
        ports = {layer.get("name", ""): (layer.get("id", ""), _out_port(layer)) for layer in self.parameters}
        shapes = map(parameter_shape, self.parameters)
        return tuple(
            Tensor(name, shape, self.port_type(port)) for (name, port), shape in zip(ports.items(), shapes, strict=True)
        )

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The network's outputs, by the names of the layers that compute them, each once."""
        found = {self.name_of(port): port for port in self.ends}
        return tuple(Tensor(name, self.port_shape(port), self.port_type(port)) for name, port in found.items())

    @property
    def ends(self) -> list[Port]:
        """The ports that the outputs come from."""
        return [self.feeds[result.get("id", ""), _only_port(result)] for result in self.results]

    def name_of(self, port: Port) -> str:
        """An output's name as OpenVINO's reader gives it: its layer's, with a number where the layer has several."""
        layer = self.layers[port[0]]
        ports = _ports(layer, "output")
        name = layer.get("name", "")
        return name if len(ports) == 1 else f"{name}.{ports.index(port[1])}"

    def port_shape(self, port: Port) -> tuple[int | None, ...]:
        """The dimensions that the XML states of an output port; None for an open one."""
        dims = [dim.text or "" for dim in self._port(port).findall("dim")]
        return tuple(int(dim) if _NUMBER.fullmatch(dim) else None for dim in dims)

    def port_type(self, port: Port) -> str:
        """The number format of an output port, by numpy's name."""
        precision = self._port(port).get("precision", "FP32")
        if precision not in _PORT_TYPES:
            name = self.layers[port[0]].get("name", "")
            raise UnsupportedModel(f"layer {name!r} gives values of the type {precision}", subject=name)
        return _PORT_TYPES[precision]

    def _port(self, port: Port) -> Element:
        outputs = self.layers[port[0]].find("output")
        found = [item for item in (outputs if outputs is not None else ()) if item.get("id") == port[1]]
        if not found:
            raise BrokenModel(f"layer {self.layers[port[0]].get('name')!r} has no output port {port[1]}")
        return found[0]

    def constants(self) -> Iterator[Constant]:
        """All constants, those within the bodies of loops and branches included.

        Raises:
            BrokenModel: one does not say where it lies, or its size contradicts its shape.
        """
        for layer in self.root.iter("layer"):
            if layer.get("type") == "Const":
                yield _constant(layer)

    def operations(self) -> Iterator[Element]:
        """All layers that compute something, those within bodies included."""
        return (layer for layer in self.root.iter("layer") if layer.get("type") not in ("Const", "Parameter", "Result"))

    def _edges(self) -> Iterator[tuple[Port, Port]]:
        """Each input port that is fed, and the output port that feeds it."""
        seen = set()
        for edge in self.edges_element.findall("edge"):
            source = edge.get("from-layer", ""), edge.get("from-port", "")
            target = edge.get("to-layer", ""), edge.get("to-port", "")
            if source[0] not in self.layers or target[0] not in self.layers:
                raise BrokenModel(
                    f"an edge of the OpenVINO IR joins the layers {source[0]!r} and {target[0]!r}: no such"
                )
            if source[1] not in _ports(self.layers[source[0]], "output"):
                raise BrokenModel(f"an edge of the OpenVINO IR leads from port {source[1]!r}, which is no output")
            if target[1] not in _ports(self.layers[target[0]], "input"):
                raise BrokenModel(f"an edge of the OpenVINO IR leads to port {target[1]!r}, which is no input")
            if target in seen:
                raise BrokenModel(f"two edges of the OpenVINO IR lead to port {target[1]} of layer {target[0]}")
            seen.add(target)
            yield target, source


def parameter_shape(layer: Element) -> tuple[int | None, ...]:
    """The shape of a Parameter; None for a dimension that is open.

    Raises:
        BrokenModel: it states none, or nonsense.
        UnsupportedModel: not even the number of dimensions is known.
    """
    data = layer.find("data")
    text = data.get("shape") if data is not None else None
    name = layer.get("name", "")
    if text is None:
        raise BrokenModel(f"input {name!r} of the OpenVINO IR states no shape", subject=name)
    if "..." in text.split(","):
        raise UnsupportedModel(f"input {name!r} of the OpenVINO IR has any number of dimensions", subject=name)
    words = [word.strip() for word in text.split(",") if word.strip()]
    return tuple(int(word) if _NUMBER.fullmatch(word) and int(word) else None for word in words)


def _version(root: Element) -> int:
    text = root.get("version", "")
    if text in ("10", "11"):
        return int(text)
    shown = text[:20] or "none"
    if not _NUMBER.fullmatch(text):
        raise BrokenModel(f"the OpenVINO IR states the version {shown!r}")
    raise UnsupportedModel(
        f"the model is an OpenVINO IR of version {shown}; read are 10 and 11",
        remedy="Make it anew with the Model Optimizer of OpenVINO 2020.1 or later, or give the ONNX model itself.",
    )


def _by_id(layers: Element) -> dict[str, Element]:
    found: dict[str, Element] = {}
    for layer in layers.findall("layer"):
        key, name = layer.get("id", ""), layer.get("name")
        if not _NUMBER.fullmatch(key) or key in found or not name or not layer.get("type"):
            raise BrokenModel(f"layer {name or key!r} of the OpenVINO IR has no id of its own, no name or no type")
        found[key] = layer
    return found


def _ports(layer: Element, side: str) -> list[str]:
    ports = layer.find(side)
    return [port.get("id", "") for port in ports] if ports is not None else []


def _only_port(layer: Element) -> str:
    ports = _ports(layer, "input")
    return ports[0] if ports else ""


def _out_port(layer: Element) -> str:
    ports = _ports(layer, "output")
    if not ports:
        raise BrokenModel(f"input {layer.get('name')!r} of the OpenVINO IR has no port", subject=layer.get("name", ""))
    return ports[0]


def _constant(layer: Element) -> Constant:
    data, name = layer.find("data"), layer.get("name", "")
    values = data.attrib if data is not None else {}
    numbers = [values.get("offset", ""), values.get("size", "")]
    sizes = [word.strip() for word in values.get("shape", "").split(",") if word.strip()]
    if not all(map(_NUMBER.fullmatch, [*numbers, *sizes])):
        raise BrokenModel(f"constant {name!r} does not say where its values lie", subject=name)
    kind, shape = values.get("element_type", ""), tuple(map(int, sizes))
    offset, size = map(int, numbers)
    needed = (math.prod(shape) * BITS.get(kind, 0) + 7) // 8
    if kind in BITS and "shape" in values and needed != size:
        what = f"{kind}{list(shape)}"
        raise BrokenModel(f"constant {name!r} of {what} needs {needed} bytes, but has {size}", subject=name)
    return Constant(name, kind, shape, offset, size)
