"""Selecting and scattering by constant indices, written as a Gather, a product or a sum; one function each.

What an operator makes of numbered elements, of unit vectors, of zeros and of ones says all of it; onnxruntime computes
these. Compilers lack ScatterND and GridSample, or read indices from the end otherwise than ONNX does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from oakmill.errors import PreparationFailed
from oakmill.graph import equality
from oakmill.graph.rewriting import Array, CannotRewriteError, Emitter, Rewrite, attributes, or_leave

_MOST_FACTORS = 1 << 22
"""Numbers in a constant matrix: 8 MB in FP16."""
_MOST_NUMBERED = 1 << 24
"""Whole numbers that float32 tells apart."""


def scatter(node: NodeProto, emit: Emitter) -> None:
    """Of data and updates, one after the other: those that come to stand at each place.

    With a reduction and constant updates each place is a d + b, or the larger or smaller of d and b where it has one.
    """
    data, _, updates = node.input
    reduction = attributes(node).get("reduction", "none")
    shape, more = emit.scope.fixed_shape(data), emit.scope.fixed_shape(updates)
    emit.scope.constant(node.input[1])
    if reduction in ("max", "min"):
        limit = np.float32(-np.inf if reduction == "max" else np.inf)
        values = emit.scope.constant(updates).astype(np.float32)
        bound = _computed(node, emit, [np.full(shape, limit), values])
        is_bound = bound != limit
        # No place holds the limit itself: whole numbers have none, and 8 bits would hold nothing beside it.
        limited = emit(reduction.title(), data, _typed(np.where(is_bound, bound, 0), data, emit))
        emit("Where", is_bound, limited, data, out=node.output[0])
    elif reduction != "none":
        values = emit.scope.constant(updates).astype(np.float32)
        offset, sums = (_computed(node, emit, [np.full(shape, one, np.float32), values]) for one in (0, 1))
        scaled = emit("Mul", data, _typed(sums - offset, data, emit))
        emit("Add", scaled, _typed(offset, data, emit), out=node.output[0])
    else:
        count, size = math.prod(shape), math.prod(more)
        if count + size > _MOST_NUMBERED:
            raise CannotRewriteError("it has too many elements to number them")
        numbered = np.arange(count + size, dtype=np.float32)
        places = _computed(node, emit, [numbered[:count].reshape(shape), numbered[count:].reshape(more)])
        flat = [emit("Reshape", name, np.array([-1], np.int64)) for name in (data, updates)]
        chosen = emit("Gather", emit("Concat", *flat, axis=0), places.ravel().astype(np.int64), axis=0)
        emit("Reshape", chosen, np.array(shape, np.int64), out=node.output[0])


def reduction(node: NodeProto, emit: Emitter) -> None:
    """As above, where there is one; others stay."""
    if attributes(node).get("reduction", "none") != "none":
        scatter(node, emit)


def grid_sample(node: NodeProto, emit: Emitter) -> None:
    """A product with a matrix for each image of the batch: what is made of each pixel alone. The nearest: a Gather."""
    x, shape = node.input[0], emit.scope.fixed_shape(node.input[0])
    grid = emit.scope.constant(node.input[1])
    before, after = math.prod(shape[2:]), math.prod(grid.shape[1:-1])
    if attributes(node).get("mode", "linear") == "nearest" and (grid == grid[:1]).all():
        _nearest(node, emit, shape, grid)
        return
    if shape[0] * before * after > _MOST_FACTORS:
        raise CannotRewriteError("its grid is too large for a constant matrix")
    pixels = np.eye(before, dtype=np.float32).reshape(1, before, *shape[2:])
    matrices = [_run(node, emit, {"0": pixels, "1": one[None].astype(np.float32)}) for one in grid]
    flat = emit("Reshape", x, np.array([*shape[:2], before], np.int64))
    sampled = emit("MatMul", flat, np.concatenate(matrices).reshape(-1, before, after))
    emit("Reshape", sampled, np.array([*shape[:2], *grid.shape[1:-1]], np.int64), out=node.output[0])


def _nearest(node: NodeProto, emit: Emitter, shape: tuple[int, ...], grid: Array) -> None:
    """The pixels at these places, the same of each image; 0 where a place is outside."""
    before = math.prod(shape[2:])
    if before >= _MOST_NUMBERED:
        raise CannotRewriteError("it has too many pixels to number them")
    numbered = np.arange(1, before + 1, dtype=np.float32).reshape(1, 1, *shape[2:])
    places = _run(node, emit, {"0": numbered, "1": grid[:1].astype(np.float32)}).ravel().astype(np.int64)
    flat = emit("Reshape", node.input[0], np.array([*shape[:2], before], np.int64))
    chosen = emit("Gather", flat, np.maximum(places - 1, 0), axis=2)
    if not places.all():
        chosen = emit("Mul", chosen, (places > 0).astype(np.float32))
    emit("Reshape", chosen, np.array([*shape[:2], *grid.shape[1:-1]], np.int64), out=node.output[0])


def _computed(node: NodeProto, emit: Emitter, values: list[Array]) -> Array:
    """What a scattering makes of data and updates."""
    return _run(node, emit, {"0": values[0], "1": emit.scope.constant(node.input[1]), "2": values[1]})


def _run(node: NodeProto, emit: Emitter, feeds: Mapping[str, Array]) -> Array:
    is_grid = node.op_type == "GridSample"
    single = helper.make_node({"Scatter": "ScatterElements"}.get(node.op_type, node.op_type), list(feeds), ["y"])
    single.attribute.extend(node.attribute)
    graph = helper.make_graph(
        [single], "one", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ascontiguousarray(values), name) for name, values in feeds.items()],
    )  # fmt: skip
    # Reductions by max came with opset 18, volumes and other names of modes with opset 20.
    named = is_grid and attributes(node).get("mode", "bilinear").startswith("bi") and len(feeds["0"].shape) == 4
    opset = (16 if named else 20) if is_grid else 18
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    try:
        return equality.run(model, {})["y"]
    except PreparationFailed as error:
        raise CannotRewriteError(f"it cannot be computed: {error.message}") from error


def _typed(values: Array, like: str, emit: Emitter) -> str:
    """A constant of the type of another tensor."""
    return emit.scope.add_constant(values.astype(emit.scope.dtype(like)), f"{emit.node.output[0]}/scattered")


SCATTERING: Mapping[str, Rewrite] = {
    "GridSample": grid_sample,
    "Scatter": or_leave(scatter),
    "ScatterElements": or_leave(scatter),
    "ScatterND": scatter,
}
"""For a compiler without GridSample and ScatterND."""
