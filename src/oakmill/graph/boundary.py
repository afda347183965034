"""The converted model's boundary where cameras feed it: channels last, pixels of 8 bits, no integers of 64 bits."""

from __future__ import annotations

import re
from collections.abc import Collection, MutableSequence, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from oakmill.graph.rewriting import CannotRewriteError, Scope
from oakmill.graph.skeleton import copy_of, dimensions, infer_shapes, source_inputs
from oakmill.model.pruning import reads

TO_LAST = (0, 2, 3, 1)
"""The permutation that brings NCHW to NHWC."""
TO_FIRST = (0, 3, 1, 2)
"""And back."""


def interleave(model: ModelProto, image_inputs: Collection[str], *, outputs: bool) -> ModelProto:
    """Put the channels last at the boundary: a copy, whose inputs and outputs keep their names.

    Args:
        model: with fixed shapes.
        image_inputs: inputs of layout NCHW, which become NHWC.
        outputs: whether float outputs of four dimensions become NHWC too.
    """
    model = copy_of(model)
    scope = Scope(model)
    for value in source_inputs(model):
        if value.name in image_inputs:
            inner = _behind_input(model, scope, value.name)
            model.graph.node.insert(0, _node(scope, "Transpose", value.name, inner, perm=TO_FIRST))
            _permute(value, TO_LAST)
    for value in model.graph.output if outputs else ():
        if len(dimensions(value.type.tensor_type) or ()) == 4 and _is_float(value):
            inner = _before_output(model, scope, value.name)
            model.graph.node.append(_node(scope, "Transpose", inner, value.name, perm=TO_LAST))
            _permute(value, TO_LAST)
    return infer_shapes(_forget_boundary(model))


def narrow_integers(model: ModelProto) -> ModelProto:
    """Make inputs and outputs of int64 int32, as devices take and give them; in place."""
    scope = Scope(model)
    for value in source_inputs(model):
        if value.type.tensor_type.elem_type == TensorProto.INT64:
            inner = _behind_input(model, scope, value.name)
            model.graph.node.insert(0, _node(scope, "Cast", value.name, inner, to=TensorProto.INT64))
            value.type.tensor_type.elem_type = TensorProto.INT32
    for value in model.graph.output:
        if value.type.tensor_type.elem_type == TensorProto.INT64:
            inner = _before_output(model, scope, value.name)
            model.graph.node.append(_node(scope, "Cast", inner, value.name, to=TensorProto.INT32))
            value.type.tensor_type.elem_type = TensorProto.INT32
    return infer_shapes(_forget_boundary(model))


def with_dimensions(model: ModelProto) -> tuple[ModelProto, list[str]]:
    """Give inputs that are a single number the shape [1], which archives and devices can have: a copy, and their names.

    The same model comes back where there is none. What computes with a tensor beside it takes it as it is; else it
    loses the dimension again.
    """
    single = [value.name for value in source_inputs(model) if dimensions(value.type.tensor_type) == ()]
    if not single:
        return model, []
    model = copy_of(model)
    scope = Scope(model)
    ranks = {name: len(scope.shape(name)) for node in model.graph.node for name in node.input if _has_rank(scope, name)}
    for value in source_inputs(model):
        if value.name in single:
            value.type.tensor_type.shape.dim.add().dim_value = 1
            inner = scope.fresh(f"{value.name}/inner")
            for node in model.graph.node:
                beside = [ranks.get(name, 0) for name in node.input if name != value.name]
                if node.op_type not in _BROADCASTING or not any(beside):
                    _replace(node.input, value.name, inner)
            if any(inner in reads(node) for node in model.graph.node):
                model.graph.node.insert(0, _node(scope, "Squeeze", value.name, inner))
    return infer_shapes(_forget_boundary(model)), single


_BROADCASTING = {
    "Add", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mul", "Pow",
    "Sub", "Sum", "Where",
}  # fmt: skip


def _has_rank(scope: Scope, name: str) -> bool:
    try:
        return bool(name) and len(scope.shape(name)) >= 0
    except CannotRewriteError:
        return False


def plain_names(model: ModelProto) -> dict[str, str]:
    """Give inputs and outputs names of letters, digits and underscores that begin with no digit; in place.

    QAIRT would rename the others itself: `a/b:0` to `a_b_0`, `683` to `_683`. Returns the old names by the new ones.
    """
    scope = Scope(model)
    values = [*source_inputs(model), *model.graph.output]
    given = {value.name for value in values}
    found: dict[str, str] = {}
    for value in values:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", value.name)
        plain = f"_{plain}" if plain[:1].isdigit() else plain
        if plain != value.name:
            plain = scope.fresh(plain) if plain in given else plain
            _rename(model.graph.node, value.name, plain)
        found[plain] = value.name
        value.name = plain
    return found


def pixels_of_8_bits(model: ModelProto, image_inputs: Collection[str]) -> ModelProto:
    """A copy whose inputs are uint8 of scale 1 and offset 0, dequantized first thing: for what is not quantized.

    A Cast would do on the host, but the device's firmware asks for an input that is a quantized number.
    """
    model = copy_of(model)
    scope = Scope(model)
    for value in source_inputs(model):
        if value.name in image_inputs:
            inner = _behind_input(model, scope, value.name)
            scale = scope.add_constant(np.array(1, np.float32), f"{value.name}/scale")
            zero = scope.add_constant(np.array(0, np.uint8), f"{value.name}/zero")
            model.graph.node.insert(0, _node(scope, "DequantizeLinear", value.name, inner, scale, zero))
            value.type.tensor_type.elem_type = TensorProto.UINT8
    return infer_shapes(model)


def fold_quantizers(model: ModelProto, image_inputs: Collection[str]) -> ModelProto:
    """Let images come in and outputs go out as the quantized numbers that the graph computes with; in place.

    Drops the QuantizeLinear behind each of the inputs `image_inputs`, and the DequantizeLinear that makes an output.
    """
    graph = model.graph
    types = {item.name: item.data_type for item in graph.initializer}
    for value in source_inputs(model):
        users = [node for node in graph.node if value.name in node.input]
        if value.name in image_inputs and len(users) == 1 and users[0].op_type == "QuantizeLinear":
            _rename(graph.node, users[0].output[0], value.name)
            value.type.tensor_type.elem_type = types[users[0].input[2]]
            graph.node.remove(users[0])
    makers = {name: node for node in graph.node for name in node.output}
    for value in graph.output:
        maker = makers.get(value.name)
        if maker is None or maker.op_type != "DequantizeLinear" or maker.input[0] not in makers:
            continue
        stored, kind = maker.input[0], types[maker.input[2]]
        if any(value.name in node.input for node in graph.node):  # others read the float: they keep a copy of it
            inner = f"{value.name}/dequantized"
            _rename([node for node in graph.node if node is not maker], value.name, inner)
            maker.output[0] = inner
        else:
            graph.node.remove(maker)
        _rename(graph.node, stored, value.name)
        value.type.tensor_type.elem_type = kind
    del graph.value_info[:]
    return model


def encoding_of(model: ModelProto, name: str) -> tuple[float, int] | None:
    """Scale and zero point of an input or output that `fold_quantizers` left quantized: real = scale (stored - zero).

    None where it is not quantized.
    """
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        quantizes = node.op_type == "QuantizeLinear" and name in node.output
        dequantizes = node.op_type == "DequantizeLinear" and node.input[0] == name
        if quantizes or dequantizes:
            scale, zero = (numpy_helper.to_array(constants[item]) for item in node.input[1:3])
            return float(scale), int(zero)
    return None


def _forget_boundary(model: ModelProto) -> ModelProto:
    """Drop what was noted of inputs and outputs beside their declaration: it is of the time before; in place."""
    declared = {value.name for value in (*model.graph.input, *model.graph.output)}
    for index in reversed(range(len(model.graph.value_info))):
        if model.graph.value_info[index].name in declared:
            del model.graph.value_info[index]
    return model


def _behind_input(model: ModelProto, scope: Scope, name: str) -> str:
    """Let all that reads an input read another tensor, whose name is returned."""
    inner = scope.fresh(f"{name}/inner")
    for node in model.graph.node:
        _replace(node.input, name, inner)
    return inner


def _before_output(model: ModelProto, scope: Scope, name: str) -> str:
    """Let what makes an output make another tensor, whose name is returned."""
    inner = scope.fresh(f"{name}/inner")
    _rename(model.graph.node, name, inner)
    return inner


def _rename(nodes: Sequence[NodeProto], old: str, new: str) -> None:
    for node in nodes:
        _replace(node.input, old, new)
        _replace(node.output, old, new)


def _replace(names: MutableSequence[str], old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new


def _node(scope: Scope, op: str, source: str, target: str, *operands: str, **attributes: Any) -> NodeProto:
    """A node named like none that there is: exporters call nodes like their outputs, and onnxruntime refuses twins."""
    return helper.make_node(op, [source, *operands], [target], name=scope.fresh(f"{target}/{op}"), **attributes)


def _permute(value: ValueInfoProto, order: Sequence[int]) -> None:
    kind = value.type.tensor_type
    sizes = [kind.shape.dim[index].dim_value for index in order]
    value.CopyFrom(helper.make_tensor_value_info(value.name, kind.elem_type, sizes))


def _is_float(value: ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
