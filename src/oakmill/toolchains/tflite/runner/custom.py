"""MediaPipe's transposed convolution with a bias, written as the two built-in operations that compute the same.

Its segmentation models end with it. Its constants are those of TRANSPOSE_CONV, and its options that operation's three
numbers, bare: padding (1 SAME, 2 VALID) and both strides.
Source: mediapipe/util/tflite/operations/transpose_conv_bias.cc.
"""

from __future__ import annotations

import copy
import struct
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema  # type: ignore[import-not-found]
from frame import Refused

from . import sparse

NAME = b"Convolution2DTransposeBias"
_OPTIONS = struct.Struct("<3i")
_PADDINGS = {1: schema.Padding.SAME, 2: schema.Padding.VALID}


def written_out(model: str) -> str:
    """The model's file with that operation written out; the file itself where it has none.

    Raises:
        Refused: the operation is none as MediaPipe writes it.
    """
    data = Path(model).read_bytes()
    if NAME not in data:
        return model
    try:
        rewritten = _rewritten(data)
    except (ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        raise Refused("conversion", f"its {NAME.decode()} is not as MediaPipe's is: {error}") from error
    file = Path(model).with_suffix(".written-out.tflite")
    file.write_bytes(rewritten)
    return str(file)


def densified(model: str) -> str:
    """The model's file with its sparse constants written out; the file itself where it has none.

    Raises:
        Refused: one is not stored as the schema says.
    """
    data = Path(model).read_bytes()
    root = schema.Model.GetRootAs(data, 0)
    graphs = [root.Subgraphs(place) for place in range(root.SubgraphsLength())]
    tensors = (graph.Tensors(place) for graph in graphs for place in range(graph.TensorsLength()))
    if all(tensor.Sparsity() is None for tensor in tensors):
        return model
    tree = schema.ModelT.InitFromObj(root)
    try:
        sparse.write_out(tree)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Refused("conversion", f"its sparse constants are not stored as TFLite's schema says: {error}") from error
    file = Path(model).with_suffix(".dense.tflite")
    file.write_bytes(_packed(tree, len(data)))
    return str(file)


def _rewritten(data: bytes) -> bytes:
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    asked = {place for place, code in enumerate(tree.operatorCodes) if code.customCode == NAME}
    codes = {name: _code(tree, getattr(schema.BuiltinOperator, name)) for name in ("TRANSPOSE_CONV", "ADD")}
    for graph in tree.subgraphs:
        graph.operators = [
            written
            for item in graph.operators
            for written in (_two(tree, graph, item, codes) if item.opcodeIndex in asked else [item])
        ]
    return _packed(tree, len(data))


def _packed(tree: Any, size: int) -> bytes:
    builder = flatbuffers.Builder(size)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _code(tree: Any, number: int) -> int:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = 1
    tree.operatorCodes.append(code)
    return len(tree.operatorCodes) - 1


def _two(tree: Any, graph: Any, item: Any, codes: dict[str, int]) -> list[Any]:
    """The transposed convolution to a tensor of its own, and the addition of the bias."""
    image, weights, bias = item.inputs
    padding, height, width = _OPTIONS.unpack(bytes(item.customOptions)[: _OPTIONS.size])
    output = graph.tensors[item.outputs[0]]
    inner = copy.copy(output)
    inner.name = output.name + b"/without_bias"
    shape = _constant(tree, output.name + b"/shape", np.array(output.shape, np.int32))
    graph.tensors += [inner, shape]
    last = len(graph.tensors)
    options = schema.TransposeConvOptionsT()
    options.padding, options.strideH, options.strideW = _PADDINGS[padding], height, width
    convolution = _operator(codes["TRANSPOSE_CONV"], [last - 1, weights, image], [last - 2])
    convolution.builtinOptionsType, convolution.builtinOptions = (
        schema.BuiltinOptions.TransposeConvOptions,
        options,
    )
    addition = _operator(codes["ADD"], [last - 2, bias], list(item.outputs))
    addition.builtinOptionsType, addition.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    return [convolution, addition]


def _operator(code: int, inputs: list[int], outputs: list[int]) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, inputs, outputs
    return made


def _constant(tree: Any, name: bytes, values: Any) -> Any:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    tree.buffers.append(buffer)
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, list(values.shape), schema.TensorType.INT32
    tensor.buffer = len(tree.buffers) - 1
    return tensor
