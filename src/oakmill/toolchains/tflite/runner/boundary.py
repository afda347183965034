"""Inputs and outputs of quantized integers as floats, in a model whose inside is float already."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto, TensorProto

_KEEPS_VALUES = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity"}
_QUANTIZED = {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16}


def float_boundary(model: ModelProto) -> None:
    """Turn inputs and outputs of quantized integers into floats, in place."""
    graph = model.graph
    del graph.value_info[:]
    for value in graph.input:
        if value.type.tensor_type.elem_type in _QUANTIZED and _is_cast_at_once(graph, value.name):
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for value in graph.output:
        _end_before_quantizer(graph, value)


def _is_cast_at_once(graph: Any, name: str) -> bool:
    """Whether all that reads an input is the cast to float with which its quantization begins."""
    users = [node for node in graph.node if name in node.input]
    return bool(users) and all(node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT for node in users)


def _end_before_quantizer(graph: Any, value: Any) -> None:
    """Take out the quantizer that an output comes from, where nothing else reads what it gives."""
    makers = {name: node for node in graph.node for name in node.output}
    chain, name = [], value.name
    while (node := makers.get(name)) is not None and node.op_type in _KEEPS_VALUES:
        chain.append(node)
        name = node.input[0]
    if node is None or node.op_type != "QuantizeLinear" or not _read_by_chain_alone(graph, node, chain):
        return
    if chain:
        chain[-1].input[0] = node.input[0]
        graph.node.remove(node)
    else:
        _replace_by_identity(node)
    value.type.tensor_type.elem_type = TensorProto.FLOAT


def _read_by_chain_alone(graph: Any, quantizer: Any, chain: list[Any]) -> bool:
    names = {quantizer.output[0], *(node.output[0] for node in chain)}
    readers = [node for node in graph.node if names & set(node.input)]
    return len(readers) == len(chain)


def _replace_by_identity(node: Any) -> None:
    del node.input[1:]
    del node.attribute[:]
    node.op_type = "Identity"
