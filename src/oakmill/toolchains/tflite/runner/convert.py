"""TFLite to ONNX by tf2onnx, the same bytes each time."""

from __future__ import annotations

import itertools
import struct
from typing import Any

from . import borrowed

borrowed.install()

from frame import Refused  # noqa: E402
from onnx import ModelProto  # noqa: E402
from tf2onnx import optimizer  # type: ignore[import-not-found] # noqa: E402
from tf2onnx.graph import Node  # type: ignore[import-not-found] # noqa: E402
from tf2onnx.tfonnx import process_tf_graph  # type: ignore[import-not-found] # noqa: E402

from .boundary import float_boundary  # noqa: E402

_UNCONVERTED = "TFL_"  # how tf2onnx names an operation that it has no conversion for

# What tf2onnx raises on what it cannot convert; it has no errors of its own.
_FAILURES = (
    ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, RuntimeError, ImportError,
    struct.error,
)  # fmt: skip


class ConversionError(Refused):
    """tf2onnx cannot convert the model; `operations` are those it does not know, by name of what they compute."""

    def __init__(self, message: str, operations: dict[str, str] | None = None) -> None:
        super().__init__("conversion", message, operations=operations or {})


def convert(model: str, opset: int, *, as_float: bool) -> ModelProto:
    """The model as ONNX, the same bytes each time: inputs and outputs keep names, order and layout.

    With `as_float` all quantizers are left out: constants are what their integers stand for, an input of quantized
    integers takes the same integers as floats, and an output gives the numbers that its integers stand for.

    Raises:
        ConversionError: tf2onnx cannot convert it.
    """
    try:
        graph = process_tf_graph(None, opset=opset, tflite_path=model, dequantize=as_float)
        written: ModelProto = optimizer.optimize_graph(graph).make_model("TFLite")
    except _FAILURES as error:
        raise ConversionError(f"{type(error).__name__}: {error}") from error
    unknown = {node.output[0]: node.op_type for node in written.graph.node if node.op_type.startswith(_UNCONVERTED)}
    if unknown:
        names = ", ".join(sorted({op.removeprefix(_UNCONVERTED) for op in unknown.values()}))
        raise ConversionError(f"it has no conversion for {names}", unknown)
    if as_float:
        float_boundary(written)
    return written


def _number(node: Any) -> int:
    """A node's hash: its place among all nodes that were asked for theirs.

    By default that is its address in memory, which decides in tf2onnx's sets what comes first, and so the bytes
    written.
    """
    if not hasattr(node, "place"):
        node.place = next(_places)
    return int(node.place)


_places = itertools.count()
Node.__hash__ = _number
