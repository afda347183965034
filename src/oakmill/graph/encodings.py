"""Which tensors of a float graph need a range of their own before it can be quantized, and which share another's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from onnx import ModelProto, NodeProto, TensorProto

from oakmill.graph.skeleton import dimensions, infer_shapes, skeleton, source_inputs

T = TypeVar("T")
Interval = tuple[float, float]

# onnxruntime's quantizer gives the outputs of these the encoding of their first input.
_MOVES = frozenset({
    "AveragePool", "Flatten", "Gather", "GatherElements", "MaxPool", "Reshape", "Resize", "Slice", "Split", "Squeeze",
    "TopK", "Transpose", "Unsqueeze",
})  # fmt: skip
_PURE_MOVES = frozenset({"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_CLAMPS = frozenset({"Clip", "Relu"})
_BOUNDED: Mapping[str, Interval] = {
    "Cos": (-1.0, 1.0), "HardSigmoid": (0.0, 1.0), "Sigmoid": (0.0, 1.0), "Sin": (-1.0, 1.0), "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
}  # fmt: skip
"""What these can give, whatever images show: Qualcomm's rules for HTP v73 (aimet-onnx, `htp_quantsim_config_v73.json`,
`encoding_constraints`) and HardSigmoid, which they leave out. Images without a face made of scores of up to 0.05 a
range that cut all others."""
_FEW = 5
"""Numbers whose sum 8 bits put off by no more than a hundredth, half a step of 1/256 each."""
_MAP = 4
_MAKES_NO_NUMBERS = frozenset({"Constant", "Shape", "Size"})


def _joined_by(name: str, users: Mapping[str, Sequence[NodeProto]], outputs: Collection[str]) -> str:
    """What the Concat gives that alone reads a tensor, directly or moved; nothing where there is none."""
    while name not in outputs and len(readers := users.get(name, [])) == 1:
        if readers[0].op_type == "Concat":
            return str(readers[0].output[0])
        if readers[0].op_type not in _PURE_MOVES:
            return ""
        name = readers[0].output[0]
    return ""


@dataclass(frozen=True)
class Ranged:
    """The float activations of a graph: those to measure, and those that take another tensor's range, by name.

    `bounded` are those of the measured ones whose range is known by what makes them.
    """

    measured: tuple[str, ...]
    shared: Mapping[str, str]
    bounded: Mapping[str, Interval] = field(default_factory=dict)

    def complete(self, ranges: Mapping[str, Interval]) -> dict[str, Interval]:
        """The ranges of all activations, from those of the measured ones; what is known needs no measuring."""
        found = {**ranges, **{name: interval for name, interval in self.bounded.items() if name in ranges}}
        for name in self.shared:
            found[name] = found[self.root(name)]
        return found

    def root(self, name: str) -> str:
        """The tensor whose encoding a tensor has: its own name, where it has one of its own."""
        while name in self.shared:
            name = self.shared[name]
        return name

    def rooted(self, by_name: Mapping[str, T]) -> dict[str, T]:
        """What is said of tensors, said of those whose encodings they have; what is said of these themselves wins."""
        found = {self.root(name): value for name, value in by_name.items() if name in self.shared}
        return {**found, **{name: value for name, value in by_name.items() if name not in self.shared}}

    def spread(self, by_name: Mapping[str, T]) -> dict[str, T]:
        """What is said of tensors, said of all that share their range too.

        Else they are computed in another format: onnxruntime's writer would bring a tensor of 16 bits that is reshaped
        to 8 before it is transposed, and Qualcomm's compiler takes no Transpose from one format to another.
        """
        sharing = {name: by_name[self.root(name)] for name in self.shared if self.root(name) in by_name}
        return {**sharing, **by_name}


def activations(model: ModelProto) -> Ranged:
    """What is to be measured of a float graph.

    What only moves values has its input's range. What a Relu or Clip alone reads is measured behind it: there the
    device clamps as it writes, and the values cut off need no room in the encoding. A Concat that only another Concat
    reads, perhaps moved, has the latter's range: so nothing is rounded twice, and Qualcomm's compiler, which joins the
    two, loses 3 dB on YOLOX-nano where their scales differ.
    """
    graph = infer_shapes(skeleton(model)).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    floats = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    users: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    outputs = {value.name for value in model.graph.output}
    measured = [value.name for value in source_inputs(model) if value.name in floats]
    shared: dict[str, str] = {}
    for node in model.graph.node:
        for name in (name for name in node.output if name in floats and node.op_type not in _MAKES_NO_NUMBERS):
            readers = users.get(name, [])
            if node.op_type in _MOVES and node.input[0] in floats and node.input[0] in {*measured, *shared}:
                shared[name] = node.input[0]
            elif len(readers) == 1 and readers[0].op_type in _CLAMPS and name not in outputs:
                shared[name] = readers[0].output[0]
            elif node.op_type == "Concat" and (outer := _joined_by(name, users, outputs)):
                shared[name] = outer
            else:
                measured.append(name)
    return Ranged(tuple(measured), shared, _bounded(model, measured, shared))


def shares(model: ModelProto) -> tuple[str, ...]:
    """The Softmaxes that go out as they are, or moved, and whose sum 8 bits put off by more than a hundredth.

    Who reads shares may ask that they sum up to 1, as DepthAI's parsers of classes do to a tenth, and of characters to
    a hundredth: squeezenet's thousand sum up to 0.88 in 8 bits where it is unsure, to 0.995 in 16. Of maps the highest
    class of each pixel is read, and no sum.
    """
    graph = infer_shapes(skeleton(model)).graph
    values = (*graph.value_info, *graph.output)
    shapes = {value.name: dimensions(value.type.tensor_type) for value in values}
    makers = {name: node for node in graph.node for name in node.output}
    found: list[str] = []
    for value in graph.output:
        node = makers.get(value.name)
        while node is not None and node.op_type in (*_PURE_MOVES, "Identity"):
            node = makers.get(node.input[0])
        if node is not None and node.op_type == "Softmax" and _is_many(shapes.get(node.output[0]), node):
            found.append(node.output[0])
    return tuple(dict.fromkeys(found))


def _is_many(shape: Sequence[int | None] | None, softmax: NodeProto) -> bool:
    """Whether a Softmax of at least opset 13 gives rows of many numbers, and no map."""
    axis = next((item.i for item in softmax.attribute if item.name == "axis"), -1)
    if not shape or (len(shape) >= _MAP and sorted(side or 0 for side in shape)[-2] > 1):
        return False
    return (shape[axis] or 0) > _FEW


def _bounded(model: ModelProto, measured: Collection[str], shared: Mapping[str, str]) -> dict[str, Interval]:
    """What is known of those measured: of what makes them, or of all that they join."""
    known: dict[str, Interval] = {}
    for node in model.graph.node:
        own = _BOUNDED.get(node.op_type)
        if node.op_type == "Concat":
            parts = [known.get(shared.get(name, name)) for name in node.input]
            ends = [part for part in parts if part]
            own = (min(low for low, _ in ends), max(high for _, high in ends)) if len(ends) == len(parts) else None
        if own and node.output[0] in measured:
            known[node.output[0]] = own
    return known
