"""A model whose weights are in a file beside it, for tests of what comes along."""

from __future__ import annotations

import onnx

from tests.conversion.makers import conv_model


def with_data() -> bytes:
    """A model whose weights are in a file beside it."""
    model = conv_model()
    tensor = next(item for item in model.graph.initializer if item.raw_data)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="net.onnx_data")
    tensor.external_data.add(key="length", value=str(len(tensor.raw_data)))
    tensor.ClearField("raw_data")
    return bytes(model.SerializeToString())


def data_of() -> bytes:
    return next(bytes(item.raw_data) for item in conv_model().graph.initializer if item.raw_data)
