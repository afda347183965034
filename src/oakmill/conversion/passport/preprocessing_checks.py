"""What a passport suspects before any number of the converted model is known: images, mean, scale, colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from oakmill.conversion.images.samples import GENERATED, Images, Pictures
from oakmill.conversion.passport import Finding, confidence, detectors, tasks_of
from oakmill.conversion.passport.observed import neighbours
from oakmill.conversion.prepare import Prepared
from oakmill.graph import equality
from oakmill.model.source import Tensor

CERTAINTY_IMAGES = 32
NOISE_IMAGES = 8

Size = tuple[int, int]
Raw = Mapping[str, Any]
Reference = Callable[[Iterable[Raw]], Iterable[Raw]]
"""The source model's outputs on samples as the converted model takes them."""


def in_onnxruntime(prepared: Prepared) -> Reference:
    """The source model, run one sample at a time."""
    session = equality.Session(prepared.original)
    return lambda samples: (session.run(prepared.feeds(raw)) for raw in samples)


def of_calibration_images(prepared: Prepared, images: Images) -> Iterator[Finding]:
    """Lessons of random pixels."""
    calibration_images, pictures = images.calibration_images, prepared.pictures
    if calibration_images is None or not pictures:
        return
    agree = [
        neighbours(last_channels(prepared, calibration_images, index))
        for index in range(min(NOISE_IMAGES, len(calibration_images)))
    ]
    if found := detectors.random_calibration(float(np.mean(agree)), declared=images.calibration_set == "random"):
        yield found


def last_channels(prepared: Prepared, pictures: Pictures, index: int) -> Any:
    """One sample of the first input of pixels, with its channels last."""
    item = next(item for item in prepared.boundary if item.is_image)
    order = [item.layout.index(letter) for letter in "NHWC" if letter in item.layout]
    values = pictures[index][item.name]
    return values.transpose([*order, *(axis for axis in range(values.ndim) if axis not in order)])


def of_inputs(prepared: Prepared, held_out: Pictures, reference: Reference | None = None) -> Iterator[Finding]:
    """Mean and scale that are well-known mistakes, and colours in the wrong order."""
    for item in prepared.inputs:
        if item.is_image:
            yield from detectors.preprocessing(item.name, item.mean, item.scale)
    if held_out.source != GENERATED:
        yield from _of_certainty(prepared, held_out.head(CERTAINTY_IMAGES), reference or in_onnxruntime(prepared))


def _of_certainty(prepared: Prepared, pictures: Pictures, reference: Reference) -> Iterator[Finding]:
    """How sure the float model is of the images, in their colours and in the opposite ones."""
    (first,) = reference([pictures[0]])
    tasks = tasks_of([Tensor(name, values.shape, "") for name, values in first.items()], prepared.heads, size(prepared))
    declared = confidence.measure(tasks, reference(pictures))
    if declared is None:
        return
    if found := detectors.low_confidence(declared):
        yield found
    axes = {item.name: item.layout.index("C") for item in prepared.boundary if item.is_image and item.channels == 3}
    if axes:
        other = confidence.measure(tasks, reference(_turned(raw, axes) for raw in pictures))
        if other and (exchanged := detectors.colour_order(declared, other)):
            yield exchanged


def _turned(raw: Mapping[str, Any], axes: Mapping[str, int]) -> dict[str, Any]:
    """A sample with the colours of its pictures in the other order; `axes` are their channels', by input."""
    return {name: np.flip(values, axes[name]) if name in axes else values for name, values in raw.items()}


def size(prepared: Prepared) -> Size | None:
    """Height and width of the first picture."""
    for item in prepared.boundary:
        if item.is_image and {"H", "W"} <= set(item.layout):
            return item.shape[item.layout.index("H")], item.shape[item.layout.index("W")]
    return None
