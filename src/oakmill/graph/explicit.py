"""Writing out what an operator leaves to its reader: pads that follow from shapes, axes that old Softmaxes join, ends
that indices count from, the last state of a sequence.

Compilers read these differently, or wrongly: OpenVINO 2022.2 ignores a ConvTranspose's `output_shape`, takes a
Softmax of opset 11 along one axis, and a PRelu's slopes of the last axis for channels'; it and Qualcomm's library read
elsewhere in memory where an index is below 0. With numbers in their place, there is nothing to misread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, helper

from oakmill.graph.recurrent import last_of_all
from oakmill.graph.rewriting import (
    STANDARD_DOMAINS,
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
from oakmill.graph.skeleton import all_graphs, copy_of, infer_shapes, opset_version
from oakmill.model.pruning import reads

LOWEST = -65504.0
"""The lowest number of FP16, in which RVC2 computes: no activation there is below it."""

_SOFTMAX_OF_ONE_AXIS = 13  # the opset from which Softmax, LogSoftmax and Hardmax are of one axis
_RESHAPE_BY_INPUT = 5
_SAME = ("SAME_UPPER", "SAME_LOWER")


def write_out(model: ModelProto, *, compares_whole: bool = True) -> ModelProto:
    """Put numbers in the place of `auto_pad` and `output_shape`, flatten for old Softmaxes, count indices of elements
    from the front, take an LSTM's last state from all of its steps where these are not read, say a PRelu's slopes for
    all axes, and join a Pad of -inf to
    the MaxPool that it is for; a copy, if there is any. Where shapes are
    open, nodes stay as they are.

    Args:
        model: with fixed shapes, where they are known.
        compares_whole: whether the compiler compares whole numbers; else floats are counted with.
    """
    nodes = [node for graph in all_graphs(model.graph) for node in graph.node if node.domain in STANDARD_DOMAINS]
    padded = {node.output[0] for node in nodes if node.op_type == "Pad"}
    pooled = any(node.op_type == "MaxPool" and node.input[0] in padded for node in nodes)
    if not pooled and not any(_is_implicit(node, opset_version(model)) for node in nodes):
        return model
    model = copy_of(model)
    scope = Scope(model)
    counted = dict.fromkeys(_OF_ELEMENTS, _from_the_front if compares_whole else _from_the_front_in_floats)
    rewrite(model, {op: or_leave(step) for op, step in {**REWRITES, **counted}.items()}, scope)
    _join_pads(model, scope)
    return infer_shapes(model)


def _is_implicit(node: NodeProto, opset: int) -> bool:
    if node.op_type in _SOFTMAXES:
        return opset < _SOFTMAX_OF_ONE_AXIS
    if node.op_type in _OF_ELEMENTS:
        return True
    if node.op_type == "LSTM":
        return len(node.output) > 1
    if node.op_type == "PRelu":
        return True
    given = attributes(node)
    pads = "output_shape" in given or given.get("auto_pad", "NOTSET") != "NOTSET" or given.get("ceil_mode", 0)
    return node.op_type in REWRITES and bool(pads)


# Pads


@dataclass(frozen=True)
class _Window:
    """How a kernel moves over the spatial axes; one number an axis in each."""

    sizes: Sequence[int]
    extents: Sequence[int]
    strides: Sequence[int]

    @classmethod
    def of(cls, node: NodeProto, scope: Scope) -> _Window:
        given = attributes(node)
        sizes = scope.fixed_shape(node.input[0])[2:]
        kernel = given.get("kernel_shape") or scope.fixed_shape(node.input[1])[2:]
        steps = given.get("dilations") or [1] * len(sizes)
        extents = [(size - 1) * step + 1 for size, step in zip(kernel, steps, strict=True)]
        return cls(sizes, extents, given.get("strides") or [1] * len(sizes))


def _pads(node: NodeProto, emit: Emitter) -> None:
    """SAME pads so that each stride has its output; where the number is uneven, one end gets more."""
    mode = attributes(node).get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        if attributes(node).get("ceil_mode", 0):
            _without_empty_windows(node, emit)
        return
    if mode not in _SAME:
        set_attributes(node, "auto_pad", "pads")  # VALID, and none is what is not said
        return
    window = _Window.of(node, emit.scope)
    if max(attributes(node).get("dilations") or [1]) > 1:
        raise CannotRewriteError("onnxruntime, which has the last word here, knows no SAME of dilated windows")
    totals = [
        max((math.ceil(size / stride) - 1) * stride + extent - size, 0)
        for size, extent, stride in zip(window.sizes, window.extents, window.strides, strict=True)
    ]
    set_attributes(node, "auto_pad", "ceil_mode", pads=_halves(totals, first_less=mode == "SAME_UPPER"))


def _without_empty_windows(node: NodeProto, emit: Emitter) -> None:
    """Sizes rounded up, but no window that begins behind the values: ONNX has none there, OpenVINO 2022.2 has."""
    given, window = attributes(node), _Window.of(node, emit.scope)
    axes = len(window.sizes)
    begin, end = np.split(np.array(given.get("pads") or [0] * 2 * axes), 2)
    sizes, extents, strides = map(np.array, (window.sizes, window.extents, window.strides))
    most = -(-(sizes + begin + end - extents) // strides)
    last = np.where(most * strides >= sizes + begin, most - 1, most)
    if (last == most).all():
        return
    ends = np.maximum(last * strides + extents - sizes - begin, 0)
    if given.get("count_include_pad", 0) and (ends > end).any():
        raise CannotRewriteError("padding that is counted would be more")
    set_attributes(node, "ceil_mode", pads=[*begin.tolist(), *ends.tolist()])


def _transposed_pads(node: NodeProto, emit: Emitter) -> None:
    """As many pads as `output_shape` or SAME take off; what is asked beyond, `output_padding` adds.

    By the formulas of ConvTranspose in onnx's Operators.md.
    """
    given = attributes(node)
    mode, asked = given.get("auto_pad", "NOTSET"), given.get("output_shape")
    if not asked and mode not in _SAME:
        if mode == "VALID":
            set_attributes(node, "auto_pad", "pads")
        return
    window = _Window.of(node, emit.scope)
    plain = [a * b for a, b in zip(window.sizes, window.strides, strict=True)]
    wanted = list(asked)[-len(plain) :] if asked else plain
    added = given.get("output_padding") or [0] * len(plain)
    sides = zip(window.sizes, window.strides, window.extents, added, wanted, strict=True)
    over = [stride * (size - 1) + more + extent - out for size, stride, extent, more, out in sides]
    added = [more + max(-total, 0) for more, total in zip(added, over, strict=True)]
    reach = map(max, window.strides, window.extents)
    if any(a >= b for a, b in zip(added, reach, strict=True)) or (min(over) < 0 and not asked):
        raise CannotRewriteError("it asks for more than a stride adds")
    pads = _halves([max(total, 0) for total in over], first_less=mode == "SAME_UPPER")
    set_attributes(node, "auto_pad", "output_shape", pads=pads, output_padding=added)


def _halves(totals: Sequence[int], *, first_less: bool) -> list[int]:
    """Pads before all axes, then behind all."""
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return [*less, *more] if first_less else [*more, *less]


# Resize


def write_axes(model: ModelProto) -> ModelProto:
    """Give each Resize of some axes its scales or sizes for all: a copy, if there is any; for before the simplifier.

    onnxslim, which reads a scale for each axis, failed on the whole model otherwise.
    """
    nodes = (node for graph in all_graphs(model.graph) for node in graph.node)
    if not any(node.op_type == "Resize" and "axes" in attributes(node) for node in nodes):
        return model
    model = copy_of(model)
    return infer_shapes(rewrite(model, {"Resize": or_leave(resize_all_axes)}, Scope(model)))


def resize_all_axes(node: NodeProto, emit: Emitter) -> None:
    """Scales or sizes for some axes become those for all.

    Raises:
        CannotRewriteError: it crops, or keeps an aspect ratio, along those axes only; or its shape is not known.
    """
    given = attributes(node)
    if "axes" not in given:
        return
    if given.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise CannotRewriteError("it crops along some axes only")
    if argument(node, 3) and given.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise CannotRewriteError(f"keep_aspect_ratio_policy is {given['keep_aspect_ratio_policy']!r}")
    shape = emit.scope.fixed_shape(node.input[0])
    for index, full in ((2, np.ones(len(shape), np.float32)), (3, np.array(shape))):
        if argument(node, index):
            full[given["axes"]] = emit.scope.constant(node.input[index])
            node.input[index] = emit.scope.add_constant(full, f"{node.name or node.output[0]}/all-axes")
    set_attributes(node, "axes")


# Softmax


def _flattened(node: NodeProto, emit: Emitter) -> None:
    """Before opset 13, all axes from `axis` on are one."""
    if not _RESHAPE_BY_INPUT <= emit.scope.opset < _SOFTMAX_OF_ONE_AXIS:
        return
    shape = emit.scope.fixed_shape(node.input[0])
    axis = attributes(node).get("axis", 1) % max(len(shape), 1)
    if math.prod(shape[axis + 1 :]) == 1:
        return
    flat = emit("Reshape", node.input[0], [math.prod(shape[:axis]), math.prod(shape[axis:])])
    made = emit(node.op_type, flat, axis=1)
    emit("Reshape", made, list(shape), out=node.output[0])


# Indices


def _slopes_of_all_axes(node: NodeProto, emit: Emitter) -> None:
    """Slopes of one axis are of the last; written for all axes, nobody takes them for those of channels."""
    rank, slopes = len(emit.scope.fixed_shape(node.input[0])), emit.scope.constant(node.input[1])
    if slopes.ndim == 1 and slopes.size > 1 and rank > 2:
        emit("PRelu", node.input[0], slopes.reshape([1] * (rank - 1) + [-1]), out=node.output[0])


def _from_the_front(node: NodeProto, emit: Emitter) -> None:
    """index + size where the index is below 0; constants are written so, the others computed.

    In whole numbers: floats between would get 8 bits in a quantized graph.
    """
    indices = node.input[1]
    if (size := _counted_size(node, emit.scope)) is None:
        return
    dtype = emit.scope.dtype(indices)
    below = emit("Cast", emit("Less", indices, np.array(0, dtype)), to=helper.np_dtype_to_tensor_dtype(dtype))
    _select_by(emit("Add", indices, emit("Mul", below, np.array(size, dtype))), node, emit)


def _from_the_front_in_floats(node: NodeProto, emit: Emitter) -> None:
    """The same for RVC2, which compares no integers; FP16 holds whole numbers up to 2048."""
    scope, indices = emit.scope, node.input[1]
    if (size := _counted_size(node, scope)) is None:
        return
    if size > _WHOLE_IN_HALF:
        raise CannotRewriteError("FP16 does not hold each of its indices")
    data = scope.dtype(node.input[0])
    real = emit("Cast", indices, to=helper.np_dtype_to_tensor_dtype(data if data.kind == "f" else np.dtype("f4")))
    below = emit.clip(emit("Neg", real), 0, 1)
    whole = helper.np_dtype_to_tensor_dtype(scope.dtype(indices))
    _select_by(emit("Cast", emit("Add", real, emit("Mul", below, float(size))), to=whole), node, emit)


def _counted_size(node: NodeProto, scope: Scope) -> int | None:
    """How many elements computed indices count; None where they need no counting, as constants once written do not."""
    indices = node.input[1]
    axis: int = attributes(node).get("axis", 0)
    size = scope.fixed_shape(node.input[0])[axis]
    if _is_from_the_front(indices, scope):
        return None
    if not scope.is_constant(indices):
        return size
    known = scope.constant(indices)
    if (known < 0).any():
        node.input[1] = scope.add_constant(np.where(known < 0, known + size, known), f"{indices}/from-the-front")
    return None


def _select_by(indices: str, node: NodeProto, emit: Emitter) -> None:
    emit(node.op_type, node.input[0], indices, *node.input[2:], out=node.output[0], **attributes(node))


def _is_from_the_front(name: str, scope: Scope) -> bool:
    """Whether a tensor comes of an operator that counts so, moved or not."""
    maker = next((node for node in scope.graph.node if name in node.output), None)
    if maker is None:
        return False
    moved = maker.op_type in _MOVES and _is_from_the_front(maker.input[0], scope)
    return moved or maker.op_type in _COUNTS


_SOFTMAXES = ("Softmax", "LogSoftmax", "Hardmax")
_OF_ELEMENTS = ("GatherElements", "ScatterElements")
_COUNTS = ("ArgMax", "ArgMin", "NonZero", "TopK")
_MOVES = ("Cast", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze")
_WHOLE_IN_HALF = 2048
REWRITES: Mapping[str, Rewrite] = {
    "AveragePool": _pads,
    "Conv": _pads,
    "ConvTranspose": _transposed_pads,
    **dict.fromkeys(_OF_ELEMENTS, _from_the_front),
    "LSTM": last_of_all,
    "LpPool": _pads,
    "MaxPool": _pads,
    "PRelu": _slopes_of_all_axes,
    **dict.fromkeys(_SOFTMAXES, _flattened),
}


# Pad before MaxPool


def _join_pads(model: ModelProto, scope: Scope) -> None:
    """Pads by -inf, which TensorFlow's exporters write for its "same" pooling, and compilers refuse."""
    outputs = {value.name for value in model.graph.output}
    for pad in [node for node in model.graph.node if node.op_type == "Pad"]:
        readers = [node for node in model.graph.node if pad.output[0] in reads(node)]
        if pad.output[0] in outputs or not readers or any(node.op_type != "MaxPool" for node in readers):
            continue
        try:
            pads, value = _of_pad(pad, scope)
        except CannotRewriteError:
            continue
        if value > LOWEST:
            continue
        if all(_takes(pool, pads) for pool in readers):
            for pool in readers:
                _join(pool, pad, pads)
            model.graph.node.remove(pad)
        elif math.isinf(value):
            _write_lowest(pad, scope)


def _of_pad(pad: NodeProto, scope: Scope) -> tuple[list[int], float]:
    """The pads of the spatial axes, and the value.

    Raises:
        CannotRewriteError: they are computed, of other axes, negative, or no constant is what it pads with.
    """
    given = attributes(pad)
    pads = scope.constant(pad.input[1]).tolist() if argument(pad, 1) else list(given.get("pads", ()))
    value = float(scope.constant(pad.input[2]).item()) if argument(pad, 2) else float(given.get("value", 0.0))
    rank = len(pads) // 2
    others = (*pads[:2], *pads[rank : rank + 2])
    if given.get("mode", "constant") != "constant" or argument(pad, 3) or any(others) or min(pads, default=-1) < 0:
        raise CannotRewriteError("it is no plain padding of the spatial axes")
    return [*pads[2:rank], *pads[rank + 2 :]], value


def _takes(pool: NodeProto, pads: Sequence[int]) -> bool:
    """Whether the pool's own pads can be these too: fewer than its kernel, as its definition asks."""
    given = attributes(pool)
    kernel = given["kernel_shape"]
    total = [a + b for a, b in zip(pads, given.get("pads") or [0] * len(pads), strict=True)]
    plain = len([name for name in pool.output if name]) == 1 and not given.get("ceil_mode", 0)
    return (
        plain
        and given.get("auto_pad", "NOTSET") == "NOTSET"
        and all(a < b for a, b in zip(total, [*kernel, *kernel], strict=True))
    )


def _join(pool: NodeProto, pad: NodeProto, pads: Sequence[int]) -> None:
    own = attributes(pool).get("pads") or [0] * len(pads)
    pool.input[0] = pad.input[0]
    set_attributes(pool, pads=[a + b for a, b in zip(pads, own, strict=True)])


def _write_lowest(pad: NodeProto, scope: Scope) -> None:
    if argument(pad, 2):
        dtype = scope.dtype(pad.input[2])
        pad.input[2] = scope.add_constant(np.array(LOWEST, dtype), f"{pad.name or pad.output[0]}/lowest")
    else:
        set_attributes(pad, value=LOWEST)
