"""Comparisons and logic for a processor that compares and chooses floats alone; truth values count as 0 and 1.

RVC2's compiler compares no whole numbers, and takes NOT of a truth value that is fed or given for one of another type.
NaN, which no camera gives, counts as in range. Differences of whole numbers beyond 32 bits wrap.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, TensorProto, helper

from oakmill.graph.rewriting import Emitter, attributes

_NEGATED = {"GreaterOrEqual": "Less", "LessOrEqual": "Greater"}


def comparison(node: NodeProto, emit: Emitter) -> None:
    """Of whole numbers, their difference with 0: few of them are numbers of their own in float16; `>=` is not `<`."""
    a, b = node.input
    whole = emit.scope.dtype(a).kind in "iu"
    if whole:
        a, b = _number(emit("Sub", a, b), emit), _constant(0, emit)
    if node.op_type in _NEGATED:
        emit("Less", _number(emit(_NEGATED[node.op_type], a, b), emit), _constant(0.5, emit), out=node.output[0])
    elif whole:
        emit(node.op_type, a, b, out=node.output[0])


def sign(node: NodeProto, emit: Emitter) -> None:
    """(x > 0) - (x < 0)."""
    dtype = emit.scope.dtype(node.input[0])
    x = node.input[0] if dtype.kind == "f" else _number(node.input[0], emit)
    zero = _constant(0, emit, dtype if dtype.kind == "f" else np.dtype(np.float32))
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    above, below = (emit("Cast", emit(op, x, zero), to=kind) for op in ("Greater", "Less"))
    emit("Sub", above, below, out=node.output[0])


def logical_not(node: NodeProto, emit: Emitter) -> None:
    """Below a half."""
    emit("Less", _number(node.input[0], emit), _constant(0.5, emit), out=node.output[0])


def logical_or(node: NodeProto, emit: Emitter) -> None:
    """The sum of both above a half."""
    a, b = (_number(name, emit) for name in node.input)
    emit("Greater", emit("Add", a, b), _constant(0.5, emit), out=node.output[0])


def logical_xor(node: NodeProto, emit: Emitter) -> None:
    """The distance of both above a half."""
    a, b = (_number(name, emit) for name in node.input)
    emit("Greater", emit("Abs", emit("Sub", a, b)), _constant(0.5, emit), out=node.output[0])


def cast_to_truth(node: NodeProto, emit: Emitter) -> None:
    """A number that is not zero, where OpenVINO rounds towards zero first; other casts stay."""
    kind = emit.scope.dtype(node.input[0]).kind
    if attributes(node)["to"] != TensorProto.BOOL or kind == "b":
        return
    emit("Greater", emit("Abs", _number(node.input[0], emit)), _constant(0, emit), out=node.output[0])


def choice(node: NodeProto, emit: Emitter) -> None:
    """Of whole numbers, b + c (a - b); of truth values, of them as floats; Where of floats stays."""
    condition, a, b = node.input
    dtype = emit.scope.dtype(a)
    if dtype.kind in "iu":
        factor = emit("Cast", _number(condition, emit), to=helper.np_dtype_to_tensor_dtype(dtype))
        emit("Add", b, emit("Mul", factor, emit("Sub", a, b)), out=node.output[0])
    elif dtype.kind == "b":
        chosen = emit("Where", condition, _number(a, emit), _number(b, emit))
        emit("Greater", chosen, _constant(0.5, emit), out=node.output[0])


def _number(x: str, emit: Emitter) -> str:
    return emit("Cast", x, to=TensorProto.FLOAT)


def _constant(value: float, emit: Emitter, dtype: np.dtype[np.float32] | None = None) -> str:
    return emit.scope.add_constant(
        np.array(value, dtype or np.float32), f"{emit.node.name or emit.node.output[0]}/than"
    )
