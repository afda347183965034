"""Outputs that the camera's parsers read as they are: what is known of them, and a head that needs no cut."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from oakmill.heads.decoders import Outputs
from oakmill.heads.families.base import Evidence, Reading, Sure
from oakmill.model.structure import opset_of

MOVES = frozenset({"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Transpose"})
"""What takes values elsewhere, and changes none."""
_PER_CHANNEL = ("Identity", "Cast", "Resize", "Upsample", "Relu", "Add", "BatchNormalization", "Sigmoid")
_FARTHEST = 32
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")


@dataclass(frozen=True)
class Described:
    """Outputs whose parser reads them as they are; `metadata` is the head's, but for the classes' names."""

    family: str
    words: str
    seen: str
    sure: Sure
    outputs: tuple[str, ...]
    parser: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 0
    names: tuple[str, ...] = ()

    @property
    def ends(self) -> tuple[str, ...]:
        """The outputs themselves."""
        return self.outputs

    def problem(self) -> str:
        """There is none."""
        return ""

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The model as it is."""
        return model

    def heads(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The one head."""
        classes = {"classes": [*names], "n_classes": self.classes} if self.classes else {}
        return [{"parser": self.parser, "metadata": {**classes, **self.metadata}, "outputs": [*self.ends]}]

    def before(self, outputs: Outputs) -> Reading:
        """Nothing is to be proved."""
        return {}

    def apart(self, before: Outputs, after: Outputs) -> float:
        """Nothing is."""
        return 0.0


class Graph:
    """The graph behind a model's outputs."""

    def __init__(self, model: ModelProto) -> None:
        self._graph: GraphProto = model.graph
        self.opset = opset_of(model) or 1
        self.outputs = [Output(value, self) for value in model.graph.output]

    @property
    def only(self) -> Output | None:
        """The model's output, where it has one alone."""
        return self.outputs[0] if len(self.outputs) == 1 else None

    @cached_property
    def _makers(self) -> dict[str, NodeProto]:
        return {name: node for node in self._graph.node for name in node.output}

    @cached_property
    def weights(self) -> dict[str, TensorProto]:
        """The initializers and constants by name."""
        made = {
            node.output[0]: item.t for node in self._graph.node if node.op_type == "Constant"
            for item in node.attribute if item.HasField("t")
        }  # fmt: skip
        return {**made, **{tensor.name: tensor for tensor in self._graph.initializer}}

    def maker(self, name: str, *passed: str) -> NodeProto | None:
        """The node that makes a tensor, behind those of the kinds that are passed over."""
        node = self._makers.get(name)
        for _ in range(_FARTHEST):
            if node is None or node.op_type not in passed or not node.input:
                return node
            node = self._makers.get(node.input[0])
        return node

    def has_before(self, output: Output, *kinds: str) -> bool:
        """Whether nodes of these kinds stand between an output and the convolutions that it is made of."""
        waiting, seen = [output.name], set[str]()
        while waiting:
            node = self._makers.get(waiting.pop())
            if node is None or node.output[0] in seen or node.op_type == "Conv":
                continue
            if node.op_type in kinds:
                return True
            seen.add(node.output[0])
            waiting.extend(node.input)
        return False

    def channels(self, name: str) -> int:
        """How many channels a map has, by the convolution that made it; 0 where that cannot be told."""
        node = self.maker(name, *_PER_CHANNEL)
        weight = self.weights.get(node.input[1]) if node is not None and len(node.input) > 1 else None
        if node is None or weight is None or len(weight.dims) != 4:
            return 0
        if node.op_type == "ConvTranspose":
            return int(weight.dims[1]) * int(attribute(node, "group", 1))
        return int(weight.dims[0]) if node.op_type == "Conv" else 0


@dataclass(frozen=True)
class Output:
    """One output: its name and shape, and the node that computes it; an open dimension is None."""

    value: ValueInfoProto
    graph: Graph

    @property
    def name(self) -> str:
        """Its name."""
        return self.value.name

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Its shape; the batch is 1 where it is open."""
        sides = self.value.type.tensor_type.shape.dim
        found = [side.dim_value if side.dim_value > 0 else None for side in sides]
        return (1 if not found[0] else found[0], *found[1:]) if found else ()

    @property
    def kind(self) -> int:
        """The type of its numbers, as TensorProto has it."""
        return self.value.type.tensor_type.elem_type

    @property
    def is_float(self) -> bool:
        """Whether its numbers are floating-point ones."""
        return self.kind in _FLOATS

    @property
    def length(self) -> int:
        """How many numbers a vector has, [1, K] or [1, K, 1, 1]; 0 where it is none."""
        shape = self.shape
        fits = len(shape) in (2, 4) and shape[0] == 1 and all(side == 1 for side in shape[2:])
        return (shape[1] or 0) if fits else 0

    @property
    def map(self) -> tuple[int, int | None, int | None] | None:
        """Channels, height and width of a map [1, C, H, W]; None where it is none, or of unknown channels."""
        shape = self.shape
        if len(shape) != 4 or shape[0] != 1:
            return None
        channels = shape[1] or self.graph.channels(self.name)
        return (channels, shape[2], shape[3]) if channels else None

    @property
    def last(self) -> NodeProto | None:
        """The last node that computes, behind those that only move values."""
        return self.graph.maker(self.name, *MOVES)

    def ends_in(self, *kinds: str) -> bool:
        """Whether the last node that computes is of these kinds."""
        return self.last is not None and self.last.op_type in kinds

    def is_called(self, *words: str) -> bool:
        """Whether its name has one of these words in it: `outputImage`, `pred_depth`, `heatmaps`."""
        found = {word.lower() for word in _WORDS.findall(self.name)}
        return bool(found & {*words, *(f"{word}s" for word in words)})

    def softmax_axis(self) -> int | None:
        """The axis over which a Softmax makes probabilities of it; None where none does.

        Before opset 13 a Softmax is over all that follows its axis, so that it is over one alone where that is the last
        or the others are 1.
        """
        node = self.graph.maker(self.name, "Identity", "Cast")
        if node is None or node.op_type != "Softmax" or not self.shape:
            return None
        rank = len(self.shape)
        axis = int(attribute(node, "axis", -1 if self.graph.opset >= 13 else 1)) % rank
        over_one = self.graph.opset >= 13 or all(side == 1 for side in self.shape[axis + 1 :])
        return axis if over_one else None


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """A node's attribute."""
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def sure_of(evidence: Evidence, family: str, sure: Sure) -> Sure:
    """How sure it is; certain where the user says so."""
    return Sure.CERTAIN if evidence.wanted == family else sure


def counted(number: int, word: str) -> str:
    """A number of things in words."""
    return f"{number} {word}" if number == 1 else f"{number} {word}{'es' if word.endswith('s') else 's'}"
