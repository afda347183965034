"""Runs a quantized graph in onnxruntime as the device computes it: in steps of its scales, in float between them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from oakmill.graph import boundary, equality

Outputs = dict[str, NDArray[Any]]


class Simulated:
    """A graph whose pixels come in as uint8 and whose outputs may go out quantized; takes and gives real numbers.

    onnxruntime is told not to fuse quantizers into integer kernels: those saturate on processors without VNNI.
    """

    def __init__(self, model: onnx.ModelProto, image_inputs: Collection[str]) -> None:
        self._session = equality.Session(model, integer_kernels=False)
        self._image_inputs = set(image_inputs)
        self._encodings = {value.name: boundary.encoding_of(model, value.name) for value in model.graph.output}

    def run(self, raw: Mapping[str, NDArray[Any]]) -> Outputs:
        """The outputs for one sample, dequantized to float32."""
        feeds = {
            name: values.astype(np.uint8) if name in self._image_inputs else values for name, values in raw.items()
        }
        return {name: self._real(name, values) for name, values in self._session.run(feeds).items()}

    def _real(self, name: str, stored: NDArray[Any]) -> NDArray[Any]:
        found = self._encodings[name]
        if found is None:
            return stored
        scale, zero = found
        return ((stored.astype(np.float64) - zero) * scale).astype(np.float32)
