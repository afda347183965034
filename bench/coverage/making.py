"""Makes models of one operator: what is fed, what is constant, and the form that each opset gives the operator."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, defs, helper, numpy_helper

Array = NDArray[Any]
OPSETS = range(11, 21)
"""What is measured."""
EARLY = range(7, 8)
"""Of operators that were experimental, and are gone."""


@dataclass(frozen=True)
class Fed:
    """An input of the model, and two samples of it."""

    samples: tuple[Array, Array]


@dataclass(frozen=True)
class Fixed:
    """A constant."""

    value: Array


@dataclass(frozen=True)
class Axes:
    """Numbers that became an input at some opset, and were the attribute `name` before."""

    name: str
    value: tuple[int, ...]
    since: int


Operand = Fed | Fixed | Axes | None


@dataclass(frozen=True)
class Case:
    """One variant of an operator: how its model is made, and its name in the log."""

    name: str
    op: str
    operands: tuple[Operand, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1
    domain: str = ""
    around: Callable[[NodeProto], list[NodeProto]] | None = None
    result: str = ""
    opsets: range = OPSETS
    truth: bool = False
    """Whether truth values are the model's inputs and outputs as they are."""

    def model(self, opset: int) -> ModelProto | None:
        """The model at an opset; None where the operator is not like that there."""
        made = self._node(opset) if opset in self.opsets else None
        if made is None:
            return None
        node, constants = made
        nodes = self.around(node) if self.around else [node]
        inputs = []
        for place, item in enumerate(self.operands):
            if isinstance(item, Fed):
                name, sample = f"x{place}", item.samples[0]
                if (
                    sample.dtype == np.bool_ and not self.truth
                ):  # devices take no truth values: they are made of numbers
                    nodes = [*_truth(name, constants), *nodes]
                    sample = sample.astype(np.float32)
                kind = helper.np_dtype_to_tensor_dtype(sample.dtype)
                inputs.append(helper.make_tensor_value_info(name, kind, sample.shape))
        names = [self.result] if self.result else [name for name in node.output if name]
        opsets = [helper.make_opsetid("", opset)]
        opsets += [helper.make_opsetid(self.domain, 1)] if self.domain else []
        graph = helper.make_graph(nodes, "one", inputs, [onnx.ValueInfoProto(name=name) for name in names], constants)
        bare = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        typed = self._typed(bare)
        return typed if self.truth else _without_truth(typed)

    def _typed(self, model: ModelProto) -> ModelProto | None:
        """With the outputs' types; None where onnx says that the operator does not take this."""
        try:
            if self._has_schema:
                for output in model.graph.output:
                    output.type.CopyFrom(onnx.TypeProto())
                model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
                self._complete(model)
                if self.op != "GroupNormalization":  # deprecated in the opset that brought it, and yet used
                    onnx.checker.check_model(model)
                return model
        except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError):
            return None
        first = model.graph.input[0].type
        for output in model.graph.output:
            output.type.tensor_type.elem_type = first.tensor_type.elem_type
        return model

    def _complete(self, model: ModelProto) -> None:
        """State the outputs' shapes where they follow from values that are fed; in place."""
        outputs = [value.type.tensor_type for value in model.graph.output]
        if all(kind.HasField("shape") for kind in outputs):
            return
        with contextlib.suppress(Exception):  # what does not run is no case
            found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, self.feeds(0))
            for kind, values in zip(outputs, found, strict=True):
                kind.elem_type = helper.np_dtype_to_tensor_dtype(values.dtype)
                for size in values.shape:
                    kind.shape.dim.add().dim_value = size

    def _node(self, opset: int) -> tuple[NodeProto, list[onnx.TensorProto]] | None:
        if self._has_schema and not self._exists(opset):
            return None
        names, constants, given = [], [], dict(self.attributes)
        for place, item in enumerate(self.operands):
            if isinstance(item, Axes) and opset < item.since:
                given[item.name] = list(item.value)
                continue
            if isinstance(item, Axes | Fixed):
                value = item.value if isinstance(item, Fixed) else np.array(item.value, np.int64)
                constants.append(numpy_helper.from_array(value, f"c{place}"))
            truth = isinstance(item, Fed) and item.samples[0].dtype == np.bool_ and not self.truth
            names.append("" if item is None else f"{'x' if isinstance(item, Fed) else 'c'}{place}{'_true' * truth}")
        while names and not names[-1]:
            names.pop()
        outputs = [f"y{place}" for place in range(self.outputs)]
        return helper.make_node(self.op, names, outputs, "one", domain=self.domain, **given), constants

    @property
    def _has_schema(self) -> bool:
        """Whether onnx knows the operator; it forgot experimental ones of its early days."""
        return not self.domain and bool(defs.has(self.op, ""))

    def _exists(self, opset: int) -> bool:
        """Whether the opset has the operator, with these attributes."""
        if not defs.has(self.op, opset, ""):
            return False
        schema = defs.get_schema(self.op, opset, "")
        return set(self.attributes) <= set(schema.attributes) and (
            not schema.deprecated or self.op == "GroupNormalization"
        )

    def feeds(self, sample: int) -> dict[str, Array]:
        """One of the two samples by the inputs' names."""
        fed = {f"x{place}": item.samples[sample] for place, item in enumerate(self.operands) if isinstance(item, Fed)}
        if self.truth:
            return fed
        return {name: item.astype(np.float32) if item.dtype == np.bool_ else item for name, item in fed.items()}


def _truth(name: str, constants: list[onnx.TensorProto]) -> list[NodeProto]:
    """Nodes that make truth values, called `NAME_true`, of an input that holds 0 and 1."""
    constants.append(numpy_helper.from_array(np.array([0.5], np.float32), f"{name}_half"))
    return [helper.make_node("Greater", [name, f"{name}_half"], [f"{name}_true"], f"{name}_make")]


def _without_truth(model: ModelProto | None) -> ModelProto | None:
    """The model with numbers in the place of truth values at its end; in place."""
    for output in model.graph.output if model is not None else ():
        if model is not None and output.type.tensor_type.elem_type == onnx.TensorProto.BOOL:
            old = output.name
            output.name = f"{old}_number"
            output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            model.graph.node.append(
                helper.make_node("Cast", [old], [output.name], f"{old}_cast", to=onnx.TensorProto.FLOAT)
            )
    return model


def x(*shape: int, low: float = -2.0, high: float = 2.0, dtype: Any = np.float32, seed: int = 0) -> Fed:
    """Evenly spread numbers; whole ones for whole types, the upper end left out, and truth values."""
    draws = [np.random.default_rng([seed, place, *shape]) for place in range(2)]
    kind = np.dtype(dtype)
    made: list[Array]
    if kind.kind == "b":
        made = [draw.random(shape) < 0.5 for draw in draws]
    elif kind.kind in "iu":
        made = [draw.integers(int(low), int(high), shape) for draw in draws]
    else:
        made = [draw.uniform(low, high, shape) for draw in draws]
    first, second = (np.ascontiguousarray(item.astype(kind)) for item in made)
    return Fed((first, second))


def whole(*shape: int, seed: int = 0) -> Fed:
    """Small whole numbers as floats, so that some are equal."""
    first, second = x(*shape, low=0, high=3, dtype=np.int64, seed=seed).samples
    return Fed((first.astype(np.float32), second.astype(np.float32)))


def c(values: Any, dtype: Any = np.float32) -> Fixed:
    """A constant."""
    return Fixed(np.array(values, dtype))


def w(*shape: int, spread: float = 0.3, seed: int = 7) -> Fixed:
    """Weights."""
    return Fixed((np.random.default_rng([seed, *shape]).standard_normal(shape) * spread).astype(np.float32))


def fed(values: Any, dtype: Any = np.int64) -> Fed:
    """An input that is always the same, as shapes that are not constant."""
    value = np.array(values, dtype)
    return Fed((value, value))


def i(*values: int) -> Fixed:
    """Whole numbers, as axes and sizes are."""
    return Fixed(np.array(values, np.int64))


def case(
    name: str,
    *operands: Operand,
    outputs: int = 1,
    domain: str = "",
    around: Callable[[NodeProto], list[NodeProto]] | None = None,
    result: str = "",
    opsets: range = OPSETS,
    truth: bool = False,
    **attributes: Any,
) -> Case:
    """A case; the operator is the first word of its name. `opsets` are those whose standard has such attributes."""
    return Case(name, name.split(maxsplit=1)[0], operands, attributes, outputs, domain, around, result, opsets, truth)


def ranks(op: str, sizes: Sequence[Sequence[int]], *others: Operand, **attributes: Any) -> list[Case]:
    """The same on tensors of several ranks."""
    return [case(f"{op} {len(size)}d", x(*size), *others, **attributes) for size in sizes]
