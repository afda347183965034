"""Operators written in others that a compiler computes rightly, where it misreads their own form; one function each.

Qualcomm's compiler takes all of these without complaint, or the form that is written in their place only. Each function
leaves a node alone whose own form was seen to come out right. Formulas are those of the ONNX operator reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.errors import PreparationFailed
from oakmill.graph import elementary, equality, formulas, scattering
from oakmill.graph.einsum import einsum
from oakmill.graph.fusing import fuse_gelu
from oakmill.graph.rewriting import (
    Array,
    CannotRewriteError,
    Emitter,
    Rewrite,
    Scope,
    argument,
    attributes,
    or_leave,
    rewrite,
    set_attributes,
)
from oakmill.graph.skeleton import all_graphs, copy_of, infer_shapes

_MOST_AXES = 4
"""Of a product of matrices."""
_LOWEST_EXPONENT = -17.5
_WIDE_ROWS = 512
"""Measured on the emulated processor: 16 x 31 elements came out right, 16 x 32 wrong, whatever was chosen."""

# Pools


def average_pool(node: NodeProto, emit: Emitter) -> None:
    """With more padding at one end, rounded up, of windows mostly on padding, or over the whole map and what pads it,
    which comes out as zeros: a convolution of each channel, and a factor where it counts less.

    The factor, k / n where only n of the k values under a window count, is what onnxruntime makes of ones. A Pad before
    a pool is no way: in 8 bits the compiler makes one of both, and computes 1 dB.
    """
    given, x = attributes(node), node.input[0]
    before, after = emit.scope.fixed_shape(x), emit.scope.fixed_shape(node.output[0])
    kernel, axes = given["kernel_shape"], len(before) - 2
    if any(step != 1 for step in given.get("dilations", [])):
        raise CannotRewriteError("it is dilated")
    strides = given.get("strides", [1] * axes)
    begin = _begin(given, before[2:], after[2:])
    end = [
        max((size - 1) * step + width - inner - first, 0)
        for size, step, width, inner, first in zip(after[2:], strides, kernel, before[2:], begin, strict=True)
    ]
    declared = _declared(given, axes)
    counted = given.get("count_include_pad", 0) and declared
    whole = counted and any(width >= inner for width, inner in zip(kernel, before[2:], strict=True))
    whole = whole or any(2 * width > size for width, size in zip(declared, [*kernel, *kernel], strict=False))
    if not whole and not given.get("ceil_mode", 0) and declared and declared[:axes] == declared[axes:]:
        return
    if begin == end and not whole and not (counted and any(np.array(end) > declared[axes:])):
        set_attributes(node, "auto_pad", "ceil_mode", pads=[*begin, *end])
        return
    weights = np.full([before[1], 1, *kernel], 1 / math.prod(kernel))
    plain = {"strides": strides, "pads": [*begin, *end]}
    sums = _made_of_ones(helper.make_node("Conv", ["x", "w"], ["y"], **plain), before, emit, weights[:1])
    factor = _made_of_ones(helper.make_node("AveragePool", ["x"], ["y"], **given), before, emit) / np.maximum(
        sums, 1e-9
    )
    if np.allclose(factor, 1):
        emit("Conv", x, weights, out=node.output[0], group=before[1], **plain)
    else:
        emit("Mul", emit("Conv", x, weights, group=before[1], **plain), factor, out=node.output[0])


def _declared(given: dict[str, Any], axes: int) -> list[int]:
    """The padding as the node states it."""
    return list(given.get("pads") or [0] * 2 * axes) if given.get("auto_pad", "NOTSET") == "NOTSET" else []


def _begin(given: dict[str, Any], before: Sequence[int], after: Sequence[int]) -> list[int]:
    """The padding at the beginning of each axis."""
    mode, axes = given.get("auto_pad", "NOTSET"), len(before)
    if mode in ("NOTSET", "VALID"):
        return list(given["pads"][:axes]) if mode == "NOTSET" and "pads" in given else [0] * axes
    kernel, strides = given["kernel_shape"], given.get("strides", [1] * axes)
    total = [
        max((size - 1) * step + width - inner, 0)
        for size, step, width, inner in zip(after, strides, kernel, before, strict=True)
    ]
    return [size // 2 if mode == "SAME_UPPER" else size - size // 2 for size in total]


def _made_of_ones(node: NodeProto, shape: Sequence[int], emit: Emitter, weights: Array | None = None) -> Array:
    """What onnxruntime makes of one channel of ones: x, w -> node -> y.

    Raises:
        CannotRewriteError: it makes nothing of it.
    """
    ones = np.ones([1, 1, *shape[2:]], np.float32)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * ones.ndim) for name in ("x", "y")]
    constants = [] if weights is None else [numpy_helper.from_array(weights.astype(np.float32), "w")]
    graph = helper.make_graph([node], "one", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", emit.scope.opset)], ir_version=8)
    try:
        return equality.run(model, {"x": ones})["y"]
    except PreparationFailed as error:
        raise CannotRewriteError(f"it cannot be computed: {error.message}") from error


# Resizing and padding, as a choice or a sum of what is there


def resize(node: NodeProto, emit: Emitter) -> None:
    """Nearest: a Gather for each axis that changes; linear: a product with a constant matrix for each.

    The matrix, and by it the choice, is what onnxruntime makes of the unit vectors. Where each value is only repeated,
    or each nth kept, the compiler's own form is right once its places are rounded down.
    """
    given, x = attributes(node), node.input[0]
    mode = given.get("mode", "nearest")
    if mode not in ("nearest", "linear") or _is_read_rightly(node, emit):
        return
    before, after = emit.scope.fixed_shape(x), emit.scope.fixed_shape(node.output[0])
    changed = [axis for axis in range(len(before)) if before[axis] != after[axis]]
    matrices = [elementary.interpolation(node, axis, before, after, emit) for axis in changed]
    if mode == "nearest" and len(before) == 4 and set(changed) <= {2, 3} and all(map(_is_even, matrices)):
        set_attributes(node, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        if not _are_ratios(node, before, after, emit):
            node.input[:] = [x, "", "", emit.operand(np.array(after, np.int64))]
        return
    shape = list(before)
    for axis, matrix in zip(changed, matrices, strict=True):
        out = node.output[0] if axis == changed[-1] else ""
        if mode == "nearest":
            x = _chosen(x, matrix.argmax(1), axis, len(shape), out, emit)
        else:
            x = _combined(x, matrix, axis, shape, out, emit)


def _is_even(matrix: Array) -> bool:
    """Whether each value is repeated as often, or each nth kept from the first on."""
    after, before = matrix.shape
    places = np.arange(after)
    wanted = places // (after // before) if not after % before else places * (before // after)
    return (not after % before or not before % after) and bool(np.all(matrix.argmax(1) == wanted))


def _combined(x: str, matrix: Array, axis: int, shape: list[int], out: str, emit: Emitter) -> str:
    """A product with a matrix along one axis of a tensor of this shape, which becomes that of the result."""

    def product(x: str, out: str) -> str:
        if len(shape) <= _MOST_AXES:
            return emit("MatMul", x, matrix.T, out=out)
        order = _swapped(axis, len(shape))
        shape[axis] = matrix.shape[0]
        flat = emit("Reshape", x, [-1, matrix.shape[1]])
        return emit("Reshape", emit("MatMul", flat, matrix.T), [shape[place] for place in order], out=out)

    return _at_the_end(x, axis, len(shape), out, emit, product)


def _chosen(x: str, places: Array, axis: int, rank: int, out: str, emit: Emitter) -> str:
    """Those at these places along one axis."""

    def gather(x: str, out: str) -> str:
        return emit("Gather", x, places, axis=rank - 1, out=out)

    return _at_the_end(x, axis, rank, out, emit, gather)


def _at_the_end(x: str, axis: int, rank: int, out: str, emit: Emitter, step: Callable[[str, str], str]) -> str:
    """What is done along the last axis, done along another."""
    order = _swapped(axis, rank)
    if axis == rank - 1:
        return step(x, out)
    return emit("Transpose", step(emit("Transpose", x, perm=order), ""), perm=order, out=out)


def _swapped(axis: int, rank: int) -> list[int]:
    """A permutation that exchanges an axis with the last."""
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    return order


def gather(node: NodeProto, emit: Emitter) -> None:
    """Along the last axis but one, a Gather along the last between two Transposes.

    In 8 bits Qualcomm's library takes other values there, once rows of `_WIDE_ROWS` elements and more come out.
    """
    x, shape = node.input[0], emit.scope.fixed_shape(node.input[0])
    places = emit.scope.constant(node.input[1])
    axis = attributes(node).get("axis", 0) % len(shape)
    if axis == len(shape) - 2 and axis > 0 and places.ndim == 1 and places.size * shape[-1] >= _WIDE_ROWS:
        _chosen(x, places % shape[axis], axis, len(shape), node.output[0], emit)


def _is_read_rightly(node: NodeProto, emit: Emitter) -> bool:
    """Whether the compiler's own linear interpolation is the right one: it takes sizes for scales, and one of 2-D.

    ONNX rounds sizes down, and computes places by the scales as they are given.
    """
    given = attributes(node)
    before, after = emit.scope.fixed_shape(node.input[0]), emit.scope.fixed_shape(node.output[0])
    if given.get("mode", "nearest") != "linear" or len(before) > 4 or before[:-2] != after[:-2]:
        return False
    return given.get("coordinate_transformation_mode") == "align_corners" or _are_ratios(node, before, after, emit)


def _are_ratios(node: NodeProto, before: Sequence[int], after: Sequence[int], emit: Emitter) -> bool:
    """Whether the scales are those of the sizes: 0.6 makes 2 of 4, and takes other places than a half would."""
    scales = emit.scope.constant(node.input[2]) if argument(node, 2) else ()
    return all(abs(float(scale) * a - b) < 1e-3 for scale, a, b in zip(scales, before, after, strict=False))


def pad(node: NodeProto, emit: Emitter) -> None:
    """By the values at the edge: a Gather for each axis that grows."""
    if attributes(node).get("mode", "constant") != "edge" or argument(node, 3):
        return
    x, shape = node.input[0], emit.scope.fixed_shape(node.input[0])
    begin, end = np.split(emit.scope.constant(node.input[1]), 2)
    changed = [axis for axis in range(len(shape)) if begin[axis] or end[axis]]
    for axis in changed:
        places = np.clip(np.arange(-begin[axis], shape[axis] + end[axis]), 0, shape[axis] - 1)
        x = _chosen(x, places, axis, len(shape), node.output[0] if axis == changed[-1] else "", emit)


def grid_sample(node: NodeProto, emit: Emitter) -> None:
    """Cubic, nearest, and of volumes, by a constant grid: a product with a matrix, or a Gather.

    Qualcomm's library rounds halves up, ONNX to the even neighbour.
    """
    mode = attributes(node).get("mode", "linear")
    if "cubic" in mode or mode == "nearest" or len(emit.scope.shape(node.input[0])) != 4:
        scattering.grid_sample(node, emit)


# Products, norms and powers


def exponential(node: NodeProto, emit: Emitter) -> None:
    """Exp and Softplus of nothing below -17.5, where both are 0 in float16: Qualcomm's library has e^-96 as -131008."""
    emit(node.op_type, emit("Max", node.input[0], _LOWEST_EXPONENT), out=node.output[0])


def mish(node: NodeProto, emit: Emitter) -> None:
    """x tanh(softplus(x)), the softplus as above."""
    x = node.input[0]
    soft = emit("Softplus", emit("Max", x, _LOWEST_EXPONENT))
    emit("Mul", x, emit("Tanh", soft), out=node.output[0])


def power(node: NodeProto, emit: Emitter) -> None:
    """Floats to the power of whole numbers: of these as floats, as Qualcomm's compiler takes both in one type only."""
    x, exponent = node.input
    if emit.scope.dtype(x).kind != "f" or emit.scope.dtype(exponent).kind == "f":
        return
    if emit.scope.is_constant(exponent):
        exponent = emit.operand(emit.scope.constant(exponent).astype(np.float32))
    else:
        exponent = emit("Cast", exponent, to=TensorProto.FLOAT)
    emit("Pow", x, exponent, out=node.output[0])


def gemm(node: NodeProto, emit: Emitter) -> None:
    """alpha and beta go into the constants, or into products before it; what is added is one number for each column.

    onnxruntime's writer takes a bias of another shape for one of that, and stops or cuts it off.
    """
    given = attributes(node)
    factors = {1: given.get("alpha", 1.0), 2: given.get("beta", 1.0)}
    count = emit.scope.fixed_shape(node.input[1])[0 if given.get("transB") else 1]
    bias = argument(node, 2)
    is_plain = not bias or emit.scope.shape(bias) == (count,)
    if is_plain and set(factors.values()) == {1.0}:
        return
    inputs = list(node.input)
    for index, factor in factors.items():
        if argument(node, index) and factor != 1:
            inputs[index] = _scaled(inputs[index], factor, emit)
    kept = {name: given[name] for name in ("transA", "transB") if name in given}
    if is_plain:
        emit("Gemm", *inputs, out=node.output[0], **kept)
    elif emit.scope.is_constant(inputs[2]) and math.prod(emit.scope.fixed_shape(inputs[2])[:-1]) == 1:
        flat = np.broadcast_to(emit.scope.constant(inputs[2]).reshape(-1), [count])
        emit("Gemm", *inputs[:2], flat, out=node.output[0], **kept)
    else:
        emit("Add", emit("Gemm", *inputs[:2], **kept), inputs[2], out=node.output[0])


def _scaled(name: str, factor: float, emit: Emitter) -> str:
    try:
        return emit.operand(emit.scope.constant(name) * np.float32(factor))
    except CannotRewriteError:
        return emit("Mul", name, factor)


def layer_normalization(node: NodeProto, emit: Emitter) -> None:
    """Over several axes, or with its mean or deviation as outputs, in elementary operators.

    Outputs that nothing reads are dropped.
    """
    graph, rank = emit.scope.graph, len(emit.scope.shape(node.input[0]))
    read = {name for other in graph.node for name in other.input} | {value.name for value in graph.output}
    is_last = attributes(node).get("axis", -1) in (-1, rank - 1)
    if read & set(filter(None, node.output[1:])) or not is_last:
        elementary.layer_normalization(node, emit)
    else:
        del node.output[1:]


def batch_normalization(node: NodeProto, emit: Emitter) -> None:
    """Of a table of features or of volumes, a factor and an offset for each channel."""
    given, shape = attributes(node), emit.scope.fixed_shape(node.input[0])
    if len(shape) in (3, 4) or given.get("training_mode", 0):
        return
    scale, bias, mean, variance = (emit.scope.constant(name).astype(np.float64) for name in node.input[1:5])
    factor = scale / np.sqrt(variance + given.get("epsilon", 1e-5))
    channels = [-1] + [1] * (len(shape) - 2)
    scaled = emit("Mul", node.input[0], factor.reshape(channels))
    emit("Add", scaled, (bias - mean * factor).reshape(channels), out=node.output[0])


_REWRITES: Mapping[str, Rewrite] = {
    **{op: step for op, step in formulas.FORMULAS.items() if op not in ("PRelu", "ReduceL2")},
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Clip": elementary.clip,
    "CumSum": elementary.cumulative_sum,
    "Einsum": einsum,
    "Exp": exponential,
    "Gather": gather,
    "Gemm": gemm,
    "GridSample": grid_sample,
    "Hardmax": partial(formulas.hardmax, compares_whole=True),
    "LayerNormalization": layer_normalization,
    "Mish": mish,
    "Mod": formulas.float_modulo,
    "OneHot": partial(formulas.one_hot, compares_whole=True),
    "Pad": pad,
    "Pow": power,
    "Resize": resize,
    "ScatterElements": scattering.reduction,
    "ScatterND": scattering.reduction,
    "Softplus": exponential,
}


def write_exactly(model: ModelProto) -> ModelProto:
    """Write a graph in the form that Qualcomm's compiler computes rightly: a copy, if there is anything to write.

    Nodes of which no other form is known stay as they are: the compiler has the word.
    """
    model = fuse_gelu(model)
    if not any(node.op_type in _REWRITES for graph in all_graphs(model.graph) for node in graph.node):
        return model
    model = copy_of(model)
    rewrite(model, {op: or_leave(step) for op, step in _REWRITES.items()}, Scope(model))
    return infer_shapes(model)
