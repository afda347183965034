"""Replacing single nodes by others that compute the same: the tools that all rewrites share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.graph.skeleton import all_graphs, dimensions, infer_shapes, opset_version
from oakmill.model import weights

Array = NDArray[Any]
Operand = str | float | Sequence[int] | Array

END = 2**31 - 1
"""As the end of a slice: up to the last element."""

STANDARD_DOMAINS = ("", "ai.onnx")

MALFORMED = (LookupError, TypeError, ValueError, ArithmeticError)
"""What a step raises on a node that is not as ONNX says: an attribute is missing, an axis is one of a single number."""


class CannotRewriteError(Exception):
    """A node cannot be expressed in other operators; the message says why, `node` is its name once that is known."""

    def __init__(self, message: str, node: str = "") -> None:
        self.node = node
        super().__init__(message)


def attributes(node: NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values, text as str."""
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def argument(node: NodeProto, index: int) -> str:
    """The name of a node's input, or "" where it has none there."""
    return node.input[index] if index < len(node.input) else ""


def set_attributes(node: NodeProto, *drop: str, **values: Any) -> None:
    """Drop attributes of a node by name, and set others."""
    kept = [item for item in node.attribute if item.name not in drop and item.name not in values]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in values.items())


def describe(node: NodeProto) -> str:
    """A node as a person finds it: its operator and its name, or what it computes where it has none."""
    return f"{node.op_type} {node.name or node.output[0]!r}"


def constant_of(node: NodeProto) -> TensorProto | None:
    """The tensor that a Constant makes; None for other nodes, for text and for sparse tensors."""
    if node.op_type != "Constant" or node.domain not in STANDARD_DOMAINS:
        return None
    for name, value in attributes(node).items():
        if name == "value":
            return value if value.data_type != TensorProto.STRING else None
        if name in ("value_int", "value_ints", "value_float", "value_floats"):
            dtype = np.int64 if "int" in name else np.float32
            return numpy_helper.from_array(np.array(value, dtype))
    return None


class Scope:
    """What is known of a model's tensors, and which names are taken."""

    def __init__(self, model: ModelProto, opset: int | None = None) -> None:
        infer_shapes(model)
        self.graph = model.graph
        self.opset = opset or opset_version(model)
        self._constants: dict[str, TensorProto] = {}
        self._types: dict[str, onnx.TypeProto.Tensor] = {}
        self._names: set[str] = set()
        for graph in all_graphs(model.graph):
            self._learn(graph)

    def _learn(self, graph: GraphProto) -> None:
        for value in (*graph.input, *graph.value_info, *graph.output):
            self._types[value.name] = value.type.tensor_type
        self._constants.update((tensor.name, tensor) for tensor in graph.initializer)
        for node in graph.node:
            self._names.update((node.name, *node.output))
            if (tensor := constant_of(node)) is not None:
                self._constants[node.output[0]] = tensor
        self._names.update(self._types, self._constants)

    def shape(self, name: str) -> tuple[int | None, ...]:
        """A tensor's shape, None for each open dimension.

        Raises:
            CannotRewriteError: not even its rank is known.
        """
        if name in self._constants:
            return tuple(self._constants[name].dims)
        known = dimensions(self._types[name]) if name in self._types else None
        if known is None:
            raise CannotRewriteError(f"the shape of {name!r} is not known")
        return known

    def fixed_shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape where every dimension is a number.

        Raises:
            CannotRewriteError: a dimension is open.
        """
        shape = tuple(size for size in self.shape(name) if size is not None)
        if len(shape) < len(self.shape(name)):
            raise CannotRewriteError(f"the shape of {name!r} is not fixed")
        return shape

    def size(self, name: str) -> int:
        """How many elements a tensor has; 0 where that is not known."""
        try:
            return math.prod(self.fixed_shape(name))
        except CannotRewriteError:
            return 0

    def dtype(self, name: str) -> np.dtype[Any]:
        """A tensor's type; float32 where it is not known."""
        number = self._constants[name].data_type if name in self._constants else 0
        if not number and name in self._types:
            number = self._types[name].elem_type
        return np.dtype(helper.tensor_dtype_to_np_dtype(number or TensorProto.FLOAT))

    def is_constant(self, name: str) -> bool:
        """Whether a tensor's value is known."""
        return name in self._constants

    def constant(self, name: str) -> Array:
        """The value of a constant.

        Raises:
            CannotRewriteError: `name` is computed while the model runs.
        """
        if name not in self._constants:
            raise CannotRewriteError(f"{name!r} is computed while the model runs")
        return weights.values(self._constants[name])

    def fresh(self, name: str) -> str:
        """A name that nothing else has, made from `name`."""
        unique, number = name, 1
        while unique in self._names:
            number += 1
            unique = f"{name}_{number}"
        self._names.add(unique)
        return unique

    def add_constant(self, value: Array, name: str) -> str:
        """Add an initializer to the model's outermost graph, and return its name."""
        unique = self.fresh(name)
        tensor = self.graph.initializer.add()
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), unique))
        self._constants[unique] = tensor
        return unique

    def set_constant(self, name: str, value: Array, *, copy: bool) -> str:
        """Change the value of a constant, or of a copy of it that gets a name of its own; returns the name."""
        if copy:
            return self.add_constant(value, f"{name}/copy")
        self._constants[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


_AXES_BY_INPUT = {"ReduceSum": 13}
"""The opsets from which a reduction's axes are an input; of all others it is 18."""


def reduced_axes(node: NodeProto, scope: Scope) -> tuple[list[int], bool]:
    """The axes that a reduction is over, from the front, and whether they stay as dimensions of size 1.

    Raises:
        CannotRewriteError: it is over no axes, they are computed while the model runs, or the rank is not known.
    """
    given, rank = attributes(node), len(scope.shape(node.input[0]))
    named = scope.constant(node.input[1]).tolist() if argument(node, 1) else given.get("axes") or []
    if not named and given.get("noop_with_empty_axes", 0):
        raise CannotRewriteError("it reduces over no axes at all")
    return sorted(axis % rank for axis in named or range(rank)), bool(given.get("keepdims", 1))


class Emitter:
    """Makes the nodes that stand in for `node`: `emit("Mul", x, 0.5)` adds one and returns its output's name.

    Operands are names of tensors or constants; floats take the type of the node's first input, integers int64.
    """

    def __init__(self, scope: Scope, node: NodeProto) -> None:
        self.scope = scope
        self.node = node
        self.nodes: list[NodeProto] = []
        self._base = node.name or node.output[0]

    def __call__(self, op: str, *operands: Operand, out: str = "", **attrs: Any) -> str:
        """Add a node with one output, which is named `out` or afresh."""
        inputs = [self.operand(item) for item in operands]
        name = self.scope.fresh(f"{self._base}/{op}")
        output = out or self.scope.fresh(f"{name}/out")
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attrs))
        return output

    def operand(self, value: Operand) -> str:
        """The name of an operand, which a constant gets here."""
        if isinstance(value, str):
            return value
        array = np.asarray(value, np.int64 if isinstance(value, Sequence) else None)  # no axes at all: no floats
        if np.issubdtype(array.dtype, np.floating):
            dtype = self.scope.dtype(self.node.input[0])
            array = array.astype(dtype if np.issubdtype(dtype, np.floating) else np.float32)
        return self.scope.add_constant(array, f"{self._base}/constant")

    def clip(self, x: str, low: float, high: float, out: str = "") -> str:
        """Limit `x` to the range from `low` to `high`."""
        if self.scope.opset < 11:
            return self("Clip", x, out=out, min=float(low), max=float(high))
        return self("Clip", x, float(low), float(high), out=out)

    def mean(self, x: str, axes: Sequence[int], out: str = "", *, stay: bool = True) -> str:
        """The mean of `x` over `axes`, which stay as dimensions of size 1, or go."""
        return self.reduced("ReduceMean", x, axes, out, stay=stay)

    def reduced(self, op: str, x: str, axes: Sequence[int], out: str = "", *, stay: bool = True) -> str:
        """A reduction of `x` over `axes`, which stay as dimensions of size 1, or go; as its opset writes it."""
        if self.scope.opset < _AXES_BY_INPUT.get(op, 18):
            return self(op, x, out=out, axes=list(axes), keepdims=int(stay))
        return self(op, x, list(axes), out=out, keepdims=int(stay))

    def cut(self, x: str, start: int, end: int, axis: int, out: str = "") -> str:
        """The part of `x` from `start` up to `end` along `axis`."""
        if self.scope.opset < 10:
            return self("Slice", x, out=out, starts=[start], ends=[end], axes=[axis])
        return self("Slice", x, [start], [end], [axis], out=out)


Rewrite = Callable[[NodeProto, Emitter], None]
"""Emits nodes in a node's place; one that emits none keeps the node, which it may have edited."""


def or_leave(step: Rewrite) -> Rewrite:
    """The step, or the node as it is: where a shape that it needs is open, it has no other form, or is malformed."""

    def attempt(node: NodeProto, emit: Emitter) -> None:
        try:
            step(node, emit)
        except (CannotRewriteError, *MALFORMED):
            emit.nodes.clear()

    return attempt


def rewrite(model: ModelProto, table: Mapping[str, Rewrite], scope: Scope) -> ModelProto:
    """Apply `table`, by operator, to all nodes of the standard domain, within subgraphs too; in place.

    Raises:
        CannotRewriteError: for the first node that its rewrite refuses; the message names it.
    """
    for graph in reversed(list(all_graphs(model.graph))):  # inner first: a changed graph holds copies
        _rewrite_graph(graph, table, scope)
    return model


def _rewrite_graph(graph: GraphProto, table: Mapping[str, Rewrite], scope: Scope) -> None:
    nodes: list[NodeProto] = []
    changed = False
    for node in graph.node:
        emit = Emitter(scope, node)
        if node.op_type in table and node.domain in STANDARD_DOMAINS:
            try:
                table[node.op_type](node, emit)
            except CannotRewriteError as error:
                raise CannotRewriteError(f"{describe(node)}: {error}", node.name) from error
            except MALFORMED as error:
                raise CannotRewriteError(f"{describe(node)} is malformed ({error!r})", node.name) from error
        nodes.extend(emit.nodes or [node])
        changed = changed or bool(emit.nodes)
    if changed:
        del graph.node[:]
        graph.node.extend(nodes)
