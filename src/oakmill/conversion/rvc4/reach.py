"""How far activations reach, by one pass over the images: with their channels as they are, and with any scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from oakmill.calibration.channel_extremes import channel_extremes
from oakmill.calibration.derivation import Origin, itself, origins
from oakmill.conversion.cache.store import Store, key_of
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.rvc4.once import Document, measured_once
from oakmill.graph.encodings import activations
from oakmill.graph.equalization.channels import measured
from oakmill.graph.equalization.scales import Equalized
from oakmill.graph.equalization.variables import Channels
from oakmill.graph.quantize import Interval

Floats = NDArray[np.float64]

_KIND = "channel-extremes"
_VERSION = 1
"""Of how they are measured; a new one makes the cache forget."""


@dataclass(frozen=True)
class Reach:
    """The lowest and highest values of tensors, by channel where channels can have scales; the others follow."""

    found: Channels
    ends: Mapping[str, tuple[Floats, Floats]]
    origins: Mapping[str, Origin]

    def plain(self, names: Sequence[str]) -> dict[str, Interval]:
        """The ranges of tensors whose channels are as they are."""
        return {name: self._range(name, None) for name in names}

    def equalized(self, names: Sequence[str], made: Equalized) -> dict[str, Interval]:
        """Those of the same graph with scaled channels, and of what it has besides."""
        return {
            name: self._range(made.unscaled[name], None)
            if name in made.unscaled
            else self._range(name, made.scales if name in self.found.tensors else None)
            for name in names
        }

    def _range(self, name: str, scales: Floats | None) -> Interval:
        seen = []
        for part in self.origins.get(name) or itself(name):
            factors = np.ones(1) if scales is None else scales[self.found.tensors[part.root].ids]
            seen += [part.function(end) / factors for end in self.ends[part.root]]
        values = np.concatenate([np.ravel(item) for item in seen])
        return float(values.min()), float(values.max())


def measure(
    model: ModelProto, found: Channels, samples: SampleSet, read_as: str, store: Store, progress: Progress
) -> Reach:
    """One pass over the images, or what the cache has of it; one that is killed goes on where it was.

    `read_as` says how images are brought to size.

    Raises:
        SourceError: an image cannot be read.
        PreparationFailed: a tensor is not finite, or the model cannot be run.
    """
    names = activations(model).measured
    derived = origins(model, names, monotone=True)
    axes = measured(found)
    wanted = list(dict.fromkeys([*(part.root for origin in derived.values() for part in origin), *axes]))
    axes = {name: item.axis for name, item in found.tensors.items() if name in wanted}
    key = _key(model, axes, samples, read_as)

    def ends(checkpoint: Path | None) -> Document:
        found = channel_extremes(
            model,
            wanted,
            axes,
            samples,
            checkpoint=checkpoint,
            report=lambda done: progress.doing(f"measuring {len(wanted)} tensors", done, len(samples)),
        )
        return {name: [low.tolist(), high.tolist()] for name, (low, high) in found.items()}

    known = measured_once(store, _KIND, key, wanted, ends, progress)
    return Reach(found, {name: (np.array(low), np.array(high)) for name, (low, high) in known.items()}, derived)


def _key(model: ModelProto, axes: Mapping[str, int], samples: SampleSet, read_as: str) -> str:
    """By all that decides them: the graph, the images in their order, how they are read."""
    return key_of(_VERSION, sorted(axes), samples.identity, read_as, model.SerializeToString(deterministic=True))
