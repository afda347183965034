"""Measures the lowest and highest value of each channel of a float model's tensors over some images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from oakmill.calibration.feed import cores, in_order
from oakmill.calibration.inspection import Feeds
from oakmill.calibration.probes import Network, exposed

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]
_AT_ONCE = 4


def channel_extremes(model: ModelProto, axes: Mapping[str, int], samples: Iterable[Feeds]) -> dict[str, Pair]:
    """The lowest and the highest values, [C] each in float64, by tensor.

    Args:
        model: in float32, of fixed shapes.
        axes: the tensors, each with the axis of its channels.
        samples: the model's inputs by name.

    Raises:
        PreparationFailed: the model cannot be run on the samples.
    """
    if not axes:
        return {}
    graph, names = exposed(model, list(axes))
    at_once = min(cores(), _AT_ONCE)
    network = Network(graph, threads=max(1, cores() // at_once))
    found: dict[str, Pair] = {}

    def seen(feeds: Feeds) -> list[Pair]:
        return [_ends(v, axis) for v, axis in zip(network.run(names, feeds), axes.values(), strict=True)]

    for pairs in in_order((partial(seen, feeds) for feeds in samples), threads=at_once, ahead=at_once + 1):
        for name, (low, high) in zip(axes, pairs, strict=True):
            known = found.get(name, (low, high))
            found[name] = (np.minimum(known[0], low), np.maximum(known[1], high))
    return found


def _ends(values: NDArray[np.float32], axis: int) -> Pair:
    others = tuple(place for place in range(values.ndim) if place != axis)
    return values.min(others).astype(np.float64), values.max(others).astype(np.float64)
