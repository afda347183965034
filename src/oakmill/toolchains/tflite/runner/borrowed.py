"""What tf2onnx takes from TensorFlow on its way from TFLite to ONNX, given by LiteRT and numpy.

tf2onnx imports TensorFlow whatever it converts. From TFLite it uses four things of it: the message that a constant's
bytes are put into, the array that is made of that, the number of a type, and the interpreter for the tensors' shapes,
which is LiteRT's under another name. TensorFlow would take 1.3 GB and 12 s at each start for these; the graphs that
come out are the same node for node and bit for bit.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found]

# tensorflow/core/framework/types.proto, which tf2onnx repeats for a TensorFlow that does not give it.
_STRING = 7
_DTYPES = {
    1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 5: np.int16, 6: np.int8, 8: np.complex64, 9: np.int64,
    10: np.bool_, 17: np.uint16, 18: np.complex128, 19: np.float16, 22: np.uint32, 23: np.uint64,
}  # fmt: skip


class Dimensions(list[Any]):
    """A repeated field of dimensions, as protobuf has them."""

    def add(self) -> Any:
        """A new dimension at the end."""
        self.append(SimpleNamespace(size=0))
        return self[-1]


class TensorProto:
    """A constant: its bytes, dimensions and the number of its type."""

    def __init__(self) -> None:
        self.tensor_content = b""
        self.tensor_shape = SimpleNamespace(dim=Dimensions())
        self.dtype = 0


def make_ndarray(tensor: TensorProto) -> Any:
    """The constant as an array of its own.

    Raises:
        ValueError: the bytes do not fill the dimensions.
    """
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    return np.frombuffer(tensor.tensor_content, _DTYPES[tensor.dtype]).reshape(shape).copy()


def install() -> None:
    """Put it where tf2onnx looks for TensorFlow; before tf2onnx is imported."""
    _module(
        "tensorflow",
        __version__="2",
        string=_STRING,
        make_ndarray=make_ndarray,
        lite=SimpleNamespace(Interpreter=Interpreter),
    )
    _module("tensorflow.core")
    _module("tensorflow.core.framework", tensor_pb2=SimpleNamespace(TensorProto=TensorProto))
    _module("tf2onnx.tfjs_utils", graphs_from_tfjs=None)  # TensorFlow.js, which takes far more of TensorFlow


def _module(name: str, **contents: Any) -> None:
    module = ModuleType(name)
    module.__path__ = []
    vars(module).update(contents)
    sys.modules[name] = module
