"""Small TFLite models that tests make: a convolution in floats, and the same with all kinds of quantization."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.conversion.tflite_writer import LOGISTIC, ModelOf, OperatorOf, Scalar, Table, TensorOf, Vector, as_bytes

CONV_2D, DEQUANTIZE, CUSTOM, QUANTIZE, DENSIFY, GELU = 3, 6, 32, 114, 124, 150
INPUT, OUTPUT = "serving_default_image:0", "StatefulPartitionedCall:0"
SIDE, FILTERS = 16, 4
CONV_OPTIONS = (
    1,
    {0: Scalar("b", 0), 1: Scalar("i", 2), 2: Scalar("i", 2), 3: Scalar("b", 0), 4: Scalar("i", 1), 5: Scalar("i", 1)},
)
"""Padding SAME, stride 2, no activation, no dilation."""

_random = np.random.RandomState(7)
WEIGHTS = _random.randint(-127, 128, (FILTERS, 3, 3, 3)).astype(np.int8)
BIAS = _random.randint(-200, 200, FILTERS).astype(np.int32)
WEIGHT_STEP, INPUT_STEP, INPUT_ZERO, OUTPUT_STEP = 1 / 512, 1 / 64, -1, 1 / 256


def convolution(signature: tuple[int, ...] | None = None, weights: np.ndarray | None = None) -> ModelOf:
    """[1, 16, 16, 3] through a convolution and the logistic function to [1, 8, 8, 4], in float32."""
    real = (WEIGHTS * WEIGHT_STEP).astype(np.float32) if weights is None else weights
    return ModelOf(
        tensors=[
            TensorOf(INPUT, (1, SIDE, SIDE, 3), signature=signature),
            TensorOf("weights", real.shape, data=real),
            TensorOf("bias", (FILTERS,), data=(BIAS * WEIGHT_STEP * INPUT_STEP).astype(np.float32)),
            TensorOf("features", (1, SIDE // 2, SIDE // 2, FILTERS), signature=_halved(signature)),
            TensorOf(OUTPUT, (1, SIDE // 2, SIDE // 2, FILTERS), signature=_halved(signature)),
        ],
        operators=[
            OperatorOf(CONV_2D, [0, 1, 2], [3], options=CONV_OPTIONS),
            OperatorOf(LOGISTIC, [3], [4]),
        ],
        inputs=[0],
        outputs=[4],
    )


def _halved(signature: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return None if signature is None else (signature[0], SIDE // 2, SIDE // 2, FILTERS)


def quantized(dtype: str = "int8", features_step: float = 1 / 16) -> ModelOf:
    """The same all in integers; the input takes them as they are, the output gives them.

    A small `features_step` makes the quantizer in the middle cut off most of what the convolution computes.
    """
    shift = 128 if dtype == "uint8" else 0
    inner, outer = (1, SIDE // 2, SIDE // 2, FILTERS), (1, SIDE, SIDE, 3)
    tensors = [
        TensorOf(INPUT, outer, dtype, scale=[INPUT_STEP], zero=[INPUT_ZERO + shift]),
        TensorOf("weights", WEIGHTS.shape, "int8", WEIGHTS, scale=[WEIGHT_STEP], zero=[0]),
        TensorOf("bias", (FILTERS,), "int32", BIAS, scale=[WEIGHT_STEP * INPUT_STEP], zero=[0]),
        TensorOf("features", inner, "int8", scale=[features_step], zero=[0]),
        TensorOf("scores", inner, "int8", scale=[OUTPUT_STEP], zero=[-128]),
    ]
    operators = [OperatorOf(CONV_2D, [0, 1, 2], [3], options=CONV_OPTIONS), OperatorOf(LOGISTIC, [3], [4])]
    if dtype == "int8":
        return ModelOf(tensors, operators, inputs=[0], outputs=[4])
    tensors += [
        TensorOf("image_int8", outer, "int8", scale=[INPUT_STEP], zero=[INPUT_ZERO]),
        TensorOf(OUTPUT, inner, "uint8", scale=[OUTPUT_STEP], zero=[0]),
    ]
    operators[0] = OperatorOf(CONV_2D, [5, 1, 2], [3], options=CONV_OPTIONS)
    operators = [OperatorOf(QUANTIZE, [0], [5]), *operators, OperatorOf(QUANTIZE, [4], [6])]
    return ModelOf(tensors, operators, inputs=[0], outputs=[6])


def old_biases() -> ModelOf:
    """The quantized convolution as an old converter writes it: its bias quantized along the filter's dimension."""
    made = quantized()
    tensors = list(made.tensors)
    tensors[1] = replace(tensors[1], scale=[WEIGHT_STEP] * FILTERS, zero=[0] * FILTERS)
    tensors[2] = replace(tensors[2], scale=[WEIGHT_STEP * INPUT_STEP] * FILTERS, zero=[0] * FILTERS, dimension=3)
    return replace(made, tensors=tensors)


def detector() -> ModelOf:
    """The convolution, its features as boxes and their logistic as scores, and TensorFlow's post-processing behind."""
    made = convolution()
    selected = [TensorOf(f"detection:{place}", (1, 10)) for place in range(4)]
    anchors = TensorOf("anchors", (SIDE, 4), data=np.ones((SIDE, 4), np.float32))
    last = OperatorOf(CUSTOM, [3, 4, 5], [6, 7, 8, 9], custom="TFLite_Detection_PostProcess")
    return replace(
        made,
        tensors=[*made.tensors, anchors, *selected],
        operators=[*made.operators, last],
        outputs=[6, 7, 8, 9],
    )


def transposed(options: tuple[int, int, int] = (1, 2, 2), kernel: int = 2) -> ModelOf:
    """[1, 16, 16, 3] through MediaPipe's transposed convolution with a bias to [1, 32, 32, 4]; SAME, stride 2."""
    random = np.random.RandomState(3)
    return ModelOf(
        tensors=[
            TensorOf(INPUT, (1, SIDE, SIDE, 3)),
            TensorOf(
                "weights", (FILTERS, kernel, kernel, 3), data=random.randn(FILTERS, kernel, kernel, 3).astype("f")
            ),
            TensorOf("bias", (FILTERS,), data=np.arange(FILTERS, dtype="f")),
            TensorOf(OUTPUT, (1, 2 * SIDE, 2 * SIDE, FILTERS)),
        ],
        operators=[
            OperatorOf(
                CUSTOM,
                [0, 1, 2],
                [3],
                custom="Convolution2DTransposeBias",
                bare_options=struct.pack("<3i", *options),
            )
        ],
        inputs=[0],
        outputs=[3],
    )


def pruned() -> ModelOf:
    """The convolution, of whose filter only what is no zero is stored: TFLite's DENSIFY makes it whole, as it runs.

    Three levels are whole; of the last one, the channels, those are numbered that have a value.
    """
    made = convolution()
    filters = (WEIGHTS * WEIGHT_STEP).astype(np.float32) * (np.arange(WEIGHTS.size).reshape(WEIGHTS.shape) % 5 > 1)
    found = [np.flatnonzero(filters[place]) for place in np.ndindex(filters.shape[:3])]
    levels: list[Table] = [{0: Scalar("b", 0), 1: Scalar("i", size)} for size in filters.shape[:3]]
    channels: Table = {
        0: Scalar("b", 1),
        1: Scalar("i", filters.shape[3]),
        2: Scalar("B", 1),
        3: {0: Vector(np.cumsum([0, *map(len, found)]).tolist(), "i")},
        4: Scalar("B", 1),
        5: {0: Vector(np.concatenate(found).tolist(), "i")},
    }
    sparsity: Table = {0: Vector([0, 1, 2, 3], "i"), 2: Vector([*levels, channels])}
    tensors = [*made.tensors, TensorOf("pruned", filters.shape, data=filters[filters != 0], sparsity=sparsity)]
    tensors[1] = replace(tensors[1], data=None)
    operators = [OperatorOf(DENSIFY, [len(tensors) - 1], [1]), *made.operators]
    return replace(made, tensors=tensors, operators=operators)


def one_operation(code: int, custom: str = "") -> ModelOf:
    """[1, 4, 4, 3] through one operation."""
    shape = (1, 4, 4, 3)
    return ModelOf(
        [TensorOf("x", shape), TensorOf("y", shape)],
        [OperatorOf(code, [0], [1], custom=custom)],
        inputs=[0],
        outputs=[1],
    )


def written(model: ModelOf, path: Path) -> Path:
    path.write_bytes(as_bytes(model))
    return path
