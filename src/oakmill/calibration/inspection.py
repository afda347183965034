"""Runs a model on one image and sees what its tensors hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from oakmill.calibration.excerpt import Excerpt, excerpt, whole
from oakmill.calibration.histogram import FIRST, Histograms
from oakmill.calibration.probes import Network, exposed, probed

Feeds = Mapping[str, NDArray[Any]]
Pair = tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]
"""Lowest and highest values, by channel."""


class Inspector(Protocol):
    """Sees what the tensors it was made for hold on one sample; several threads may call it at once."""

    def __call__(self, feeds: Feeds) -> tuple[list[Excerpt], bool]:
        """What is seen of each tensor, in order; and whether all is surely finite."""


class Extremes:
    """Sees extremes alone. They are computed in the graph, and the tensors never leave it."""

    def __init__(self, model: ModelProto, roots: Sequence[str], tensors: Sequence[str], *, threads: int) -> None:
        self._probes = probed(model, roots, tensors)
        found = (*self._probes.low, *self._probes.high, *self._probes.guards)
        self._fetches = [name for name in found if name is not None]
        self._network = Network(self._probes.model, threads=threads)

    def __call__(self, feeds: Feeds) -> tuple[list[Excerpt], bool]:
        """What is seen of each tensor."""
        found = dict(zip(self._fetches, self._network.run(self._fetches, feeds), strict=True))
        low = [0.0 if name is None else float(found[name].min()) for name in self._probes.low]
        high = [float(found[name].max()) for name in self._probes.high]
        finite = all(np.isfinite(values).all() for values in found.values())
        return [Excerpt(*ends) for ends in zip(low, high, strict=True)], finite


class ChannelExtremes:
    """Sees extremes alone, those of each channel where a tensor has an axis of them; computed in the graph."""

    def __init__(self, model: ModelProto, tensors: Sequence[str], axes: Mapping[str, int], *, threads: int) -> None:
        self._probes = probed(model, tensors, tensors, axes)
        found = (*self._probes.low, *self._probes.high, *self._probes.guards)
        self._fetches = [name for name in found if name is not None]
        self._network = Network(self._probes.model, threads=threads)

    def __call__(self, feeds: Feeds) -> tuple[list[Pair], bool]:
        """What is seen of each tensor; and whether all is surely finite."""
        found = dict(zip(self._fetches, self._network.run(self._fetches, feeds), strict=True))
        high = [found[name].ravel() for name in self._probes.high]
        lowest = zip(self._probes.low, high, strict=True)
        low = [np.zeros_like(top) if name is None else found[name].ravel() for name, top in lowest]
        finite = all(np.isfinite(values).all() for values in found.values())
        return list(zip(low, high, strict=True)), finite


class Values:
    """Sees extremes and values. The tensors come out of the graph, which costs less than looking into them there."""

    def __init__(self, model: ModelProto, roots: Sequence[str], state: Histograms, *, threads: int) -> None:
        graph, self._fetches = exposed(model, roots)
        self._state = state
        self._network = Network(graph, threads=threads)

    def __call__(self, feeds: Feeds) -> tuple[list[Excerpt], bool]:
        """What is seen of each tensor; all values, as long as it is not known which are common."""
        tensors = self._network.run(self._fetches, feeds)
        if self._state.images < FIRST:
            seen = [whole(values) for values in tensors]
        else:
            seen = [excerpt(values, bounds) for values, bounds in zip(tensors, self._state.common, strict=True)]
        return seen, all(math.isfinite(item.low) and math.isfinite(item.high) for item in seen)


def not_finite(model: ModelProto, tensors: Sequence[str], feeds: Feeds) -> tuple[str, int, int] | None:
    """The first of the tensors that holds NaN or infinity on a sample, how many, and of how many values."""
    graph, fetches = exposed(model, tensors)
    for tensor, values in zip(tensors, Network(graph, threads=1).run(fetches, feeds), strict=True):
        wrong = int(np.count_nonzero(~np.isfinite(values)))
        if wrong:
            return tensor, wrong, values.size
    return None
