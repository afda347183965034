"""What FP16 would do to a model: an estimate of its storage error, and the peaks that would overflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from oakmill.graph.skeleton import copy_of, infer_shapes, skeleton, source_inputs
from oakmill.model import weights

LARGEST = float(np.finfo(np.float16).max)
"""65504: what is larger overflows in FP16."""

AXES_AS_INPUT = 18
"""The opset from which most reductions take their axes as an input."""
PEAK = "peak:"
"""Precedes a tensor's name in the name of the output that holds its peak."""


def half_estimate(model: ModelProto) -> ModelProto:
    """A new model that keeps weights, inputs and all that is computed in FP16, but computes in float32.

    Weights are rounded to float16 (those out of range saturate), and every float32 tensor is cast to float16 and
    back; so are weights that stay in files, each when it is used. Run it with
    `equality.Session(..., optimise=False)`: onnxruntime would remove the casts. It says nothing of the order in
    which a device sums, nor of its approximations.
    """
    result = copy_of(model)
    floats = _float_tensors(model)
    nodes = [*_rounded_inputs(result, floats), *_rounded_references(result)]
    for tensor in result.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and not weights.is_reference(tensor):
            rounded = np.clip(numpy_helper.to_array(tensor), -LARGEST, LARGEST).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(rounded.astype(np.float32), tensor.name))
    for node in result.graph.node:
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in floats:
                node.output[index] = f"{name}/oakmill/float32"
                nodes.extend(_round(f"{name}/oakmill/float32", name))
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    del result.graph.value_info[:]
    return result


def activation_peaks(model: ModelProto) -> ModelProto:
    """A copy with a scalar output for every float32 tensor that it computes, and for what an L2 norm adds up within
    itself: the largest magnitude in it.

    Each is named `PEAK` and the tensor's name. Ask a session for these outputs only, image by image: memory stays
    flat. A tensor whose peak is over `LARGEST` overflows in FP16; `producers` names the nodes.
    """
    result = copy_of(model)
    graph = result.graph
    for name in producers(model):
        graph.node.add().CopyFrom(helper.make_node("Abs", [name], [f"{PEAK}{name}/abs"]))
        graph.node.add().CopyFrom(helper.make_node("ReduceMax", [f"{PEAK}{name}/abs"], [PEAK + name], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(PEAK + name, TensorProto.FLOAT, []))
    opset = next((item.version for item in model.opset_import if not item.domain), 1)
    computed = producers(model)
    for node in model.graph.node:
        for inside in _squares(node, opset) if node.output[0] in computed else ():
            graph.node.add().CopyFrom(inside)
            if inside.op_type == "ReduceMax":
                graph.output.append(helper.make_tensor_value_info(inside.output[0], TensorProto.FLOAT, []))
    return result


def _squares(node: NodeProto, opset: int) -> Iterator[NodeProto]:
    """The largest sum of squares that an L2 norm adds up within itself: of 150,528 raw pixels 10^9, its root 49,000."""
    squares = f"{PEAK}{node.output[0]}/squares"
    if node.op_type == "ReduceL2":
        inside = NodeProto()
        inside.CopyFrom(node)
        inside.op_type, inside.name, inside.output[0] = "ReduceSumSquare", squares, squares
        yield inside
    elif node.op_type == "LpNormalization" and all(item.i == 2 for item in node.attribute if item.name == "p"):
        axis = next((item.i for item in node.attribute if item.name == "axis"), -1)
        if opset >= AXES_AS_INPUT:
            yield helper.make_node("Constant", [], [f"{squares}/axis"], value_ints=[axis])
            yield helper.make_node("ReduceSumSquare", [node.input[0], f"{squares}/axis"], [squares])
        else:
            yield helper.make_node("ReduceSumSquare", node.input, [squares], axes=[axis])
    else:
        return
    words = f"{PEAK}{node.output[0]} (the sum of squares within {node.op_type})"
    yield helper.make_node("ReduceMax", [squares], [words], keepdims=0)


def producers(model: ModelProto) -> dict[str, str]:
    """For each float32 tensor that `model` computes, in order, the name of the node that does (or its operator)."""
    floats = _float_tensors(model)
    return {
        name: node.name or node.op_type
        for node in model.graph.node
        for name in node.output
        if name in floats and node.op_type not in ("Constant", "Identity")
    }


def _float_tensors(model: ModelProto) -> set[str]:
    graph = infer_shapes(skeleton(model)).graph
    values = (*graph.value_info, *graph.output)
    return {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}


def _rounded_inputs(model: ModelProto, floats: set[str]) -> Iterator[NodeProto]:
    """Casts of the inputs, to which all that reads them is redirected."""
    names = {
        value.name: f"{value.name}/float16"
        for value in source_inputs(model)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    _redirect(model, names)
    for name, rounded in names.items():
        yield from _round(name, rounded)


def _rounded_references(model: ModelProto) -> Iterator[NodeProto]:
    """Casts of the weights that stay in files, in the place of values in memory."""
    bounds = [f"{PEAK}lowest", f"{PEAK}highest"]
    names = {
        tensor.name: f"{tensor.name}/float16"
        for tensor, _ in weights.references(model)
        if tensor.data_type == TensorProto.FLOAT
    }
    _redirect(model, names)
    for name, value in zip(bounds, (-LARGEST, LARGEST), strict=True) if names else ():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    for name, rounded in names.items():
        yield helper.make_node("Clip", [name, *bounds], [f"{rounded}/clipped"])
        yield from _round(f"{rounded}/clipped", rounded)


def _redirect(model: ModelProto, names: Mapping[str, str]) -> None:
    """Let all nodes that read one of these tensors read another in its place."""
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)


def _round(source: str, target: str) -> Iterator[NodeProto]:
    yield helper.make_node("Cast", [source], [f"{target}/oakmill/half"], to=TensorProto.FLOAT16)
    yield helper.make_node("Cast", [f"{target}/oakmill/half"], [target], to=TensorProto.FLOAT)
