"""What can be known of a graph without its weights: types, shapes, what is constant, what the outputs depend on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from oakmill.model.inference import inferred
from oakmill.model.structure import graph_inputs, opset_of
from oakmill.model.tensors import forget_placeholders, subgraphs

LARGE = 1024
"""Elements; smaller constants may be shapes, and are read."""

STANDARD = ("", "ai.onnx")
_SHAPES = ("Shape", "Size")
_DRAWN = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
_PASSING = ("Identity", "Dropout")
_PASSING_ONE = ("Max", "Mean", "Min", "Sum")
"""Those that pass their first input on, and those that do so where it is their only one."""
_CONSTANTS = ("value_int", "value_ints", "value_float", "value_floats")

Shape = tuple[int | None, ...]


class Facts:
    """A model's main graph as its inputs' shapes make it.

    Args:
        model: with or without its weights; is not changed.
        shapes: what the inputs' shapes are to be, by name; open dimensions of the others stay open.
    """

    def __init__(self, model: ModelProto, shapes: Mapping[str, Sequence[int]] | None = None) -> None:
        self.model = model
        self.graph = model.graph
        self.opset = opset_of(model) or 1
        self.inputs = graph_inputs(model.graph)
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._kinds = _inferred(model, self.inputs, dict(shapes or {}))

    @cached_property
    def makers(self) -> dict[str, NodeProto]:
        """Each tensor's node."""
        return {name: node for node in self.graph.node for name in node.output if name}

    @cached_property
    def readers(self) -> dict[str, list[NodeProto]]:
        """The nodes that read a tensor."""
        found: dict[str, list[NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def _folded(self) -> set[str]:
        """Tensors that are known once the inputs' shapes are: constants, shapes, and what is computed of these."""
        known = {*self._tensors, ""}
        for node in self.graph.node:
            shape = self.shape(node.input[0]) if node.op_type in _SHAPES and node.input else None
            fixed = shape is not None and None not in shape
            if fixed or (node.op_type not in _DRAWN and all(name in known for name in _reads(node))):
                known.update(node.output)
        return known

    @cached_property
    def nodes(self) -> list[NodeProto]:
        """The nodes of the main graph that an output depends on and that are not constant."""
        wanted = {value.name for value in self.graph.output}
        kept: list[NodeProto] = []
        for node in reversed(self.graph.node):
            if wanted.intersection(node.output) and not self._folded.issuperset(filter(None, node.output)):
                kept.append(node)
                wanted.update(_reads(node))
        return kept[::-1]

    @cached_property
    def reads(self) -> set[str]:
        """The tensors whose values `nodes` compute with, those within them included."""
        return {name for node in self.nodes for name in _reads(node)}

    def is_constant(self, name: str) -> bool:
        """Whether a tensor does not depend on the inputs' values."""
        return name in self._folded

    def shape(self, name: str) -> Shape | None:
        """A tensor's shape, None for an open dimension; None where not even the rank is known."""
        if name in self._tensors:
            return tuple(self._tensors[name].dims)
        kind = self._kinds.get(name)
        if kind is None or not kind.HasField("shape"):
            return None
        return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim)

    def rank(self, name: str) -> int | None:
        """A tensor's number of dimensions, where it is known."""
        shape = self.shape(name)
        return None if shape is None else len(shape)

    def dtype(self, name: str) -> str:
        """Numpy's name of a tensor's type; empty where it is not known."""
        number = self._tensors[name].data_type if name in self._tensors else 0
        if not number and name in self._kinds:
            number = self._kinds[name].elem_type
        try:
            return helper.tensor_dtype_to_np_dtype(number).name if number else ""
        except (KeyError, ValueError, TypeError):
            return ""

    def value(self, name: str) -> NDArray[Any] | None:
        """A small constant's value, as the model states it."""
        tensor = self._tensors.get(name)
        maker = self.makers.get(name)
        if tensor is None and maker is not None and maker.op_type == "Constant":
            given = attributes(maker)
            tensor = given.get("value")
            listed = next((given[key] for key in _CONSTANTS if key in given), None)
            if listed is not None:
                return np.array(listed)
        if tensor is None or not isinstance(tensor, TensorProto) or math.prod(tensor.dims) > LARGE:
            return None
        if tensor.data_location == TensorProto.EXTERNAL:
            return None
        return numpy_helper.to_array(tensor)

    def passed_on(self, name: str) -> str:
        """The model's input that a tensor is, with nothing computed between; empty where there is something."""
        inputs = {value.name for value in self.inputs}
        while name not in inputs:
            maker = self.makers.get(name)
            read = [one for one in maker.input if one] if maker is not None else []
            if maker is None or not read or name != maker.output[0]:
                return ""
            if maker.op_type not in _PASSING and not (maker.op_type in _PASSING_ONE and len(read) == 1):
                return ""
            name = read[0]
        return name

    def label(self, node: NodeProto) -> str:
        """A node as a person finds it in the source: its name, or what it computes where it has none."""
        return node.name or next(iter(node.output), "")


def attributes(node: NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values, text as str."""
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in values.items()
    }


def argument(node: NodeProto, index: int) -> str:
    """The name of a node's input, or "" where it has none there."""
    return node.input[index] if index < len(node.input) else ""


def _reads(node: NodeProto) -> Iterator[str]:
    """What a node reads, and what the graphs within it read from outside."""
    yield from node.input
    for graph in subgraphs(node):
        inner = {value.name for value in graph.input} | {item.name for item in graph.initializer}
        for one in graph.node:
            yield from (name for name in _reads(one) if name not in inner)
            inner.update(one.output)
        yield from (value.name for value in graph.output if value.name not in inner)


def bare(model: ModelProto) -> ModelProto:
    """A copy in which weights of `LARGE` elements and more are inputs of the same name and type."""
    found = ModelProto(ir_version=model.ir_version)
    found.opset_import.extend(model.opset_import)
    found.functions.extend(model.functions)
    found.graph.name = model.graph.name or "graph"
    for field in ("node", "input", "output"):
        getattr(found.graph, field).extend(getattr(model.graph, field))
    listed = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) < LARGE and tensor.data_location != TensorProto.EXTERNAL:
            found.graph.initializer.append(tensor)
        elif tensor.name not in listed:
            found.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return found


def _inferred(
    model: ModelProto, inputs: Sequence[ValueInfoProto], shapes: Mapping[str, Sequence[int]]
) -> dict[str, onnx.TypeProto.Tensor]:
    """All tensors' types, by onnx; where it contradicts the exporter, what the exporter noted."""
    found = forget_placeholders(bare(model))
    symbols: dict[str, int] = {}
    for value in found.graph.input:
        asked = shapes.get(value.name)
        dims = value.type.tensor_type.shape.dim
        if asked is not None and len(asked) == len(dims):
            symbols.update({dim.dim_param: size for dim, size in zip(dims, asked, strict=True) if dim.dim_param})
            for dim, size in zip(dims, asked, strict=True):
                dim.dim_value = size
    for value in found.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in symbols:
                dim.dim_value = symbols[dim.dim_param]
    for value in found.graph.output:
        value.type.tensor_type.ClearField("shape")
    graph = _infer(found)
    noted: dict[str, ValueInfoProto] = {value.name: value for value in model.graph.value_info}
    known = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
    kinds = {name: value.type.tensor_type for name, value in {**noted, **known}.items()}
    for name, value in noted.items():
        kind = kinds[name]
        if not kind.HasField("shape") or not kind.elem_type:  # an operator that onnx does not know
            kinds[name] = value.type.tensor_type
    return kinds


def _infer(model: ModelProto) -> GraphProto:
    try:
        return inferred(model).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError, EncodeError):
        return model.graph
