"""From the first opsets, 1 to 6, to opset 7: the first that onnxruntime runs, and so the first that can be proved.

onnx's own converter needs shapes that it cannot infer there, and puts the broadcast axis of an Add in the wrong place.
The rules are those of onnx's Changelog.md, where each operator tells what its versions meant.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, defs, helper

from oakmill.graph.rewriting import (
    STANDARD_DOMAINS,
    CannotRewriteError,
    Emitter,
    Rewrite,
    Scope,
    attributes,
    rewrite,
    set_attributes,
)
from oakmill.graph.skeleton import all_graphs, copy_of, opset_version

SEVEN = 7
_IR_OF_CONSTANTS = 4  # the IR version from which an initializer need not be an input


def to_seven(model: ModelProto) -> ModelProto:
    """A copy in opset 7 of a model in one of the first six; others, and those with a node of no rule, as they are."""
    if opset_version(model) >= SEVEN:
        return model
    raised = copy_of(model)
    for graph in all_graphs(raised.graph):
        for node in graph.node:
            set_attributes(node, "consumed_inputs")  # which never meant anything
    try:
        rewrite(raised, REWRITES, Scope(raised, opset=SEVEN))
    except CannotRewriteError:
        return model
    if not all(_is_known(node) for graph in all_graphs(raised.graph) for node in graph.node):
        return model
    others = [item for item in raised.opset_import if item.domain not in STANDARD_DOMAINS]
    del raised.opset_import[:]
    raised.opset_import.extend([helper.make_opsetid("", SEVEN), *others])
    raised.ir_version = max(raised.ir_version, _IR_OF_CONSTANTS)
    return raised


def _is_known(node: NodeProto) -> bool:
    if node.domain not in STANDARD_DOMAINS:
        return True
    if not defs.has(node.op_type, SEVEN, ""):
        return False
    known = defs.get_schema(node.op_type, SEVEN, "").attributes
    return all(item.name in known for item in node.attribute)


def _broadcast(node: NodeProto, emit: Emitter) -> None:
    """The second operand lay at `axis` of the first, and was repeated over what is behind it."""
    given = attributes(node)
    set_attributes(node, "axis", "broadcast")
    if given.get("broadcast", 0) and "axis" in given:
        rank, shape = len(emit.scope.shape(node.input[0])), emit.scope.fixed_shape(node.input[1])
        behind = rank - given["axis"] % rank - len(shape)
        if behind:
            spread = emit("Reshape", node.input[1], [*shape, *[1] * behind])
            emit(node.op_type, node.input[0], spread, out=node.output[0])


def _batch_normalization(node: NodeProto, emit: Emitter) -> None:
    given = attributes(node)
    if not given.get("spatial", 1) or len([name for name in node.output if name]) > 1:
        raise CannotRewriteError("it normalizes each place by itself, or trains")
    set_attributes(node, "is_test", "spatial")


def _prelu(node: NodeProto, emit: Emitter) -> None:
    """One slope for each channel."""
    rank, slopes = len(emit.scope.shape(node.input[0])), emit.scope.fixed_shape(node.input[1])
    if len(slopes) == 1 and slopes[0] > 1 and rank > 2:
        spread = emit("Reshape", node.input[1], [slopes[0], *[1] * (rank - 2)])
        emit("PRelu", node.input[0], spread, out=node.output[0])


def _reshape(node: NodeProto, emit: Emitter) -> None:
    shape = attributes(node).get("shape")
    if shape is not None:
        set_attributes(node, "shape")
        node.input.append(emit.scope.add_constant(np.array(shape, np.int64), f"{node.output[0]}/shape"))


def _cast(node: NodeProto, emit: Emitter) -> None:
    to = attributes(node)["to"]
    if isinstance(to, str):
        set_attributes(node, to=TensorProto.DataType.Value(to.upper()))


def _pad(node: NodeProto, emit: Emitter) -> None:
    given = attributes(node)
    if "paddings" in given:
        set_attributes(node, "paddings", pads=given["paddings"])


def _upsample(node: NodeProto, emit: Emitter) -> None:
    given = attributes(node)
    if "height_scale" in given:
        mode = {"bilinear": "linear"}.get(given.get("mode", "nearest"), given.get("mode", "nearest"))
        scales = [1.0, 1.0, given["height_scale"], given["width_scale"]]
        set_attributes(node, "height_scale", "width_scale", mode=mode, scales=scales)


def _concat(node: NodeProto, emit: Emitter) -> None:
    set_attributes(node, axis=attributes(node).get("axis", 1))


def _drop(*names: str) -> Rewrite:
    return lambda node, emit: set_attributes(node, *names)


_TWO_OPERANDS = ("Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor")
REWRITES: Mapping[str, Rewrite] = {
    **dict.fromkeys(_TWO_OPERANDS, _broadcast),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Concat": _concat,
    "Dropout": _drop("is_test"),
    "Gemm": _drop("broadcast"),
    "PRelu": _prelu,
    "Pad": _pad,
    "Reshape": _reshape,
    "Upsample": _upsample,
}
