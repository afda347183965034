"""Writes a float32 graph as one that stores and computes in float16, and takes and gives float32."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper

from oakmill.errors import PreparationFailed
from oakmill.graph.skeleton import copy_of, infer_shapes
from oakmill.model import weights


def to_half(model: ModelProto) -> ModelProto:
    """A copy whose weights and activations are float16, by onnxruntime's converter.

    Weights beyond float16's range saturate. Some operators stay in float32, between casts, where their float16 form
    does not exist in ONNX.

    Raises:
        PreparationFailed: the converter found no way.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    logger = logging.getLogger("onnxruntime.transformers.float16")
    before, logger.disabled = logger.disabled, True
    model = infer_shapes(copy_of(model))
    stay = _without_weights(model)
    try:
        half: ModelProto = convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise PreparationFailed(
            f"the graph cannot be written in float16: {error}",
            remedy="convert with --target-precision FP32_STANDARD: the device computes in float16 all the same",
        ) from error
    finally:
        logger.disabled = before
    return _with_weights(half, stay)


def _without_weights(model: ModelProto) -> dict[str, TensorProto]:
    """Empty the weights that stay in files, which the converter would read all at once; in place. Returns them."""
    found = {}
    for tensor, _ in weights.references(model):
        stub = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=[0])
        found[tensor.name] = TensorProto()
        found[tensor.name].CopyFrom(tensor)
        tensor.CopyFrom(stub)
    return found


def _with_weights(model: ModelProto, stay: Mapping[str, TensorProto]) -> ModelProto:
    """Put weights back in the place of empty ones, as float16 where the converter decided so; in place."""
    for tensor in model.graph.initializer:
        if tensor.name in stay:
            is_half = tensor.data_type == TensorProto.FLOAT16 != stay[tensor.name].data_type
            tensor.CopyFrom(_half(stay[tensor.name]) if is_half else stay[tensor.name])
    kept = [value for value in model.graph.value_info if value.name not in stay]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    return model


def _half(tensor: TensorProto) -> TensorProto:
    """A tensor that stays in a file, as float16 in memory."""
    from onnxruntime.transformers.float16 import convert_np_to_float16

    found = np.empty(tuple(tensor.dims), np.float16)
    for target, block in zip(weights.blocks(found), weights.blocks(weights.values(tensor)), strict=True):
        target[...] = convert_np_to_float16(block)
    return numpy_helper.from_array(found, tensor.name)
