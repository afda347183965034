"""Writes a float32 graph as one that stores and computes in float16, and takes and gives float32."""

from __future__ import annotations

import logging

from onnx import ModelProto

from oakmill.errors import PreparationFailed
from oakmill.graph.skeleton import copy_of, infer_shapes


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
    try:
        half: ModelProto = convert_float_to_float16(
            infer_shapes(copy_of(model)), keep_io_types=True, disable_shape_infer=True
        )
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise PreparationFailed(
            f"the graph cannot be written in float16: {error}",
            remedy="convert with --target-precision FP32_STANDARD: the device computes in float16 all the same",
        ) from error
    finally:
        logger.disabled = before
    return half
