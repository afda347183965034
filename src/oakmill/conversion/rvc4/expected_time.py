"""How long one run may take on QCS8550: a sum of parts, fitted on published times of other nets by bench/latency.py."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from oakmill.conversion.passport.cost import ExpectedTime
from oakmill.graph.costs import Costs, Layer

CHIP = "QCS8550"
PARTS = ("run", "layer", "dense multiply-adds", "grouped multiply-adds", "weight bytes", "activation bytes")
"""What the time is a sum of: each run, each layer, the products of dense and of grouped convolutions and matrices, the
bytes of weights, and those of activations into layers and out of them."""
MIXED = (
    "no time is expected: layers of 16 bits among 8 can take longer than 16 bits throughout (Qualcomm's YOLOv8n on the "
    "QCS8550: 6.3 ms so, 3.3 ms as INT8_INT16_MIXED, 1.4 ms in 8 bits)"
)
_NAMES = {"W8A8": "w8a8", "A8": "w8a8", "W8A16": "w8a16", "A16": "w8a16", "float": "float"}
_FEW = 0.1
"""Of the layers: those that take an image of 8 bits, or give outputs, among 16."""
_FILE = Path(__file__).with_name("expected_time.json")


def parts(layers: Sequence[Layer]) -> tuple[float, ...]:
    """How much of each part a net has, in the order of `PARTS`."""
    grouped = [layer for layer in layers if layer.groups > 1]
    return (
        1.0,
        float(len(layers)),
        float(sum(layer.multiply_adds for layer in layers if layer.groups == 1)),
        float(sum(layer.multiply_adds for layer in grouped)),
        float(sum(layer.weight_bytes for layer in layers)),
        float(sum(layer.read + layer.written for layer in layers)),
    )


def expected(costs: Costs) -> ExpectedTime | None:
    """The time of one run; None of a graph in several number formats, or in one of which no honest model came out.

    Single layers of 16 bits among 8 are left out on purpose: in Qualcomm's table, nets with them take twice to five
    times as long as in 16 bits throughout (YOLOv8n 6.3 ms against 3.3, through onnxruntime).
    """
    fitted = _fitted().get(_precision(costs))
    if fitted is None or costs.unknown:
        return None
    counted = dict(zip(PARTS, parts(costs.layers), strict=True))
    time = math.fsum(fitted["coefficients"][name] * value for name, value in counted.items())
    low, high = time * fitted["low"], time * fitted["high"]
    return ExpectedTime(CHIP, time, low, high, fitted["median_error"], fitted["nets"])


def untimed(costs: Costs) -> str:
    """Why there is no time, where layers of 16 bits are among those of 8; else empty."""
    bits = {layer.activation_bits for layer in costs.layers}
    return MIXED if (_mixes(_body(costs)) or {8, 16} <= bits) and expected(costs) is None else ""


def _mixes(layers: Sequence[Layer]) -> bool:
    """Whether more than a few layers go from one number of bits to another."""
    passing = sum(0 < layer.narrowest_bits < layer.activation_bits for layer in layers)
    return passing > _FEW * len(layers)


def _body(costs: Costs) -> Sequence[Layer]:
    """All layers but a classifier's last one that multiplies, and its shares behind that.

    Shares have 16 bits, and so have the scores before them: that takes no time beside the rest.
    """
    last = max((place for place, layer in enumerate(costs.layers) if layer.multiply_adds), default=0)
    gives_shares = any(layer.op == "Softmax" for layer in costs.layers[last + 1 :])
    return costs.layers[:last] if gives_shares else costs.layers


def _precision(costs: Costs) -> str:
    """As the coefficients call it; nothing where what multiplies is not all in one format, or others stand between."""
    body = _body(costs)
    formats = {_NAMES.get(layer.number_format, "") for layer in body if layer.multiply_adds}
    return formats.pop() if len(formats) == 1 and not _mixes(body) else ""


@lru_cache
def _fitted() -> dict[str, dict[str, Any]]:
    """By precision: coefficients, and how far off they are."""
    found = json.loads(_FILE.read_text(encoding="utf-8"))
    return {name: value for name, value in found.items() if isinstance(value, dict)}
