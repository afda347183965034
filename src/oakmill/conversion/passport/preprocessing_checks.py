"""What a passport looks for besides the converted model's numbers: calibration images, mean, scale, colours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from oakmill.conversion import inputs
from oakmill.conversion.images.samples import GENERATED, Images, SampleSet
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.passport import choose_tasks, detectors
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.confidence import Confidence, clarity
from oakmill.conversion.passport.observed import neighbours
from oakmill.conversion.passport.tasks import Task
from oakmill.conversion.prepare import Prepared
from oakmill.findings import Finding
from oakmill.heads.decoders import Size
from oakmill.model.source import Tensor

CERTAINTY_IMAGES = 64
NOISE_IMAGES = 8


def _has_pixels(item: ResolvedInput) -> bool:
    """Whether an input is an image of rows and columns: gray values may also come as a bare row of numbers."""
    return item.is_image and {"H", "W"} <= set(item.layout)


def image_size(prepared: Prepared) -> Size | None:
    """Height and width of the first input that is an image."""
    found = (item for item in prepared.boundary if _has_pixels(item))
    return next(((item.shape[item.layout.index("H")], item.shape[item.layout.index("W")]) for item in found), None)


def of_calibration_images(prepared: Prepared, images: Images) -> Iterator[Finding]:
    """Calibration on random pixels."""
    taught, item = images.calibration_images, next(filter(_has_pixels, prepared.boundary), None)
    if taught is None or item is None:
        return
    pixels = (_last_channels(item, sample[item.name]) for sample in taught.head(NOISE_IMAGES))
    agree = float(np.mean([neighbours(image) for image in pixels]))
    if found := detectors.random_calibration(agree, declared=images.calibration_set == "random"):
        yield found


def _last_channels(item: ResolvedInput, values: Any) -> Any:
    """One sample of an input, with its channels last."""
    order = [item.layout.index(letter) for letter in "NHWC" if letter in item.layout]
    return values.transpose([*order, *(axis for axis in range(values.ndim) if axis not in order)])


def of_inputs(prepared: Prepared) -> Iterator[Finding]:
    """Mean and scale that are well-known mistakes."""
    return (finding for item in prepared.inputs for finding in inputs.findings(item))


class Certainty:
    """How sure the float model is of real images, in their own colours and with red and blue exchanged.

    Generated images show nothing of that, and neither do outputs of which no task is known.
    """

    def __init__(self, prepared: Prepared, samples: SampleSet) -> None:
        self._prepared = prepared
        self._wanted = 0 if samples.source == GENERATED else CERTAINTY_IMAGES
        self._axes = {item.name: item.layout.index("C") for item in prepared.boundary if _is_coloured(item)}
        self._task: Task | None = None
        self._classes = 0
        self._certain: list[float] = []
        self._declared: list[float] = []
        self._exchanged: list[float] = []

    def add(self, outputs: Outputs) -> None:
        """Add what the source model says of an image."""
        if len(self._declared) >= self._wanted:
            return
        if not self._declared:
            self._begin(outputs)
        if self._task:
            self._certain.append(self._task.certainty(outputs))
            self._declared.append(clarity(self._task, outputs))

    def _begin(self, outputs: Outputs) -> None:
        """Take the first task that the outputs are for."""
        tensors = [Tensor(name, values.shape, "") for name, values in outputs.items()]
        tasks = choose_tasks.of(tensors, self._prepared.heads, image_size(self._prepared))
        self._task = next(iter(tasks), None)
        if self._task is None:
            self._wanted = 0
        elif len(self._task.outputs) == 1 and outputs[self._task.outputs[0]].ndim in (1, 2):
            self._classes = outputs[self._task.outputs[0]].size

    def exchanged(self, samples: Sequence[Outputs]) -> list[dict[str, Any]]:
        """Those of the next samples that are wanted with their colours in the other order, so; none without colours."""
        if not self._axes or not self._task:
            return []
        axes, wanted = self._axes, samples[: self._wanted - len(self._exchanged)]
        return [
            {name: np.flip(values, axes[name]) if name in axes else values for name, values in raw.items()}
            for raw in wanted
        ]

    def add_exchanged(self, runs: Iterable[Outputs]) -> None:
        """Add what the source model says of `exchanged` samples."""
        assert self._task is not None
        self._exchanged += [clarity(self._task, outputs) for outputs in runs]

    def findings(self) -> Iterator[Finding]:
        """A model that is sure of nothing, or surer of other colours."""
        if found := detectors.low_confidence(Confidence(tuple(self._certain), self._classes)):
            yield found
        declared, exchanged = Confidence(tuple(self._declared)), Confidence(tuple(self._exchanged))
        if exchanged.values and (other := detectors.colour_order(declared, exchanged)):
            yield other


def _is_coloured(item: ResolvedInput) -> bool:
    return _has_pixels(item) and "C" in item.layout and item.channels == 3
