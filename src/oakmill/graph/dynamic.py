"""Takes out of a model the quantization whose ranges are found anew for each image, as no camera has it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from oakmill.graph.rewriting import CannotRewriteError, Emitter, Scope, argument, attributes
from oakmill.graph.skeleton import copy_of, infer_shapes, replace_nodes
from oakmill.model.pruning import drop_unread

QUANTIZE, CONV, MATMUL, LSTM = "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "DynamicQuantizeLSTM"
"""As onnxruntime's `quantize_dynamic` writes them; the last is one of its own domain."""
_PRODUCTS = {CONV: "Conv", MATMUL: "MatMul"}
_MOVES = {"Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_ROUNDS = {"Cast", "Floor", "Round"}


def without_dynamic_quantization(model: ModelProto) -> ModelProto:
    """A copy in which numbers are what the quantized ones stand for: nothing but the rounding is lost.

    A quantizer becomes nothing, with a scale of 1; what multiplies integers does the same with the weights as numbers;
    a bias that was rounded to integers to be added stays as it was.

    The same model comes back where it has none, or where something else reads the integers.
    """
    if not any(node.op_type in (QUANTIZE, LSTM) for node in model.graph.node):
        return model
    changed = copy_of(model)
    try:
        _replace(changed)
    except CannotRewriteError:
        return model
    return infer_shapes(changed)


def _replace(model: ModelProto) -> None:
    scope = Scope(model)
    _require_products(model)
    roundings = set(_roundings(model))
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        emit = Emitter(scope, node)
        if node.op_type == QUANTIZE:
            emit("Identity", node.input[0], out=node.output[0])
            emit("Identity", np.array(1, np.float32), out=node.output[1])
        elif node.op_type in _PRODUCTS:
            weights = _weights(scope, node.input[1], argument(node, 3), axis=0 if node.op_type == CONV else -1)
            emit(_PRODUCTS[node.op_type], node.input[0], weights, out=node.output[0], **attributes(node))
        elif node.op_type == LSTM:
            nodes.append(_lstm(scope, node))
            continue
        elif node.output[0] in roundings:
            emit("Identity", node.input[0], out=node.output[0])
        nodes.extend(emit.nodes or [node])
    replace_nodes(model.graph, nodes)
    del model.graph.value_info[:]  # what were integers are numbers now
    drop_unread(model.graph)


def _require_products(model: ModelProto) -> None:
    """Require that integers go into products alone.

    Raises:
        CannotRewriteError: something else reads them.
    """
    made = {name for node in model.graph.node if node.op_type == QUANTIZE for name in (node.output[0], node.output[2])}
    for node in model.graph.node:
        if made & set(node.input) and node.op_type not in _PRODUCTS:
            raise CannotRewriteError(f"{node.op_type} reads integers")
        if node.op_type in _PRODUCTS and node.input[0] not in made:
            raise CannotRewriteError(f"{node.op_type} multiplies other integers")
    if made & {output.name for output in model.graph.output}:
        raise CannotRewriteError("integers are an output")


def _roundings(model: ModelProto) -> Iterator[str]:
    """What rounds a bias for the sake of an addition to integers."""
    makers = {name: node for node in model.graph.node for name in node.output}
    stored: dict[str, bool] = defaultdict(bool)
    for node in model.graph.node:
        if node.op_type in _PRODUCTS or (node.op_type in _MOVES and stored[node.input[0]]):
            stored[node.output[0]] = True
        elif node.op_type == "Add" and any(stored[name] for name in node.input):
            stored[node.output[0]] = True
            for name in node.input:
                yield from () if stored[name] else _roundings_behind(name, makers)


def _roundings_behind(name: str, makers: dict[str, NodeProto]) -> Iterator[str]:
    while (node := makers.get(name)) is not None and node.op_type in _MOVES | _ROUNDS:
        if node.op_type in _ROUNDS:
            yield node.output[0]
        name = node.input[0]


def _weights(scope: Scope, stored: str, zero: str, axis: int) -> NDArray[np.float32]:
    """Stored weights without their zero, which may be one for each of an axis."""
    values = scope.constant(stored).astype(np.float32)
    zeros = scope.constant(zero).astype(np.float32) if zero else np.zeros((), np.float32)
    if zeros.size > 1:
        shape = [1] * values.ndim
        shape[axis] = zeros.size
        zeros = zeros.reshape(shape)
    return values - zeros.reshape(zeros.shape if zeros.size > 1 else ())


def _lstm(scope: Scope, node: NodeProto) -> NodeProto:
    """onnxruntime's own LSTM as ONNX's: its weights lie the other way around, with a scale for each direction or row.

    Source: contrib operators of onnxruntime, com.microsoft.DynamicQuantizeLSTM.
    """
    inputs = list(node.input)
    names = []
    for place, (scale, zero) in {1: (8, 9), 2: (10, 11)}.items():
        values, scales, zeros = (scope.constant(inputs[at]) for at in (place, scale, zero))
        scales, zeros = (item.reshape(len(values), 1, -1).astype(np.float32) for item in (scales, zeros))
        real = ((values.astype(np.float32) - zeros) * scales).transpose(0, 2, 1)
        names.append(scope.add_constant(np.ascontiguousarray(real), f"{node.name or node.output[0]}/weights"))
    made = helper.make_node("LSTM", [inputs[0], *names, *inputs[3:8]], list(node.output), name=node.name)
    made.attribute.extend(node.attribute)
    return made
