"""Measures the lowest and highest value of each channel of a float model's tensors over some images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from oakmill.calibration.feed import cores
from oakmill.calibration.inspection import ChannelExtremes, Feeds, Pair
from oakmill.calibration.ranges import AT_ONCE, Indexed, check_names, resumed, seen, take_all

Floats = NDArray[np.float64]


def channel_extremes(
    model: ModelProto,
    tensors: Sequence[str],
    axes: Mapping[str, int],
    samples: Iterable[Feeds] | Indexed,
    *,
    checkpoint: Path | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, tuple[Floats, Floats]]:
    """The lowest and the highest values, [C] each in float64, by tensor; C is 1 for a tensor without an axis.

    Args:
        model: in float32, of fixed shapes, its nodes in topological order.
        tensors: inputs and nodes' outputs of the graph, of floats.
        axes: the axis of the channels, for those tensors whose channels are to be told apart.
        samples: the model's inputs by name; see `ranges.collect`, as for `checkpoint` and `report`.

    Raises:
        SourceError: there are no samples, or one cannot be read.
        PreparationFailed: a tensor is unknown or holds NaN or infinity, or the model cannot be run on the samples.
        OutputError: the checkpoint cannot be written.
    """
    if not tensors:
        return {}
    check_names(model, tensors)
    state = _Ends()
    words = ["channels", *(f"{name} {axes.get(name)}" for name in tensors)]
    saved, samples = resumed(model, words, samples, checkpoint, state)
    at_once = min(cores(), AT_ONCE)
    inspect = ChannelExtremes(model, tensors, axes, threads=cores() // at_once)
    take_all(partial(seen, model, tensors, inspect), at_once, samples, state, saved, report)
    return dict(zip(tensors, state.pairs(), strict=True))


class _Ends:
    """The extremes of all channels, one tensor after the other, and how many channels each tensor has."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.images = 0
        self._low: Floats = np.zeros(0)
        self._high: Floats = np.zeros(0)
        self._sizes: NDArray[np.int64] = np.zeros(0, np.int64)

    def take(self, pairs: Sequence[Pair]) -> None:
        """Take in one more image."""
        low, high = (np.concatenate([pair[end] for pair in pairs]).astype(np.float64) for end in (0, 1))
        self._sizes = np.array([pair[0].size for pair in pairs], np.int64)
        self._low = np.minimum(self._low, low) if self.images else low
        self._high = np.maximum(self._high, high) if self.images else high
        self.images += 1

    def pairs(self) -> list[tuple[Floats, Floats]]:
        """By tensor."""
        cuts = np.cumsum(self._sizes)[:-1]
        return list(zip(np.split(self._low, cuts), np.split(self._high, cuts), strict=True))

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as plain arrays, to be saved."""
        images = np.array(self.images, np.int64)
        return {"low": self._low, "high": self._high, "sizes": self._sizes, "images": images}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` gave.

        Raises:
            ValueError: it is not whole.
        """
        if not {"low", "high", "sizes", "images"} <= state.keys():
            raise ValueError("something is missing")
        if not len(state["low"]) == len(state["high"]) == int(state["sizes"].sum()):
            raise ValueError("it is of other tensors")
        self._low, self._high, self._sizes = state["low"], state["high"], state["sizes"]
        self.images = int(state["images"])
