"""Operators written in more elementary ones that compute the same, one function each.

Formulas are those of the ONNX operator reference. "The same" is up to the rounding of floats.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from oakmill.errors import PreparationFailed
from oakmill.graph import equality
from oakmill.graph.masks import LOWEST
from oakmill.graph.rewriting import END, Array, CannotRewriteError, Emitter, argument, attributes

_PADDED_RANKS = (3, 4)
"""What RVC2's compiler pads: "support only 3D and 4D input"."""

# Activations


def hard_sigmoid(node: NodeProto, emit: Emitter) -> None:
    """max(0, min(1, alpha x + beta))."""
    given = attributes(node)
    line = emit("Add", emit("Mul", node.input[0], given.get("alpha", 0.2)), given.get("beta", 0.5))
    emit.clip(line, 0, 1, out=node.output[0])


def clip(node: NodeProto, emit: Emitter) -> None:
    """min(max(x, low), high), where a bound is computed; others stay, but that the lower bound is not above the other.

    All becomes the upper bound then, as ONNX says; compilers refuse it.
    """
    bounds = {op: argument(node, index) for index, op in ((1, "Max"), (2, "Min")) if argument(node, index)}
    x = node.input[0]
    if all(emit.scope.is_constant(name) for name in bounds.values()):
        if len(bounds) == 2 and emit.scope.constant(bounds["Max"]).item() > emit.scope.constant(bounds["Min"]).item():
            emit("Clip", x, bounds["Min"], bounds["Min"], out=node.output[0])
        return
    for op, bound in bounds.items():
        x = emit(op, x, bound, out=node.output[0] if op == [*bounds][-1] else "")


def hard_swish(node: NodeProto, emit: Emitter) -> None:
    """x max(0, min(1, x / 6 + 1/2))."""
    line = emit("Add", emit("Mul", node.input[0], 1 / 6), 0.5)
    emit("Mul", node.input[0], emit.clip(line, 0, 1), out=node.output[0])


def mish(node: NodeProto, emit: Emitter) -> None:
    """x tanh(softplus(x))."""
    emit("Mul", node.input[0], emit("Tanh", emit("Softplus", node.input[0])), out=node.output[0])


def swish(node: NodeProto, emit: Emitter) -> None:
    """x sigmoid(alpha x)."""
    x, alpha = node.input[0], attributes(node).get("alpha", 1.0)
    emit("Mul", x, emit("Sigmoid", emit("Mul", x, alpha) if alpha != 1 else x), out=node.output[0])


def selu(node: NodeProto, emit: Emitter) -> None:
    """gamma elu(x)."""
    given = attributes(node)
    elu = emit("Elu", node.input[0], alpha=given.get("alpha", 1.6732632423543772))
    emit("Mul", elu, given.get("gamma", 1.0507009873554805), out=node.output[0])


def gelu(node: NodeProto, emit: Emitter) -> None:
    """x/2 (1 + erf(x / sqrt 2)), or x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) where approximate="tanh"."""
    x = node.input[0]
    if attributes(node).get("approximate", "none") == "tanh":
        cubed = emit("Mul", emit("Mul", x, x), x)
        inner = emit("Add", x, emit("Mul", cubed, 0.044715))
        curve = emit("Tanh", emit("Mul", inner, math.sqrt(2 / math.pi)))
    else:
        curve = emit("Erf", emit("Mul", x, math.sqrt(0.5)))
    emit("Mul", emit("Mul", x, 0.5), emit("Add", curve, 1.0), out=node.output[0])


# Normalizations


def masked_softmax(node: NodeProto, emit: Emitter) -> None:
    """Of nothing below `masks.LOWEST`, where a Where takes other values for rows that are masked as a whole.

    Of a row of -inf OpenVINO makes NaN, and its Where gives NaN for what it does not take, too. Others stay.
    """
    chosen = (other for other in emit.scope.graph.node if other.op_type == "Where")
    if any(node.output[0] in other.input[1:] for other in chosen):
        emit("Softmax", emit("Max", node.input[0], LOWEST), out=node.output[0], **attributes(node))


def layer_normalization(node: NodeProto, emit: Emitter) -> None:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the axes from `axis` on."""
    given, x = attributes(node), node.input[0]
    axes = _axes_from(given.get("axis", -1), x, emit)
    mean = emit.mean(x, axes, out=_output(node, 1))
    off = emit("Sub", x, mean)
    deviation = emit("Sqrt", emit("Add", emit.mean(emit("Mul", off, off), axes), given.get("epsilon", 1e-5)))
    normal = emit("Div", off, deviation)
    if _output(node, 2):
        emit("Reciprocal", deviation, out=node.output[2])
    _scale_and_shift(node, emit, normal)


def rms_normalization(node: NodeProto, emit: Emitter) -> None:
    """x / sqrt(mean(x^2) + epsilon) * scale over the axes from `axis` on."""
    given, x = attributes(node), node.input[0]
    square = emit.mean(emit("Mul", x, x), _axes_from(given.get("axis", -1), x, emit))
    _scale_and_shift(node, emit, emit("Div", x, emit("Sqrt", emit("Add", square, given.get("epsilon", 1e-5)))))


def group_normalization(node: NodeProto, emit: Emitter) -> None:
    """Normalize each group of channels, then scale and shift: per group before opset 21, per channel from then on."""
    given, x = attributes(node), node.input[0]
    groups, shape = given["num_groups"], emit.scope.fixed_shape(x)
    parts = emit("Reshape", x, [shape[0], groups, math.prod(shape[1:]) // groups])
    ones, zeros = np.ones(groups), np.zeros(groups)
    normal = emit("InstanceNormalization", parts, ones, zeros, epsilon=given.get("epsilon", 1e-5))
    normal = emit("Reshape", normal, list(shape))
    scale, bias = (_per_channel(emit.scope.constant(node.input[i]), shape) for i in (1, 2))
    emit("Add", emit("Mul", normal, scale), bias, out=node.output[0])


def _per_channel(values: Array, shape: tuple[int, ...]) -> Array:
    return np.repeat(values, shape[1] // len(values)).reshape(-1, *[1] * (len(shape) - 2))


def _axes_from(axis: int, x: str, emit: Emitter) -> list[int]:
    return list(range(axis, 0 if axis < 0 else len(emit.scope.shape(x))))


def _output(node: NodeProto, index: int) -> str:
    return node.output[index] if index < len(node.output) else ""


def _scale_and_shift(node: NodeProto, emit: Emitter, normal: str) -> None:
    if not argument(node, 2):
        emit("Mul", normal, node.input[1], out=node.output[0])
        return
    emit("Add", emit("Mul", normal, node.input[1]), node.input[2], out=node.output[0])


# Linear operators, by a matrix


def cumulative_sum(node: NodeProto, emit: Emitter) -> None:
    """A product with a triangle of ones along the axis."""
    given, x = attributes(node), node.input[0]
    if emit.scope.dtype(x).kind != "f":
        raise CannotRewriteError("it adds whole numbers, which a matrix product does not")
    shape = emit.scope.fixed_shape(x)
    axis = int(emit.scope.constant(node.input[1]).item()) % len(shape)
    triangle = np.triu(np.ones([shape[axis]] * 2), k=given.get("exclusive", 0))
    order = [*range(len(shape))]
    order[axis], order[-1] = order[-1], order[axis]
    turned = emit("Transpose", x, perm=order)
    summed = emit("MatMul", turned, triangle.T if given.get("reverse", 0) else triangle)
    emit("Transpose", summed, perm=order, out=node.output[0])


def triangle_mask(node: NodeProto, emit: Emitter) -> None:
    """Trilu: a product with a mask of ones and zeros."""
    x = node.input[0]
    offset = int(emit.scope.constant(node.input[1]).item()) if argument(node, 1) else 0
    cut = np.triu if attributes(node).get("upper", 1) else np.tril
    ones = np.ones(emit.scope.fixed_shape(x)[-2:], emit.scope.dtype(x))
    emit("Mul", x, cut(ones, k=offset), out=node.output[0])


def cubic_resize(node: NodeProto, emit: Emitter) -> None:
    """Bicubic interpolation: a 1x1 convolution over the rows taken as channels, then one over the columns.

    As products of matrices, the same took the RVC2 compiler eleven seconds. Other modes stay.
    """
    given, x = attributes(node), node.input[0]
    if given.get("mode", "nearest") != "cubic":
        return
    before, after = emit.scope.fixed_shape(x), emit.scope.fixed_shape(node.output[0])
    if len(before) != 4 or before[:2] != after[:2] or "axes" in given:
        raise CannotRewriteError("it resizes more than height and width")
    rows, columns = (interpolation(node, axis, before, after, emit)[..., None, None] for axis in (2, 3))
    high = emit("Conv", emit("Transpose", x, perm=[0, 2, 1, 3]), rows)
    wide = emit("Conv", emit("Transpose", high, perm=[0, 3, 2, 1]), columns)
    emit("Transpose", wide, out=node.output[0], perm=[0, 2, 3, 1])


def interpolation(node: NodeProto, axis: int, before: tuple[int, ...], after: tuple[int, ...], emit: Emitter) -> Array:
    """The matrix (after, before) that resizes along `axis`: what onnxruntime makes of the unit vectors."""
    size = before[axis]
    single = helper.make_node("Resize", ["x", "roi", "scales"], ["y"])
    single.attribute.extend(node.attribute)
    constants = {"roi": np.zeros(0, np.float32), "scales": np.zeros(0, np.float32)}
    if argument(node, 2) and emit.scope.constant(node.input[2]).size:
        constants["scales"] = np.array([emit.scope.constant(node.input[2])[axis], 1], np.float32)
    else:
        constants["sizes"] = np.array([after[axis], size])
        single.input.append("sizes")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, size]) for name in ("x", "y")]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph([single], "interpolation", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", emit.scope.opset)], ir_version=8)
    try:
        return equality.run(model, {"x": np.eye(size, dtype=np.float32)})["y"]
    except PreparationFailed as error:
        raise CannotRewriteError(f"its interpolation cannot be computed: {error.message}") from error


# Tensors


def pad(node: NodeProto, emit: Emitter) -> None:
    """A Pad by negative amounts: a Slice, then a Pad by what is left; one of other than 3 or 4 axes: Pads of 3."""
    if not argument(node, 1):
        return
    pads = emit.scope.constant(node.input[1])
    crops = bool((pads < 0).any())
    rank = len(emit.scope.shape(node.input[0]))
    if not crops and rank in _PADDED_RANKS:
        return
    if (crops and attributes(node).get("mode", "constant") != "constant") or argument(node, 3):
        raise CannotRewriteError("a negative pad is only known in constant mode, over all axes")
    x, shape = node.input[0], np.array(emit.scope.fixed_shape(node.input[0]))
    if crops:
        begin, end = np.split(-np.minimum(pads, 0), 2)
        x, shape = emit("Slice", x, begin, shape - end, list(range(rank))), shape - end - begin
    pads = np.maximum(pads, 0)
    if rank in _PADDED_RANKS:
        emit("Pad", x, pads, *node.input[2:], out=node.output[0], **attributes(node))
    else:
        _pad_in_three_axes(x, shape, pads, node, emit)


def _pad_in_three_axes(x: str, shape: Array, pads: Array, node: NodeProto, emit: Emitter) -> None:
    """Axis by axis, the second of three: those before it are the first, and those behind it the last.

    What an edge or a mirror gives is gathered: OpenVINO mirrors nothing where another axis has one place alone.
    """
    sizes, mode = list(map(int, shape)), attributes(node).get("mode", "constant")
    for axis, (before, behind) in enumerate(zip(*np.split(pads, 2), strict=True)):
        if (before or behind) and mode != "constant":
            places = np.pad(np.arange(sizes[axis]), (before, behind), mode=mode)
            x = emit("Gather", x, places, axis=axis)
            sizes[axis] += int(before + behind)
        elif before or behind:
            joined = emit("Reshape", x, [math.prod(sizes[:axis]), sizes[axis], math.prod(sizes[axis + 1 :])])
            amounts = np.array([0, before, 0, 0, behind, 0], np.int64)
            x = emit("Pad", joined, amounts, *node.input[2:], mode=mode)
            sizes[axis] += int(before + behind)
    emit("Reshape", x, sizes, out=node.output[0])


# Quantization: whole numbers, held as floats


def quantize(node: NodeProto, emit: Emitter) -> None:
    """clip(round(x / scale) + zero point), to the range of the zero point's type, as floats."""
    scale, zero = _quantization(node, emit)
    limits = np.iinfo(emit.scope.dtype(node.input[2]) if argument(node, 2) else np.uint8)
    whole = emit("Add", emit("Round", emit("Div", node.input[0], scale)), zero)
    emit.clip(whole, limits.min, limits.max, out=node.output[0])


def dequantize(node: NodeProto, emit: Emitter) -> None:
    """(q - zero point) * scale; a constant is computed here."""
    scale, zero = _quantization(node, emit)
    try:
        known = emit.scope.constant(node.input[0])
    except CannotRewriteError:
        number = emit("Cast", node.input[0], to=TensorProto.FLOAT)
        emit("Mul", emit("Sub", number, zero), scale, out=node.output[0])
    else:
        emit("Identity", (known.astype(np.float32) - zero) * scale, out=node.output[0])


def _quantization(node: NodeProto, emit: Emitter) -> tuple[Array, Array]:
    scale = emit.scope.constant(node.input[1])
    zero = emit.scope.constant(node.input[2]) if argument(node, 2) else np.zeros_like(scale)
    if scale.ndim == 1:
        rank, axis = len(emit.scope.shape(node.input[0])), attributes(node).get("axis", 1)
        shape = [-1 if i == axis % rank else 1 for i in range(rank)]
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    elif scale.ndim:
        raise CannotRewriteError("it is quantized in blocks")
    return scale.astype(np.float32), zero.astype(np.float32)


# Experimental operators of opset 7 and before, which onnx cannot infer the shapes of


def affine(node: NodeProto, emit: Emitter) -> None:
    """alpha x + beta."""
    given = attributes(node)
    emit("Add", emit("Mul", node.input[0], given.get("alpha", 1.0)), given.get("beta", 0.0), out=node.output[0])


def image_scaler(node: NodeProto, emit: Emitter) -> None:
    """scale x + bias, with one bias for each channel of NCHW."""
    given = attributes(node)
    scaled = emit("Mul", node.input[0], given.get("scale", 1.0))
    emit("Add", scaled, np.array(given.get("bias", [0.0]), np.float32).reshape(-1, 1, 1), out=node.output[0])


def crop(node: NodeProto, emit: Emitter) -> None:
    """NCHW without a border of so many pixels: left, top, right, bottom; `scale` is the height and width kept."""
    given = attributes(node)
    left, top, right, bottom = given["border"]
    height, width = given.get("scale", [0, 0])
    rows = emit.cut(node.input[0], top, top + height if height else -bottom or END, 2)
    emit.cut(rows, left, left + width if width else -right or END, 3, out=node.output[0])
