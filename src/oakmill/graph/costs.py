"""What a graph costs to compute: multiply-adds, parameters, bytes moved and held, layer by layer, from shapes alone.

A layer is a node that does something of its own on a chip. Quantizers only say in how many bits a tensor is stored;
Reshape and its kind only say how it is read; a Relu or Clip is done by the layer before it as that writes. None of
these is a layer, and what goes in and what comes out of them is one tensor.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from oakmill.graph.folding import constants_as_initializers
from oakmill.graph.rewriting import argument, attributes
from oakmill.graph.skeleton import dimensions, in_order, infer_shapes, replace_nodes, skeleton, source_inputs
from oakmill.model.pruning import reads

_QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_RELABELS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_CLAMPS = frozenset({"Clip", "Relu"})
_AS_MANY = frozenset({"Cast", "Transpose"})
"""Where a shape is computed, as an old Softmax's is, onnx may know it before these and not behind them."""
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16})
_HALF_BYTE = frozenset({TensorProto.INT4, TensorProto.UINT4})

IR_DOMAIN = "openvino"
"""Of the nodes of a graph that stands for an OpenVINO IR."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer.

    `multiply_adds` are those of convolutions, matrix products and recurrent cells; what an elementwise operation
    computes is not counted. `read` and `written` are bytes of activations, `weight_bytes` those of its constants.
    `activation_bits` are those that its tensors are stored in, the widest, and `narrowest_bits` the least of them; 0 in
    floating point. `weight_bits` are those of its largest constant, 0 where that is in floating point, None where there
    is none. `groups` of a convolution.
    """

    name: str
    op: str
    multiply_adds: int = 0
    parameters: int = 0
    weight_bytes: int = 0
    read: int = 0
    written: int = 0
    activation_bits: int = 0
    weight_bits: int | None = None
    groups: int = 1
    narrowest_bits: int = 0

    @property
    def number_format(self) -> str:
        """In the field's words: W8A16 has weights of 8 bits and activations of 16; A8 has no weights."""
        if not (self.activation_bits or self.weight_bits):
            return "float"
        weights = "" if self.weight_bits is None else f"W{self.weight_bits or 16}"
        return f"{weights}A{self.activation_bits or 16}"


@dataclass(frozen=True)
class Costs:
    """A graph's layers in the order of the graph, and the most that its activations take at one time.

    `peak_bytes` is the largest sum of the activations that are alive while some layer runs: its inputs and outputs, and
    whatever a later layer still reads, from the graph's inputs to its outputs. Weights do not count. The layers run in
    the graph's order, whole; a compiler that cuts them into tiles, or orders them otherwise, may need less. `unknown`
    counts the layers whose shapes are not all known: of these nothing is counted.
    """

    layers: tuple[Layer, ...]
    peak_bytes: int
    peak_at: str = ""
    unknown: int = 0

    @property
    def multiply_adds(self) -> int:
        """Multiplications of a weight, or of one activation by another, with an addition each; for one run."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def parameters(self) -> int:
        """Numbers that the layers hold, biases too; those that two layers share count once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the parameters as they are stored in the graph."""
        return sum(layer.weight_bytes for layer in self.layers)

    @property
    def moved_bytes(self) -> int:
        """Bytes that go into layers and come out of them: activations and weights.

        All that a memory would see if nothing stayed on the chip between two layers; an upper bound, therefore.
        """
        return sum(layer.read + layer.written + layer.weight_bytes for layer in self.layers)


@dataclass
class _Tensors:
    """The graph's tensors: what each is a view of, how many values it has, and how many bits each value takes."""

    value_bits: float
    shapes: dict[str, Shape | None]
    types: Mapping[str, int]
    constants: frozenset[str]
    roots: dict[str, str] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    """Bits of a quantizer's format, by root; where two store a tensor, of the wider one."""

    def root(self, name: str) -> str:
        return self.roots.get(name, name)

    def alias(self, name: str, of: str, bits: int = 0) -> None:
        root = self.roots[name] = self.root(of)
        if bits:
            self.stored[root] = max(self.stored.get(root, 0), bits)

    def is_constant(self, name: str) -> bool:
        return self.root(name) in self.constants

    def is_parameter(self, name: str) -> bool:
        """Whether it is a constant that is computed with, and no shape, axis or index."""
        root = self.root(name)
        return root in self.constants and (root in self.stored or self.types[root] in _FLOATS)

    def bits(self, name: str) -> int:
        """Of the quantized format, 0 where there is none."""
        return self.stored.get(self.root(name), 0)

    def size(self, name: str) -> int:
        """How many values it has; 0 where its shape is not known."""
        shape = self.shapes.get(self.root(name))
        return 0 if shape is None else math.prod(shape)

    def bytes(self, name: str, value_bits: float = 0) -> int:
        """How many bytes it takes; `value_bits` are those of a floating-point value, where not the usual ones."""
        kind = self.types.get(self.root(name), TensorProto.FLOAT)
        width = (value_bits or self.value_bits) if kind in _FLOATS else _width(kind)
        return math.ceil(self.size(name) * (self.bits(name) or width) / 8)


def count(model: ModelProto, *, value_bits: int = 16, weight_bits: int = 0) -> Costs:
    """What the graph costs.

    Args:
        model: a graph with fixed shapes, quantized by QuantizeLinear and DequantizeLinear or not.
        value_bits: bits of a floating-point value that no quantizer stores: 16 on chips that compute in FP16.
        weight_bits: the same of weights, where it is another.

    Of an OpenVINO IR nothing is counted: its operators are not ONNX's, and neither are their inputs.
    """
    if any(node.domain == IR_DOMAIN for node in model.graph.node):
        return Costs((), 0, unknown=len(model.graph.node))
    model = constants_as_initializers(model)
    tensors = _tensors(model, value_bits)
    nodes = _layers_of(model, tensors)
    held: set[str] = set()
    layers = tuple(_layer(node, tensors, held, weight_bits) for node in nodes)
    unknown = sum(any(name and tensors.shapes.get(name) is None for name in node.output) for node in nodes)
    return Costs(layers, *_peak(model, nodes, tensors), unknown)


def _tensors(model: ModelProto, value_bits: int) -> _Tensors:
    graph = infer_shapes(_without_formats(model)).graph
    shapes: dict[str, Shape | None] = {}
    types: dict[str, int] = {}
    stated = (*model.graph.value_info, *model.graph.output)  # what inference does not find, whoever wrote it may know
    for value in (*stated, *graph.value_info, *graph.output, *graph.input):
        found = dimensions(value.type.tensor_type)
        fixed = None if found is None or None in found else tuple(size or 0 for size in found)
        shapes[value.name] = shapes.get(value.name) if fixed is None else fixed
        types[value.name] = value.type.tensor_type.elem_type
    shapes.update((item.name, tuple(item.dims)) for item in model.graph.initializer)
    types.update((item.name, item.data_type) for item in model.graph.initializer)
    return _Tensors(value_bits, shapes, types, frozenset(item.name for item in model.graph.initializer))


def _without_formats(model: ModelProto) -> ModelProto:
    """The skeleton without quantizers, which onnx infers no shapes through where they are onnxruntime's own."""
    bare = skeleton(model)
    replace_nodes(bare.graph, in_order(bare.graph.node))
    types = {item.name: item.data_type for item in model.graph.initializer}
    for node in bare.graph.node:
        if node.op_type in _QUANTIZERS:
            kind = types.get(argument(node, 1), TensorProto.FLOAT)  # the scale's type is that of the real numbers
            del node.input[1:], node.attribute[:]
            node.op_type, node.domain = "Cast", ""
            node.attribute.append(helper.make_attribute("to", kind))
    return bare


def _layers_of(model: ModelProto, tensors: _Tensors) -> list[NodeProto]:
    """The nodes that are layers; of the others it is noted what they are views of."""
    readers = Counter(name for node in model.graph.node for name in node.input)
    readers.update(value.name for value in model.graph.output)
    made: set[str] = set()
    found = []
    for node in in_order(model.graph.node):
        first = argument(node, 0)
        if node.op_type in _QUANTIZERS:
            tensors.alias(node.output[0], first, _quantized_bits(node, tensors))
        elif node.op_type in _RELABELS or (node.op_type in _CLAMPS and first in made and readers[first] == 1):
            tensors.alias(node.output[0], first)
        elif not all(map(tensors.is_constant, filter(None, node.input))) or not node.input:
            found.append(node)
            made.update(node.output)
            if node.op_type in _AS_MANY and tensors.shapes.get(node.output[0]) is None:
                tensors.shapes[node.output[0]] = tensors.shapes.get(tensors.root(first))
    return found


def _quantized_bits(node: NodeProto, tensors: _Tensors) -> int:
    """What is stored: a constant by its own type, else as the zero point has it."""
    kind = tensors.types[name] if (name := argument(node, 0)) in tensors.constants else None
    if node.op_type == "DequantizeLinear" and kind is None:
        return 0
    kind = kind if node.op_type == "DequantizeLinear" else tensors.types.get(argument(node, 2), TensorProto.UINT8)
    return int(_width(kind or TensorProto.UINT8))


def _width(kind: int) -> int:
    """Bits of one value of an ONNX type."""
    if kind in _HALF_BYTE:
        return 4
    return 8 * np.dtype(helper.tensor_dtype_to_np_dtype(kind)).itemsize if kind else 32


def _layer(node: NodeProto, tensors: _Tensors, held: set[str], weight_bits: int) -> Layer:
    """One layer; `held` are the constants that earlier layers hold, which count there."""
    used = [name for name in node.input if name]
    own = list(dict.fromkeys(tensors.root(name) for name in used if tensors.is_parameter(name)))
    new = [name for name in own if name not in held]
    held.update(new)
    moved = dict.fromkeys(tensors.root(name) for name in used if not tensors.is_constant(name))
    outputs = [name for name in node.output if name]
    largest = max(own, key=tensors.size, default=None)
    return Layer(
        node.name or outputs[0],
        node.op_type,
        multiply_adds(node, [tensors.shapes.get(name) for name in node.input], tensors.shapes.get(outputs[0])),
        sum(map(tensors.size, new)),
        sum(tensors.bytes(name, weight_bits) for name in new),
        sum(map(tensors.bytes, moved)),
        sum(map(tensors.bytes, outputs)),
        max(bits := [tensors.bits(name) for name in (*moved, *outputs)], default=0),
        None if largest is None or node.op_type not in _WEIGHTED else tensors.bits(largest),
        int(attributes(node).get("group", 1)) if node.op_type in ("Conv", "ConvTranspose") else 1,
        min(bits, default=0),
    )


def multiply_adds(node: NodeProto, inputs: Sequence[Shape | None], output: Shape | None) -> int:
    """How often a node multiplies and adds, from its shapes; 0 where it has no products or a shape is not known."""
    first, second = (*inputs, None, None)[:2]
    if first is None or second is None or output is None or 0 in (len(first), len(second)):
        return 0
    if node.op_type == "Conv":
        return math.prod(output) * math.prod(second[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(first) * math.prod(second[1:])
    if node.op_type in ("MatMul", "Gemm"):
        return math.prod(output) * first[0 if attributes(node).get("transA") else -1]
    return _of_cells(node, first, second) or _of_einsum(node, first, second)


def _of_cells(node: NodeProto, first: Shape, second: Shape) -> int:
    """Of a recurrent layer over [length, batch, inputs], with weights of [directions, gates and cells, inputs]."""
    if node.op_type not in _GATES or (len(first), len(second)) != (3, 3):
        return 0
    cells = second[1] // _GATES[node.op_type]
    return first[0] * first[1] * second[0] * second[1] * (first[2] + cells)


def _of_einsum(node: NodeProto, first: Shape, second: Shape) -> int:
    """Every letter's size, once; 0 where letters stand for several dimensions, or there are more than two operands."""
    equation = str(attributes(node).get("equation", "")) if node.op_type == "Einsum" else ""
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    if [len(term) for term in terms] != [len(first), len(second)] or "." in equation:
        return 0
    return math.prod(dict(zip("".join(terms), (*first, *second), strict=True)).values())


def _peak(model: ModelProto, nodes: Sequence[NodeProto], tensors: _Tensors) -> tuple[int, str]:
    """The most bytes that are alive at one time, and the layer at which."""
    last: dict[str, int] = {}
    for place, node in enumerate(nodes):
        last.update((tensors.root(name), place) for name in reads(node) if name and not tensors.is_constant(name))
    last.update((tensors.root(value.name), len(nodes)) for value in model.graph.output)
    alive = {value.name: tensors.bytes(value.name) for value in source_inputs(model)}
    most, at = sum(alive.values()), ""
    for place, node in enumerate(nodes):
        alive.update((name, tensors.bytes(name)) for name in node.output if name)
        if sum(alive.values()) > most:
            most, at = sum(alive.values()), node.name or node.output[0]
        alive = {name: size for name, size in alive.items() if last.get(name, -1) > place}
    return most, at
