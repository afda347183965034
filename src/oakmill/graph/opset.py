"""Bringing a model to an opset that a compiler reads rightly.

OpenVINO 2022.2 takes a newer model without complaint and misreads it: a ReduceMean of opset 18, whose axes are an
input, reduces over all axes. onnx's own version converter has no adapter for Split-18 or LayerNormalization-17 and
parses all weights once more, so the steps down are a table here. A last check holds every node against its definition
at the target: what the table does not know is refused, never passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx.inliner
import onnx.version_converter
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from onnx import ModelProto, NodeProto, TensorProto, defs, helper
from onnx.shape_inference import InferenceError

from oakmill.errors import UnsupportedOpset
from oakmill.graph import elementary, scattering
from oakmill.graph.explicit import resize_all_axes
from oakmill.graph.folding import constants_as_initializers
from oakmill.graph.naming import name_nodes
from oakmill.graph.rewriting import (
    STANDARD_DOMAINS,
    CannotRewriteError,
    Emitter,
    Rewrite,
    Scope,
    argument,
    attributes,
    describe,
    rewrite,
    set_attributes,
)
from oakmill.graph.skeleton import all_graphs, copy_of, infer_shapes, opset_version, skeleton

TARGET = 16
_NAMED = 3  # functions in a message
_IR_OF_CONSTANTS = 4  # the IR version from which an initializer need not be an input
_TARGET_IR = 8  # the IR version that came with opset 16
_TARGET_TYPES = TensorProto.BFLOAT16  # types with higher numbers (float 8, int 4) came later
_RESIZE_BY_COORDINATES = 11  # the opset that gave Resize its coordinate_transformation_mode
_REMEDY = "Export the model with opset 16 or lower."


def raise_opset(model: ModelProto, lowest: int) -> ModelProto:
    """Bring the model up to the opset `lowest` if it is below: a copy, by onnx's own converter.

    The converter makes a Constant of each attribute that became an input: these are made initializers. And it leaves
    out where a Resize before opset 11 takes its values from, which the default of later opsets does not say. Of an IR
    version before 4 it asks that weights are inputs too, which runtimes do not.

    Raises:
        UnsupportedOpset: the converter knows no way; the message has its words.
    """
    version = opset_version(model)
    if version >= lowest:
        return model
    if model.ir_version < _IR_OF_CONSTANTS:
        model = copy_of(model)
        model.ir_version = _IR_OF_CONSTANTS
    try:
        raised = onnx.version_converter.convert_version(model, lowest)
    except (RuntimeError, ValueError, EncodeError, onnx.onnx_cpp2py_export.version_converter.ConvertError) as error:
        raise UnsupportedOpset(
            f"The model has opset {version}, and cannot be brought to {lowest}: {error}",
            remedy=f"Export the model with opset {lowest} or above.",
        ) from error
    name_nodes(raised)
    if version < _RESIZE_BY_COORDINATES:
        _resize_as_before(raised)
    return infer_shapes(constants_as_initializers(raised))


def _resize_as_before(model: ModelProto) -> None:
    """Upsample of opset 9 and Resize of opset 10 divide an output's index by the scale, and nearest takes the floor."""
    for graph in all_graphs(model.graph):
        for node in graph.node:
            if node.op_type == "Resize" and node.domain in STANDARD_DOMAINS:
                set_attributes(node, coordinate_transformation_mode="asymmetric")
                if attributes(node).get("mode", "nearest") == "nearest":
                    set_attributes(node, nearest_mode="floor")


def lower_opset(model: ModelProto, highest: int = TARGET) -> ModelProto:
    """Bring the model to opset 16 if it is above `highest` (16 or more): a copy; others come back as they are.

    Functions, the model's own and those of the standard that came after opset 16, are replaced by their bodies.

    Raises:
        UnsupportedOpset: the model's opset is newer than onnx, or a node cannot be expressed at opset 16; the
            message names it.
    """
    version = opset_version(model)
    if version > defs.onnx_opset_version():
        raise UnsupportedOpset(
            f"The model has opset {version}; the newest that exists here is {defs.onnx_opset_version()}.",
            remedy=_REMEDY,
        )
    model = inline_functions(model, highest)
    if version <= max(highest, TARGET):
        return model
    model = copy_of(model)
    try:
        rewrite(model, REWRITES, Scope(model, opset=TARGET))
    except CannotRewriteError as error:
        raise _refusal(version, str(error), error.node) from error
    _set_opset(model)
    _check(model, version)
    return infer_shapes(model)


def _refusal(version: int, reason: str, node: str) -> UnsupportedOpset:
    message = f"The model cannot be brought from opset {version} to {TARGET}: {reason}."
    return UnsupportedOpset(message, subject=node, remedy=_REMEDY)


def _set_opset(model: ModelProto) -> None:
    others = [item for item in model.opset_import if item.domain not in STANDARD_DOMAINS]
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", TARGET), *others])
    model.ir_version = min(model.ir_version, _TARGET_IR)


def inline_functions(model: ModelProto, highest: int = TARGET) -> ModelProto:
    """Put bodies in the place of functions: a copy; a model without comes back as it is.

    Functions are the model's own, and where its opset is above `highest` (16 or more), the operators of the standard
    that came after opset 16 and that `lower_opset` has no step for.

    Raises:
        UnsupportedOpset: a function cannot be expanded; the message has onnx's words.
    """
    wanted = [(function.domain, function.name) for function in model.functions]
    wanted += [("", op) for op in sorted(_new_functions(model, highest))]
    if not wanted:
        return model
    model = copy_of(model)
    bare = skeleton(infer_shapes(model))
    for tensor in bare.graph.initializer:  # the inliner asks for the type of every operand
        bare.graph.value_info.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    try:
        inlined = onnx.inliner.inline_selected_functions(bare, wanted, inline_schema_functions=True)
    except (RuntimeError, ValueError, onnx.checker.ValidationError, InferenceError) as error:
        raise _not_inlined([name for _, name in wanted], error) from error
    for field in ("node", "value_info"):
        target = getattr(model.graph, field)
        del target[:]
        target.extend(getattr(inlined.graph, field))
    del model.functions[:]
    name_nodes(model)  # the inliner names the nodes of a body after its function's outputs, some twice
    return infer_shapes(model)


def _not_inlined(names: Sequence[str], error: Exception) -> UnsupportedOpset:
    detail = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    return UnsupportedOpset(
        f"The functions that the model is written in ({', '.join(names[:_NAMED])}) cannot be expanded: {detail}",
        subject=names[0],
        remedy="Export the model without functions, or with opset 16 or lower.",
    )


def _new_functions(model: ModelProto, highest: int) -> set[str]:
    """The operators that opset 16 does not have, and that have no step down."""
    if opset_version(model) <= max(highest, TARGET):
        return set()
    nodes = [node for graph in all_graphs(model.graph) for node in graph.node]
    bodies = [node for function in model.functions for node in function.node]
    new = {node.op_type for node in (*nodes, *bodies) if node.domain in STANDARD_DOMAINS}
    return {op for op in new - REWRITES.keys() if not _existed(op)}


def _existed(op: str) -> bool:
    return defs.has(op, TARGET, "") and not defs.get_schema(op, TARGET, "").deprecated


def _check(model: ModelProto, version: int) -> None:
    for graph in all_graphs(model.graph):
        late = [tensor.name for tensor in graph.initializer if tensor.data_type > _TARGET_TYPES]
        if late:
            raise _refusal(version, f"{late[0]!r} is of a type that came later", "")
        for node in graph.node:
            problem = _problem(node) if node.domain in STANDARD_DOMAINS else ""
            if problem:
                raise _refusal(version, f"{describe(node)} {problem}", node.name)


def _problem(node: NodeProto) -> str:
    """What keeps a node from being one of the target opset; empty if nothing does."""
    if not _existed(node.op_type):
        return "is an operator that came later"
    schema = defs.get_schema(node.op_type, TARGET, "")
    for item in node.attribute:
        if item.name not in schema.attributes:
            return f"has the attribute {item.name!r}, which came later"
        if item.name in ("to", "dtype") and item.i > _TARGET_TYPES:
            return "makes a type that came later"
    if len(node.input) > schema.max_input:
        return f"has {len(node.input)} inputs, {schema.max_input} at most were known"
    return ""


# Steps down, one for each operator that changed in more than the types it takes


def _drop(**harmless: Callable[[Any], bool]) -> Rewrite:
    """Drop attributes that came later where their value means what the operator did before."""

    def step(node: NodeProto, emit: Emitter) -> None:
        given = attributes(node)
        for name, is_harmless in harmless.items():
            if name in given and not is_harmless(given[name]):
                raise CannotRewriteError(f"{name} is {given[name]!r}")
        set_attributes(node, *harmless)

    return step


def _is(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _always(value: object) -> bool:
    return True


def _all_ones(values: list[int]) -> bool:
    return set(values) <= {1}


def _forbid(name: str, *values: str) -> Rewrite:
    """Refuse values of an attribute that came later."""

    def step(node: NodeProto, emit: Emitter) -> None:
        if attributes(node).get(name) in values:
            raise CannotRewriteError(f"{name} is {attributes(node)[name]!r}")

    return step


def _reduce(node: NodeProto, emit: Emitter) -> None:
    """The axes become an attribute; none of them, with noop_with_empty_axes, is the identity."""
    given = attributes(node)
    axes = emit.scope.constant(node.input[1]).tolist() if argument(node, 1) else given.get("axes", [])
    if not axes and given.get("noop_with_empty_axes", 0):
        if node.op_type not in ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"):
            raise CannotRewriteError("it reduces over no axes at all")
        emit("Identity", node.input[0], out=node.output[0])
    del node.input[1:]
    set_attributes(node, "noop_with_empty_axes", **({"axes": axes} if axes else {}))


def _split(node: NodeProto, emit: Emitter) -> None:
    """The number of parts becomes their sizes; the last is smaller where they do not fit."""
    given = attributes(node)
    if "num_outputs" in given:
        axis = given.get("axis", 0)
        size = emit.scope.fixed_shape(node.input[0])[axis]
        parts = np.full(given["num_outputs"], -(-size // given["num_outputs"]))
        parts[-1] = size - parts[:-1].sum()
        del node.input[1:]
        node.input.append(emit.operand(parts))
        set_attributes(node, "num_outputs")


def _pad(node: NodeProto, emit: Emitter) -> None:
    """Pads for some axes become pads for all."""
    _forbid("mode", "wrap")(node, emit)
    if argument(node, 3):
        rank = len(emit.scope.shape(node.input[0]))
        axes, pads = emit.scope.constant(node.input[3]), emit.scope.constant(node.input[1])
        full = np.zeros((2, rank), np.int64)
        full[:, axes % rank] = pads.reshape(2, -1)
        node.input[1] = emit.operand(full.ravel())
    del node.input[3:]


def _resize(node: NodeProto, emit: Emitter) -> None:
    """Scales or sizes for some axes become those for all."""
    _forbid("coordinate_transformation_mode", "half_pixel_symmetric")(node, emit)
    resize_all_axes(node, emit)
    _drop(antialias=_is(0), axes=_always, keep_aspect_ratio_policy=_is("stretch"))(node, emit)


def _grid_sample(node: NodeProto, emit: Emitter) -> None:
    """Modes were called bilinear and bicubic; of volumes, a product with a matrix."""
    if len(emit.scope.shape(node.input[0])) != 4:
        scattering.grid_sample(node, emit)
        return
    mode = attributes(node).get("mode", "linear")
    set_attributes(node, mode={"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode))


def _scatter(node: NodeProto, emit: Emitter) -> None:
    """Of the larger or smaller, a Max or Min with constant updates."""
    if attributes(node).get("reduction") in ("max", "min"):
        scattering.scatter(node, emit)


def _quantize(node: NodeProto, emit: Emitter) -> None:
    """The output's type becomes that of a zero point of 0."""
    wanted = attributes(node).get("output_dtype", 0)
    if wanted and not argument(node, 2):
        shape = emit.scope.fixed_shape(node.input[1])
        zero = emit.operand(np.zeros(shape, helper.tensor_dtype_to_np_dtype(wanted)))
        node.input[:] = [*node.input[:2], zero]
    if argument(node, 2) and emit.scope.dtype(node.input[2]) not in (np.uint8, np.int8):
        raise CannotRewriteError("it quantizes to a type that came later")
    _drop(block_size=_is(0), output_dtype=_always, precision=_is(0, 1), saturate=_always)(node, emit)


def _dequantize(node: NodeProto, emit: Emitter) -> None:
    if emit.scope.dtype(node.input[0]) not in (np.uint8, np.int8, np.int32):
        raise CannotRewriteError("it dequantizes a type that came later")
    _drop(block_size=_is(0), output_dtype=_is(0, TensorProto.FLOAT))(node, emit)


_dilated_pool = _drop(dilations=_all_ones)

REWRITES: Mapping[str, Rewrite] = {
    "AveragePool": _dilated_pool,
    "Cast": _drop(saturate=_always, round_mode=_always),  # both are about float 8 only
    "CastLike": _drop(saturate=_always, round_mode=_always),
    "DequantizeLinear": _dequantize,
    "Gelu": elementary.gelu,
    "GridSample": _grid_sample,
    "GroupNormalization": elementary.group_normalization,
    "LayerNormalization": elementary.layer_normalization,
    "LpPool": _drop(dilations=_all_ones, ceil_mode=_is(0)),
    "Mish": elementary.mish,
    "Pad": _pad,
    "QuantizeLinear": _quantize,
    "RMSNormalization": elementary.rms_normalization,
    "Range": _drop(stash_type=_is(1)),
    "ReduceL1": _reduce,
    "ReduceL2": _reduce,
    "ReduceLogSum": _reduce,
    "ReduceLogSumExp": _reduce,
    "ReduceMax": _reduce,
    "ReduceMean": _reduce,
    "ReduceMin": _reduce,
    "ReduceProd": _reduce,
    "ReduceSumSquare": _reduce,
    "Resize": _resize,
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
    "SpaceToDepth": _drop(mode=_is("DCR")),
    "Split": _split,
    "Swish": elementary.swish,
}
