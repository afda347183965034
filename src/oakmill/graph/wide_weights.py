"""Number formats of 16-bit weights that Qualcomm's processor computes with as they are written.

Measured on QAIRT 2.51, emulated. It reads weights as if the upper one of two bytes were rounded, without room for what
is above 0x7F7F: a weight of 0x7FFF loses one part in 256, as the largest of each channel would. A depthwise Conv works
as if the lower 16 bits of its sums were dropped: where channels are of very different size, as in YOLOX, 38 dB are left
of 58. Of a Conv with dilations 16 to 19 dB are left, in UltraFace. Both are exact with 8-bit weights, a scale for each
channel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

TOP = 0x7F7F
"""The largest weight that is read as it is."""
_NARROW_TOP = 127
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")

Scales = tuple[float, ...]


def scales(model: ModelProto, *, per_channel: bool) -> Iterator[tuple[str, int, Scales, int | None]]:
    """Of each constant weight its name, bits, scales, and their axis where each output channel has its own.

    `per_channel` is for convolutions; of others, and without, all numbers of a weight have one scale and 16 bits.
    """
    constants = {item.name: item for item in model.graph.initializer if item.data_type == TensorProto.FLOAT}
    for node in model.graph.node:
        name = next((name for name in node.input[1:2] if name in constants), "")
        if node.op_type not in _WEIGHTED or not name:
            continue
        weight = np.abs(numpy_helper.to_array(constants[name]))
        if node.op_type != "Conv" or not per_channel:
            yield name, 16, _scaled(weight.max(initial=0).reshape(1), TOP), None
        elif _is_misread(node, weight.shape):
            yield name, 8, _scaled(weight.reshape(len(weight), -1).max(1), _NARROW_TOP), 0
        else:
            yield name, 16, _scaled(weight.reshape(len(weight), -1).max(1), TOP), 0


def _scaled(largest: NDArray[np.float32], top: int) -> Scales:
    return tuple(float(value) / top if value > 0 else 1.0 for value in largest)


def _is_misread(node: NodeProto, shape: tuple[int, ...]) -> bool:
    """Whether 16-bit weights are computed wrongly there: in a depthwise Conv, and in one with dilations."""
    given = {item.name: item for item in node.attribute}
    is_depthwise = "group" in given and given["group"].i > 1 and shape[1] == 1
    return is_depthwise or ("dilations" in given and max(given["dilations"].ints, default=1) > 1)
