"""The samples that a conversion is measured on: for each of the model's inputs a raw tensor, one after the other."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.calibration.images import read_image
from oakmill.calibration.labels import Labels
from oakmill.calibration.samples import Samples, draw, find_images, from_files, generated_samples
from oakmill.conversion.images.numbers import numbers
from oakmill.conversion.inputs import ResolvedInput
from oakmill.errors import SourceError, SpecError
from oakmill.spec import Encoding, Precision, Resize

GENERATED = "generated images"
ARRAYS = (".npy", ".raw")


@dataclass(frozen=True)
class SampleSet:
    """Samples for all inputs; iterating gives one dict of raw tensors after the other, and keeps none."""

    inputs: tuple[ResolvedInput, ...]
    samples: tuple[Samples, ...]

    @classmethod
    def generated(cls, inputs: Sequence[ResolvedInput], count: int, seed: int) -> SampleSet:
        """Made ones."""
        made = [_generated(item, count, seed + place) for place, item in enumerate(inputs)]
        return cls(tuple(inputs), tuple(made))

    @classmethod
    def of_files(
        cls, inputs: Sequence[ResolvedInput], source: Path, count: int, seed: int, resize: Resize = Resize.CROP
    ) -> SampleSet:
        """The user's, drawn from a folder, for each input that is an image; made ones for the others.

        Raises:
            SourceError: there are none, or one cannot be read.
        """
        return cls.of_paths(inputs, draw(find_images(source), count, seed), source, seed, resize)

    @classmethod
    def of_paths(
        cls, inputs: Sequence[ResolvedInput], paths: Sequence[Path], source: Path, seed: int, resize: Resize
    ) -> SampleSet:
        """These files, for each input that is an image, and for one that is alone; made ones for the others.

        Raises:
            SourceError: one cannot be read.
        """
        samples = [
            from_files(paths, source, reader(item, resize))
            if item.is_image or len(inputs) == 1
            else _generated(item, len(paths), seed + place)
            for place, item in enumerate(inputs)
        ]
        return cls(tuple(inputs), tuple(samples))

    def head(self, count: int) -> SampleSet:
        """The first of them."""
        return SampleSet(self.inputs, tuple(samples.head(count) for samples in self.samples))

    @property
    def source(self) -> str:
        """Where the images come from, in words."""
        sources = {samples.source for samples in self.samples} - {"generated"}
        return ", ".join(sorted(sources)) or GENERATED

    @property
    def names(self) -> tuple[str, ...]:
        """Each sample's name: that of the first input's image."""
        return self._main.names

    @property
    def sha256(self) -> tuple[str, ...]:
        """Each sample's digest: that of the first input's image."""
        return self._main.sha256

    @property
    def identity(self) -> list[object]:
        """All that decides what the samples hold, as plain data: the images in their order and how they are read."""
        inputs = [[item.layout, list(item.shape), str(item.encoding_to)] for item in self.inputs]
        return [inputs, [list(each.sha256) for each in self.samples]]

    @property
    def _main(self) -> Samples:
        return next((samples for samples in self.samples if samples.source != "generated"), self.samples[0])

    def thumbnails(self, names: Collection[str]) -> dict[str, NDArray[np.uint8]]:
        """Images by their names as people see them: [H, W, 3] RGB or [H, W, 1] gray, of the first input of pixels."""
        item = next((item for item in self.inputs if item.is_image), None)
        if item is None or not {"H", "W"} <= set(item.layout):
            return {}
        found = {}
        for index, name in enumerate(self.names):
            if name in names:
                found[name] = _seen(self[index][item.name], item)
        return found

    def __len__(self) -> int:
        return len(self._main)

    def __getitem__(self, index: int) -> dict[str, NDArray[Any]]:
        return {
            item.name: samples.read(index).astype(item.dtype, copy=False)
            for item, samples in zip(self.inputs, self.samples, strict=True)
        }

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        return map(self.__getitem__, range(len(self)))


@dataclass(frozen=True)
class Images:
    """What a conversion looks at: images that calibrate its quantization, if it has one, and others that test it.

    `calibration_files` are those that calibrate, and `precision` what they calibrate. `labels` say what is on those
    that test, where anybody says it, and `resize` how these are brought to the input's size. With `patient` the
    finished file runs on all of them, however long it takes.
    """

    held_out: SampleSet
    calibration_images: SampleSet | None = None
    calibration_set: str = ""
    calibration_files: tuple[Path, ...] = ()
    precision: Precision = Precision.INT8_STANDARD
    labels: Labels | None = None
    resize: Resize = Resize.CROP
    patient: bool = False


def reader(item: ResolvedInput, resize: Resize) -> partial[NDArray[np.generic]]:
    """What reads a file as this input: an image into its layout, an array of numbers from the source model's."""
    return partial(_read, item=item, resize=resize)


def _read(path: Path, *, item: ResolvedInput, resize: Resize) -> NDArray[Any]:
    if path.suffix.lower() not in ARRAYS:
        return read_image(path, item.shape, item.layout, item.encoding_to, resize=resize)
    raw = path.suffix.lower() == ".raw"
    layout = (raw and item.raw_layout) or item.array_layout or item.layout
    sizes = dict(zip(item.layout, item.shape, strict=True))
    shape = tuple(sizes[letter] for letter in layout)
    array = _read_raw(path, shape, item) if raw else read_image(path, shape, layout, item.encoding_to, dtype=item.dtype)
    if item.is_image and not (array.min() >= 0 and array.max() <= 255):
        raise SpecError(
            f"{path.name} holds values from {array.min():g} to {array.max():g}, and input {item.name!r} takes pixels",
            subject=str(path),
            remedy="give pixels of 0 to 255 as the camera has them: mean and scale are applied inside the model",
        )
    return np.ascontiguousarray(array.transpose([layout.index(letter) for letter in item.layout]))


def _read_raw(path: Path, shape: tuple[int, ...], item: ResolvedInput) -> NDArray[Any]:
    """The bare numbers of a file: in the input's own number format, pixels also as bytes."""
    count, kind = math.prod(shape), np.dtype(item.dtype)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error
    if item.is_image and len(data) == count:
        return np.frombuffer(data, np.uint8).reshape(shape).astype(np.float32)
    if len(data) != count * kind.itemsize:
        raise SpecError(
            f"{path.name} has {len(data)} bytes; input {item.name!r} of {list(shape)} takes {count * kind.itemsize}, "
            f"as {kind.name}",
            subject=str(path),
            remedy="save the bare numbers as the model's input takes them, or use .npy",
        )
    array = np.frombuffer(data, kind).reshape(shape)
    if not np.isfinite(array).all():
        raise SourceError(f"{path.name} holds values that are NaN or infinite", subject=str(path))
    return array


def _seen(array: NDArray[Any], item: ResolvedInput) -> NDArray[np.uint8]:
    order = [item.layout.index(letter) for letter in "HWC" if letter in item.layout]
    first = array.transpose([*(i for i in range(array.ndim) if i not in order), *order])
    pixels: NDArray[np.uint8] = first.reshape(-1, *first.shape[-len(order) :])[0].clip(0, 255).astype(np.uint8)
    pixels = pixels if "C" in item.layout else pixels[..., None]
    return pixels[..., ::-1] if item.encoding_to is Encoding.BGR else pixels


def _generated(item: ResolvedInput, count: int, seed: int) -> Samples:
    if item.is_image and {"C", "H", "W"} <= set(item.layout) <= set("NCHW"):
        return generated_samples(item.shape, item.layout, item.encoding_to, count, seed)
    if item.is_image:  # pixels in bare rows
        return generated_samples(item.shape, item.layout, Encoding.NONE, count, seed)
    return numbers(item.shape, item.dtype, item.limits, count, seed)
