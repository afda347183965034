"""Outputs whose last function, a Softmax or Sigmoid, is left to the camera's parser, which computes it in float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from oakmill.heads.decoders import Outputs, sigmoid, softmax
from oakmill.heads.families.described import Described, Graph


@dataclass(frozen=True)
class Logits(Described):
    """An output that is read before its `function`: a Softmax over `axis`, or a Sigmoid.

    Parsers of classes refuse shares that do not sum up to 1, and make shares of any other numbers. A Sigmoid's scores
    do not; nor do those of thousands of characters, whose sum may be off by a hundredth, in 8 bits (0.886 of 6,625),
    nor surely in 16 (0.992).
    """

    function: str = "Softmax"
    axis: int = -1

    @property
    def ends(self) -> tuple[str, ...]:
        """What goes into the function, by a name that says so."""
        return tuple(f"{name}_logits" for name in self.outputs)

    def cut(self, model: ModelProto, platform: str) -> ModelProto:
        """The network without the function; a copy. What only moves values behind it stays."""
        found = ModelProto()
        found.CopyFrom(model)
        for output, end in zip(Graph(found).outputs, self.ends, strict=True):
            node = output.last
            if node is not None and node.op_type == self.function:
                node.op_type = "Identity"
                del node.attribute[:]
            found.graph.node.append(helper.make_node("Identity", [output.name], [end], end))
            output.value.name = end
        return found

    def apart(self, before: Outputs, after: Outputs) -> float:
        """How far the function of what it ends at is from what the source gives."""
        pairs = zip(self.outputs, self.ends, strict=True)
        return max(_off(before[name], self._finished(after[end].astype(np.float64))) for name, end in pairs)

    def _finished(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return sigmoid(values) if self.function == "Sigmoid" else softmax(values, self.axis)


def _off(one: NDArray[Any], other: NDArray[np.float64]) -> float:
    return float(np.abs(one.astype(np.float64) - other).max(initial=0))
