"""Operators written by their formulas, where a compiler lacks them or computes them wrongly; one function each.

Formulas are those of the ONNX operator reference, and exact up to the rounding of floats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from onnx import NodeProto, TensorProto, helper

from oakmill.graph.rewriting import Array, CannotRewriteError, Emitter, Rewrite, attributes, reduced_axes

_MOST_FACTORS = 64
"""Of a product that is written out."""
_ONE_AXIS = 13
"""The opset from which Hardmax goes along one axis, the last by default; before, all behind its axis are one."""

# Functions of one number


def _of_x(formula: Callable[[str, Emitter, str], object]) -> Rewrite:
    """A function of a number, which the formula emits by its input's and output's names."""

    def step(node: NodeProto, emit: Emitter) -> None:
        formula(node.input[0], emit, node.output[0])

    step.__doc__ = formula.__doc__
    return step


def _softsign(x: str, emit: Emitter, out: str) -> None:
    """x / (1 + |x|)."""
    emit("Div", x, emit("Add", emit("Abs", x), 1.0), out=out)


def _of_exponents(op: str) -> Callable[[str, Emitter, str], None]:
    def formula(x: str, emit: Emitter, out: str) -> None:
        """e^(x - log 2) - e^(-x - log 2), or with + for the cosine: halved at the end, it would overflow too early."""
        up, down = (emit("Exp", emit("Sub", value, math.log(2))) for value in (x, emit("Neg", x)))
        emit(op, up, down, out=out)

    return formula


def _asinh(x: str, emit: Emitter, out: str) -> None:
    """sign(x) log(|x| + sqrt(x^2 + 1)), as log alone cancels below zero."""
    root = emit("Sqrt", emit("Add", emit("Mul", x, x), 1.0))
    emit("Mul", _sign(x, emit), emit("Log", emit("Add", emit("Abs", x), root)), out=out)


def _acosh(x: str, emit: Emitter, out: str) -> None:
    """log(x + sqrt(x^2 - 1))."""
    emit("Log", emit("Add", x, emit("Sqrt", emit("Sub", emit("Mul", x, x), 1.0))), out=out)


def _atanh(x: str, emit: Emitter, out: str) -> None:
    """log((1 + x) / (1 - x)) / 2."""
    ratio = emit("Div", emit("Add", x, 1.0), emit("Sub", emit.operand(1.0), x))
    emit("Mul", emit("Log", ratio), 0.5, out=out)


def _asin(x: str, emit: Emitter, out: str = "") -> str:
    """2 atan(x / (1 + sqrt(1 - x^2)))."""
    root = emit("Sqrt", emit("Sub", emit.operand(1.0), emit("Mul", x, x)))
    return emit("Mul", emit("Atan", emit("Div", x, emit("Add", root, 1.0))), 2.0, out=out)


def _acos(x: str, emit: Emitter, out: str) -> None:
    """pi / 2 - asin(x)."""
    emit("Sub", emit.operand(math.pi / 2), _asin(x, emit), out=out)


def celu(node: NodeProto, emit: Emitter) -> None:
    """alpha elu(x / alpha)."""
    alpha = attributes(node).get("alpha", 1.0)
    emit("Mul", emit("Elu", emit("Mul", node.input[0], 1 / alpha), alpha=1.0), alpha, out=node.output[0])


def shrink(node: NodeProto, emit: Emitter) -> None:
    """x - bias above lambd, x + bias below -lambd, else 0."""
    given, x = attributes(node), node.input[0]
    border, bias = given.get("lambd", 0.5), given.get("bias", 0.0)
    is_whole = emit.scope.dtype(x).kind in "iu"
    x = _number(x, emit) if is_whole else x
    below = emit("Where", emit("Less", x, -border), emit("Add", x, bias), 0.0)
    chosen = [emit("Greater", x, border), emit("Sub", x, bias), below]
    made = emit("Where", *chosen, out="" if is_whole else node.output[0])
    if is_whole:
        emit("Cast", made, out=node.output[0], to=_kind(node.input[0], emit))


def prelu(node: NodeProto, emit: Emitter) -> None:
    """max(x, 0) + slope min(x, 0), where the slope is computed; others stay."""
    x, slope = node.input
    if not emit.scope.is_constant(slope):
        below = emit("Mul", slope, emit("Neg", emit("Relu", emit("Neg", x))))
        emit("Add", emit("Relu", x), below, out=node.output[0])


def _sign(x: str, emit: Emitter) -> str:
    return emit("Sub", _truth(emit("Greater", x, 0.0), emit), _truth(emit("Less", x, 0.0), emit))


def _truth(x: str, emit: Emitter) -> str:
    """1 or 0, in the type of the node's first input."""
    return emit("Cast", x, to=helper.np_dtype_to_tensor_dtype(emit.scope.dtype(emit.node.input[0])))


# Functions of several numbers


def mean(node: NodeProto, emit: Emitter) -> None:
    """The sum, by their number."""
    total = node.input[0]
    for name in node.input[1:]:
        total = emit("Add", total, name)
    emit("Mul", total, 1 / len(node.input), out=node.output[0])


def modulo(node: NodeProto, emit: Emitter) -> None:
    """a - b trunc(a / b), of the sign of a with `fmod`; else b is added where the signs of it and b differ."""
    a, b = node.input
    floats = emit.scope.dtype(a).kind == "f"
    times = emit("Div", a, b)
    if floats:
        times = emit("Mul", _sign(times, emit), emit("Floor", emit("Abs", times)))
    is_fmod = attributes(node).get("fmod", 0)
    rest = emit("Sub", a, emit("Mul", times, b), out=node.output[0] if is_fmod else "")
    if not is_fmod:
        both = emit("Mul", *(emit("Cast", name, to=TensorProto.FLOAT) for name in (rest, b)))
        zero = emit.scope.add_constant(np.zeros((), np.float32), f"{node.name or node.output[0]}/zero")
        differ = emit("Cast", emit("Less", both, zero), to=TensorProto.FLOAT)
        factor = emit("Cast", differ, to=helper.np_dtype_to_tensor_dtype(emit.scope.dtype(a)))
        emit("Add", rest, emit("Mul", factor, b), out=node.output[0])


def float_modulo(node: NodeProto, emit: Emitter) -> None:
    """Of floats, as above; others stay."""
    if emit.scope.dtype(node.input[0]).kind == "f":
        modulo(node, emit)


# Reductions


def _reduction(before: Callable[[str, Emitter], str], after: str = "") -> Rewrite:
    """A sum over the axes of what is made of each number, and a function of the sum."""

    def step(node: NodeProto, emit: Emitter) -> None:
        axes, keep = reduced_axes(node, emit.scope)
        total = emit.reduced("ReduceSum", before(node.input[0], emit), axes, "" if after else node.output[0], stay=keep)
        if after:
            emit(after, total, out=node.output[0])

    return step


def _itself(x: str, emit: Emitter) -> str:
    return x


def _size(x: str, emit: Emitter) -> str:
    return emit("Abs", x)


def _square(x: str, emit: Emitter) -> str:
    return emit("Mul", x, x)


def log_sum_exp(node: NodeProto, emit: Emitter) -> None:
    """max + log sum e^(x - max)."""
    axes, keep = reduced_axes(node, emit.scope)
    x = node.input[0]
    largest = emit.reduced("ReduceMax", x, axes)
    total = emit.reduced("ReduceSum", emit("Exp", emit("Sub", x, largest)), axes, stay=keep)
    if not keep:
        largest = emit.reduced("ReduceMax", x, axes, stay=False)
    emit("Add", emit("Log", total), largest, out=node.output[0])


def product(node: NodeProto, emit: Emitter) -> None:
    """All slices along an axis, multiplied."""
    axes, keep = reduced_axes(node, emit.scope)
    x, shape = node.input[0], list(emit.scope.fixed_shape(node.input[0]))
    if math.prod(shape[axis] for axis in axes) > _MOST_FACTORS:
        raise CannotRewriteError(f"it multiplies more than {_MOST_FACTORS} values")
    for axis in axes:
        parts = [emit.cut(x, place, place + 1, axis) for place in range(shape[axis])]
        x = parts[0]
        for part in parts[1:]:
            x = emit("Mul", x, part)
        shape[axis] = 1
    wanted = shape if keep else [size for axis, size in enumerate(shape) if axis not in axes]
    emit("Reshape", x, np.array(wanted, np.int64), out=node.output[0])


# Norms and pools


def lp_normalization(node: NodeProto, emit: Emitter) -> None:
    """x by its norm; zeros stay zeros, where OpenVINO divides them by zero."""
    given, x = attributes(node), node.input[0]
    axis = given.get("axis", -1) % len(emit.scope.shape(x))
    total = emit.reduced("ReduceSum", _size(x, emit) if given.get("p", 2) == 1 else _square(x, emit), [axis])
    norm = total if given.get("p", 2) == 1 else emit("Sqrt", total)
    emit("Div", x, emit("Add", norm, _truth(emit("Equal", norm, 0.0), emit)), out=node.output[0])


def mean_variance_normalization(node: NodeProto, emit: Emitter) -> None:
    """(x - mean) / (sqrt(mean of its square) + 1e-9)."""
    x, axes = node.input[0], list(attributes(node).get("axes", [0, 2, 3]))
    off = emit("Sub", x, emit.mean(x, axes))
    deviation = emit("Sqrt", emit.mean(emit("Mul", off, off), axes))
    emit("Div", off, emit("Add", deviation, 1e-9), out=node.output[0])


def lp_pool(node: NodeProto, emit: Emitter) -> None:
    """The p-th root of the sum of |x|^p, of which the average pool is the share of one value."""
    given, x = attributes(node), node.input[0]
    p, kernel = given.pop("p", 2), given["kernel_shape"]
    if any(step != 1 for step in given.pop("dilations", [])) or given.get("ceil_mode", 0):
        raise CannotRewriteError("it is dilated, or rounded up")
    powers = _size(x, emit) if p == 1 else _square(x, emit) if p == 2 else emit("Pow", _size(x, emit), float(p))
    average = emit("AveragePool", powers, count_include_pad=1, **given)
    total = emit("Mul", average, float(math.prod(kernel)), out=node.output[0] if p == 1 else "")
    if p == 2:
        emit("Sqrt", total, out=node.output[0])
    elif p != 1:
        emit("Pow", total, 1 / p, out=node.output[0])


# Indices


def last_index(node: NodeProto, emit: Emitter) -> None:
    """The last of equal values is the first from the end; others stay."""
    given, x = attributes(node), node.input[0]
    if not given.pop("select_last_index", 0):
        return
    shape = emit.scope.fixed_shape(x)
    axis = given.get("axis", 0) % len(shape)
    backwards = emit("Gather", x, np.arange(shape[axis])[::-1].copy(), axis=axis)
    found = emit(node.op_type, backwards, **given)
    emit("Sub", np.array(shape[axis] - 1), found, out=node.output[0])


def reverse_sequence(node: NodeProto, emit: Emitter) -> None:
    """A Gather of the first places backwards, where they are as many in each of the batch."""
    given, x = attributes(node), node.input[0]
    axis, lengths = given.get("time_axis", 0), np.unique(emit.scope.constant(node.input[1]))
    if lengths.size != 1:
        raise CannotRewriteError("its sequences are of several lengths")
    places = np.arange(emit.scope.fixed_shape(x)[axis])
    places[: lengths.item()] = places[: lengths.item()][::-1]
    emit("Gather", x, places, out=node.output[0], axis=axis)


def hardmax(node: NodeProto, emit: Emitter, *, compares_whole: bool = False) -> None:
    """1 where the place is that of the largest value."""
    x, shape = node.input[0], emit.scope.fixed_shape(node.input[0])
    given = attributes(node)
    axis = given.get("axis", -1 if emit.scope.opset >= _ONE_AXIS else 1) % len(shape)
    if emit.scope.opset < _ONE_AXIS and math.prod(shape[axis + 1 :]) != 1:
        raise CannotRewriteError("it joins axes")
    largest = emit("ArgMax", x, axis=axis, keepdims=1)
    compare = _is_whole_at if compares_whole else _is_at
    emit("Cast", compare(largest, _places(shape[axis], axis, len(shape)), emit), out=node.output[0], to=_kind(x, emit))


def one_hot(node: NodeProto, emit: Emitter, *, compares_whole: bool = False) -> None:
    """on where the place is the index or, counted from the end, the index + depth; off elsewhere."""
    indices, values = node.input[0], emit.scope.constant(node.input[2])
    depth = int(emit.scope.constant(node.input[1]).reshape(-1)[0])
    rank = len(emit.scope.shape(indices)) + 1
    axis = attributes(node).get("axis", -1) % rank
    sizes = emit.scope.fixed_shape(indices)
    if emit.scope.dtype(indices).kind == "f":
        indices = emit("Cast", indices, to=TensorProto.INT32)  # towards zero
    shape = [1 if place == axis else size for place, size in enumerate([*sizes[:axis], 1, *sizes[axis:]])]
    places = _places(depth, axis, rank)
    if compares_whole:
        wide = emit("Reshape", indices, shape)
        there = emit("Or", *(_is_whole_at(wide, numbers, emit) for numbers in (places, places - depth)))
    else:
        number = _number(indices, emit)
        below = emit("Mul", _number(emit("Less", number, _float(0, emit)), emit), _float(depth, emit))
        there = _is_at(emit("Reshape", emit("Add", number, below), shape), places, emit)
    _one_of(there, values, node, emit, whole=compares_whole and values.dtype.kind in "iu")


def _one_of(there: str, values: Array, node: NodeProto, emit: Emitter, *, whole: bool) -> None:
    """The second of two values where it is there, else the first."""
    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    if whole:
        off, on = values
        scaled = emit("Mul", emit("Cast", there, to=kind), np.array(on - off))
        emit("Add", scaled, np.array(off), out=node.output[0])
        return
    off, on = (_float(value, emit) for value in values)
    is_float = kind == TensorProto.FLOAT
    # No product: of infinite ones and 0 it is no number.
    chosen = emit("Where", there, on, off, out=node.output[0] if is_float else "")
    if not is_float:
        emit("Cast", chosen, out=node.output[0], to=kind)


def _places(count: int, axis: int, rank: int) -> Array:
    return np.arange(count).reshape([-1 if place == axis else 1 for place in range(rank)])


def _is_at(index: str, places: Array, emit: Emitter) -> str:
    """Whether each place is the index, for a compiler that compares floats alone."""
    numbers = emit.scope.add_constant(places.astype(np.float32), f"{emit.node.output[0]}/places")
    far = emit("Sub", _number(index, emit), numbers)
    return emit("Less", emit("Abs", far), _float(0.5, emit))


def _is_whole_at(index: str, places: Array, emit: Emitter) -> str:
    """The same in whole numbers: floats would get 8 bits in a quantized graph, in which neighbours are one."""
    return emit("Equal", emit("Cast", index, to=TensorProto.INT32), places.astype(np.int32))


def _number(x: str, emit: Emitter) -> str:
    return emit("Cast", x, to=TensorProto.FLOAT)


def _float(value: float, emit: Emitter) -> str:
    return emit.scope.add_constant(np.array(value, np.float32), f"{emit.node.output[0]}/number")


def _kind(x: str, emit: Emitter) -> int:
    return helper.np_dtype_to_tensor_dtype(emit.scope.dtype(x))


FORMULAS: Mapping[str, Rewrite] = {
    "Acos": _of_x(_acos),
    "Acosh": _of_x(_acosh),
    "ArgMax": last_index,
    "ArgMin": last_index,
    "Asin": _of_x(_asin),
    "Asinh": _of_x(_asinh),
    "Atanh": _of_x(_atanh),
    "Celu": celu,
    "Cosh": _of_x(_of_exponents("Add")),
    "Hardmax": hardmax,
    "LpNormalization": lp_normalization,
    "LpPool": lp_pool,
    "Mean": mean,
    "MeanVarianceNormalization": mean_variance_normalization,
    "Mod": modulo,
    "OneHot": one_hot,
    "PRelu": prelu,
    "ReduceL1": _reduction(_size),
    "ReduceL2": _reduction(_square, "Sqrt"),
    "ReduceLogSum": _reduction(_itself, "Log"),
    "ReduceLogSumExp": log_sum_exp,
    "ReduceProd": product,
    "ReduceSumSquare": _reduction(_square),
    "ReverseSequence": reverse_sequence,
    "Shrink": shrink,
    "Sinh": _of_x(_of_exponents("Sub")),
    "Softsign": _of_x(_softsign),
}
"""By operator; those of ArgMax, ArgMin and PRelu leave the forms that compilers have."""
