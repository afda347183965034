"""What is known of the source model when a conversion has failed: its names, and the shapes of its inputs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, NodeProto

from oakmill.conversion.failures.failure import Kind, Origin, Place
from oakmill.errors import OakmillError
from oakmill.model import open_source
from oakmill.model.ir_xml import parse
from oakmill.model.sniff import identify
from oakmill.model.source import SourceFormat
from oakmill.model.structure import graph_inputs
from oakmill.model.tensors import nodes
from oakmill.settings import Settings

Shape = tuple[int | str | None, ...]
_LARGEST = 1 << 31
_OUR_OWN = re.compile(r"[\w.:/+-]{1,200}")


@dataclass(frozen=True)
class Graph:
    """A source's graph in memory, without external data: one of the two, or neither where it cannot be read."""

    onnx: ModelProto | None = None
    ir: Element | None = None


@dataclass(frozen=True)
class SourceNode:
    """A node of the source: its operator, and the tensors that it reads and other nodes compute."""

    op: str
    reads: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceFacts:
    """Names and shapes of the source; empty where it cannot be read. Nodes without a name go by their first output."""

    inputs: Mapping[str, Shape] = field(default_factory=dict)
    outputs: Collection[str] = ()
    nodes: Mapping[str, SourceNode] = field(default_factory=dict)
    tensors: Collection[str] = ()
    """All that nodes compute, and the weights."""

    @classmethod
    def read(cls, model: Path, settings: Settings) -> SourceFacts:
        """The facts of a file of any format, or none: that it cannot be read is told elsewhere."""
        with graph_of(model, settings) as graph:
            if graph.onnx is not None:
                return cls._of_onnx(graph.onnx)
            return cls._of_ir(graph.ir) if graph.ir is not None else cls()

    @classmethod
    def _of_onnx(cls, model: ModelProto) -> SourceFacts:
        inputs = {
            value.name: tuple(dim.dim_value or dim.dim_param or None for dim in value.type.tensor_type.shape.dim)
            for value in graph_inputs(model.graph)
        }
        all_nodes = list(nodes(model))
        computed = {name for node in all_nodes for name in node.output if name}
        constant = {name for node in all_nodes if node.op_type == "Constant" for name in node.output}
        found = {
            _label(node): SourceNode(
                node.op_type, tuple(name for name in node.input if name in computed and name not in constant)
            )
            for node in all_nodes
        }
        weights = {tensor.name for tensor in model.graph.initializer}
        return cls(inputs, {value.name for value in model.graph.output}, found, computed | weights)

    @classmethod
    def _of_ir(cls, root: Element) -> SourceFacts:
        layers = {layer.get("name", ""): layer.get("type", "") for layer in root.iter("layer")}
        inputs: dict[str, Shape] = {name: () for name, op in layers.items() if op == "Parameter"}
        outputs = {name for name, op in layers.items() if op == "Result"}
        return cls(inputs, outputs, {name: SourceNode(op) for name, op in layers.items()})

    def place(self, name: str) -> Place | None:
        """What a name names, in the source if it can be; None where it is no name in a graph."""
        if name in self.inputs:
            return Place(kind=Kind.INPUT, name=name)
        if name in self.nodes:
            return Place(kind=Kind.NODE, name=name, op=self.nodes[name].op)
        if name in self.outputs:
            return Place(kind=Kind.OUTPUT, name=name)
        if name in self.tensors:
            return Place(kind=Kind.TENSOR, name=name)
        return self._renamed(name) or self._made_from(name)

    def _renamed(self, name: str) -> Place | None:
        """The name of an input or output as QAIRT takes it: letters, digits and underscores."""
        for kind, names in ((Kind.INPUT, self.inputs), (Kind.OUTPUT, self.outputs)):
            for original in names:
                if _plain(original) == name:
                    return Place(kind=kind, name=original, made=name)
        return None

    def _made_from(self, name: str) -> Place | None:
        """The node that the preparation replaced: what it makes is called after it, with a stroke and an operator."""
        labels = [label for label in self.nodes if label and name.startswith(f"{label}/")]
        if labels:
            label = max(labels, key=len)
            return Place(kind=Kind.NODE, name=label, op=self.nodes[label].op, made=name)
        return None

    def first_of(self, ops: Collection[str]) -> Place | None:
        """The first node of one of these operators."""
        found = (Place(kind=Kind.NODE, name=name, op=node.op) for name, node in self.nodes.items() if node.op in ops)
        return next(found, None)


def prepared(name: str) -> Place | None:
    """The place of a name that only the prepared graph has; None for what looks like no name, and for a file."""
    is_file = Path(name).is_absolute() and Path(name).exists()
    if is_file or not _OUR_OWN.fullmatch(name) or name.startswith("--"):
        return None
    return Place(kind=Kind.NODE, name=name, origin=Origin.PREPARED)


def _label(node: NodeProto) -> str:
    return node.name or next(iter(node.output), "")


def _plain(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return f"_{plain}" if plain[:1].isdigit() else plain


@contextmanager
def graph_of(model: Path, settings: Settings) -> Iterator[Graph]:
    """The graph in a source file or NN Archive; empty where there is none that can be read."""
    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        try:
            graph = _read(model, Path(folder) / "source", settings)
        except (OakmillError, OSError, DecodeError):
            graph = Graph()
        yield graph


def _read(model: Path, work: Path, settings: Settings) -> Graph:
    kind, path = identify(model).format, model
    if kind is SourceFormat.NN_ARCHIVE:
        source = open_source(model, work, settings)
        kind, path = source.format, source.graph
    if kind is SourceFormat.OPENVINO_IR:
        return Graph(ir=parse(path))
    if kind is not SourceFormat.ONNX or path.stat().st_size > _LARGEST:
        return Graph()
    return Graph(onnx=ModelProto.FromString(path.read_bytes()))
