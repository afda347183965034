"""What a TFLite model computes, by LiteRT's own interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found]
from frame import Refused


class InterpreterError(Refused):
    """LiteRT cannot load or run the model; the message is its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__("interpreter", str(error))


class Lite:
    """A TFLite model in LiteRT, its inputs brought to these shapes.

    Raises:
        InterpreterError: LiteRT refuses the model or the shapes.
    """

    def __init__(self, model: str, shapes: Mapping[str, Sequence[int]]) -> None:
        try:
            self._interpreter = Interpreter(model_path=model)
            for item in self._interpreter.get_input_details():
                wanted = list(shapes.get(item["name"], item["shape"]))
                if wanted != item["shape"].tolist():
                    self._interpreter.resize_tensor_input(item["index"], wanted, strict=True)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, TypeError) as error:
            raise InterpreterError(error) from error

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name; those of quantized integers as the numbers that they stand for, float32.

        Raises:
            InterpreterError: LiteRT cannot run it on this data.
        """
        try:
            for item in self._interpreter.get_input_details():
                self._interpreter.set_tensor(item["index"], feeds[item["name"]])
            self._interpreter.invoke()
            details = self._interpreter.get_output_details()
            return {item["name"]: _real(self._interpreter.get_tensor(item["index"]), item) for item in details}
        except (ValueError, RuntimeError) as error:
            raise InterpreterError(error) from error


def _real(values: Any, item: Mapping[str, Any]) -> Any:
    scale, zero = item["quantization"]
    if values.dtype.kind not in "iu" or not scale:
        return values.copy()
    return ((values.astype(np.float32) - zero) * scale).astype(np.float32)
