"""Says how well graphs that compute the same agree with the float graph once all their numbers are rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.search import PERFECT
from oakmill.errors import PreparationFailed, ProofFailed
from oakmill.graph import encodings, equality
from oakmill.graph.quantize import Interval, Plan
from oakmill.graph.sensitivity import ColumnNoise, with_all_rounded

HELD_BACK = 8
"""Images that judge, at most a quarter of all."""


def held_back(count: int) -> int:
    """How many of the images that calibrate judge instead, the last ones; none of very few."""
    return min(HELD_BACK, count // 4)


class Judge:
    """Quantizes graphs that compute the same, and says how well each agrees with the float graph on these images."""

    def __init__(self, prepared: Prepared, plan: Plan, images: Sequence[Mapping[str, Any]]) -> None:
        self._prepared, self._plan, self._images = prepared, plan, images
        self._expected = equality.run_each(prepared.model, images)

    def is_exact(self, model: onnx.ModelProto) -> bool:
        """Whether a graph computes what the float graph does, on the first image."""
        try:
            equality.require_equal(self._expected[0], equality.Session(model).run(self._images[0]))
        except (ProofFailed, PreparationFailed):
            return False
        return True

    def agreement(self, model: onnx.ModelProto, ranges: Mapping[str, Interval]) -> float:
        """Signal to noise of the graph with its tensors and weights in the plan's bits, in dB; the mean over columns.

        Weights are of 8 bits.
        """
        ranges = {name: item for name, item in ranges.items() if name not in self._prepared.image_inputs}
        spread = encodings.activations(model).spread(self._plan.encodings)
        bits = {name: spread[name].bits if name in spread else self._plan.activation_bits for name in ranges}
        noise = ColumnNoise()
        candidate = equality.Session(with_all_rounded(model, ranges, bits, per_channel=self._plan.per_channel))
        for image, expected in zip(self._images, self._expected, strict=True):
            noise.add(expected, candidate.run(image))
        return min(noise.decibels(), PERFECT)
