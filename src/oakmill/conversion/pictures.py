"""The samples that a conversion is measured on: for each of the model's inputs a raw tensor, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.calibration.images import read_image
from oakmill.calibration.samples import Samples, draw, find_images, from_files, generated_samples
from oakmill.conversion.inputs import ResolvedInput
from oakmill.spec import Encoding

GENERATED = "generated pictures"


@dataclass(frozen=True)
class Pictures:
    """Samples for all inputs; iterating gives one dict of raw tensors after the other, and keeps none."""

    inputs: tuple[ResolvedInput, ...]
    samples: tuple[Samples, ...]

    @classmethod
    def generated(cls, inputs: Sequence[ResolvedInput], count: int, seed: int) -> Pictures:
        """Made ones."""
        made = [_generated(item, count, seed + place) for place, item in enumerate(inputs)]
        return cls(tuple(inputs), tuple(made))

    @classmethod
    def of_files(cls, inputs: Sequence[ResolvedInput], source: Path, count: int, seed: int) -> Pictures:
        """The user's, for each input that is an image; made ones for the others.

        Raises:
            SourceError: there are none, or one cannot be read.
        """
        paths = draw(find_images(source), count, seed)
        samples = [
            from_files(paths, source, _reader(item)) if item.is_image else _generated(item, len(paths), seed + place)
            for place, item in enumerate(inputs)
        ]
        return cls(tuple(inputs), tuple(samples))

    @property
    def source(self) -> str:
        """Where the pictures come from, in words."""
        sources = {samples.source for samples in self.samples} - {"generated"}
        return ", ".join(sorted(sources)) or GENERATED

    @property
    def names(self) -> tuple[str, ...]:
        """Each sample's name: that of the first input's picture."""
        return self._main.names

    @property
    def sha256(self) -> tuple[str, ...]:
        """Each sample's digest: that of the first input's picture."""
        return self._main.sha256

    @property
    def _main(self) -> Samples:
        return next((samples for samples in self.samples if samples.source != "generated"), self.samples[0])

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        for tensors in zip(*self.samples, strict=True):
            yield {
                item.name: tensor.astype(item.dtype, copy=False)
                for item, tensor in zip(self.inputs, tensors, strict=True)
            }


def _reader(item: ResolvedInput) -> partial[NDArray[np.generic]]:
    return partial(read_image, shape=item.shape, layout=item.layout, encoding=item.encoding_to)


def _generated(item: ResolvedInput, count: int, seed: int) -> Samples:
    encoding = item.encoding_to if item.is_image else Encoding.NONE
    return generated_samples(item.shape, item.layout, encoding, count, seed)
