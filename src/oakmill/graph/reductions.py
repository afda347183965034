"""Reductions of several rows of rows, in a form that OpenVINO 2022.2's CPU plugin computes rightly.

It joins a reduction with the constant that is added to it or multiplied behind it, and of three axes, of which the
first is kept and larger than 1, it does so for the first rows only: a norm's epsilon was missing in all others, and a
row of zeros was no number. Of four axes it is right.
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto

from oakmill.graph.rewriting import Emitter, Scope, or_leave, reduced_axes, rewrite
from oakmill.graph.skeleton import copy_of, infer_shapes

_OPS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
)  # fmt: skip


def in_four_axes(model: ModelProto) -> ModelProto:
    """A copy in which reductions of three axes that keep the first, of more than one place, are of four; the same
    model where there are none."""
    if not any(node.op_type in _OPS for node in model.graph.node):
        return model
    result = copy_of(model)
    rewrite(result, dict.fromkeys(_OPS, or_leave(_in_four_axes)), Scope(result))
    changed = len(result.graph.node) != len(model.graph.node)
    return infer_shapes(result) if changed else model


def _in_four_axes(node: NodeProto, emit: Emitter) -> None:
    shape = emit.scope.fixed_shape(node.input[0])
    axes, stay = reduced_axes(node, emit.scope)
    if len(shape) != 3 or shape[0] == 1 or 0 in axes or not axes:
        return
    wide = emit("Reshape", node.input[0], [1, *shape])
    moved = [axis + 1 for axis in axes]
    found = emit.reduced(node.op_type, wide, moved)
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    wanted = kept if stay else [size for axis, size in enumerate(shape) if axis not in axes]
    emit("Reshape", found, wanted, out=node.output[0])
