"""What a passport looks for besides the converted model's numbers: calibration images, mean, scale, colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.calibration import doctor
from oakmill.calibration.doctor import Expectation
from oakmill.calibration.likeness import Album, thumbnail
from oakmill.conversion import inputs
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import GENERATED, Images, SampleSet
from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.passport import choose_tasks, conventions, detectors
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.classification import Classifier
from oakmill.conversion.passport.confidence import MANY, Confidence, clarity
from oakmill.conversion.passport.conventions import Inquiry, Run, Testimony, mirrored
from oakmill.conversion.passport.mirror import Witness, is_telling, witness
from oakmill.conversion.passport.observed import neighbours
from oakmill.conversion.passport.tasks import Task
from oakmill.conversion.prepare import Prepared
from oakmill.findings import Finding
from oakmill.heads.decoders import Size

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
    """Calibration on random pixels, on too few different images, or on such as show little."""
    calibrating, item = images.calibration_images, next(filter(_has_pixels, prepared.boundary), None)
    if calibrating is None or item is None:
        return
    pixels = (_last_channels(item, sample[item.name]) for sample in calibrating.head(NOISE_IMAGES))
    agree = float(np.mean([neighbours(image) for image in pixels]))
    if found := detectors.random_calibration(agree, declared=images.calibration_set == "random"):
        yield found
    if images.calibration_files and images.calibration_set != "random":
        expected = Expectation(encoding=item.encoding_from, precision=images.precision)
        yield from detectors.unfit_calibration(doctor.examine(images.calibration_files, expected).findings)


def _last_channels(item: ResolvedInput, values: Any) -> Any:
    """One sample of an input, with its channels last."""
    order = [item.layout.index(letter) for letter in "NHWC" if letter in item.layout]
    return values.transpose([*order, *(axis for axis in range(values.ndim) if axis not in order)])


def of_inputs(prepared: Prepared) -> Iterator[Finding]:
    """Mean and scale that are well-known mistakes."""
    return (finding for item in prepared.inputs for finding in inputs.findings(item))


class Certainty:
    """What the float model says of real images that differ from each other: as given, mirrored, with other colours.

    Generated images show nothing of that, and neither do outputs that may be anything, as an embedding is.
    """

    def __init__(self, prepared: Prepared, samples: SampleSet) -> None:
        self._prepared, self._samples = prepared, samples
        pairs = [pair for pair in zip(prepared.inputs, prepared.boundary, strict=True) if _has_pixels(pair[1])]
        known = [pair for pair in pairs if pair[0].channels in (1, 3) and all("C" in item.layout for item in pair)]
        self._image = known[0] if len(pairs) == 1 and known else None
        self._wanted = 0 if samples.source == GENERATED or not pairs else CERTAINTY_IMAGES
        self._axes = {item.name: item.layout.index("C") for item in prepared.boundary if _is_coloured(item)}
        self._album = Album()
        self._seen = 0
        self._places: list[int] = []
        self._pending: list[Outputs] = []
        self._task: Task | None = None
        self._witness: Witness | None = None
        self._classes = 0
        self._certain: list[float] = []
        self._declared: list[float] = []
        self._exchanged: list[float] = []

    def add(self, raw: Outputs, outputs: Outputs) -> None:
        """Add what the source model says of the next image; one that looks like an earlier one counts once."""
        self._seen += 1
        if len(self._places) >= self._wanted or not self._album.takes(self._thumbnail(raw)):
            return
        if not self._places:
            self._begin(outputs)
        if self._task is None or not is_telling(self._task, outputs):
            self._task, self._wanted = None, 0
            return
        self._places.append(self._seen - 1)
        self._certain.append(self._task.certainty(outputs))
        self._declared.append(clarity(self._task, outputs))
        self._pending.append(outputs)

    def _thumbnail(self, raw: Outputs) -> NDArray[np.float64]:
        """Of the first input of pixels."""
        item = next(filter(_has_pixels, self._prepared.boundary))
        values = np.moveaxis(raw[item.name], [item.layout.index("H"), item.layout.index("W")], [0, 1])
        return thumbnail(values.reshape(*values.shape[:2], -1).mean(axis=2))

    def _begin(self, outputs: Outputs) -> None:
        """Take the first task that the outputs are surely for."""
        tasks = choose_tasks.of_image(outputs, self._prepared.heads, image_size(self._prepared))
        self._task = next((task for task in tasks if is_telling(task, outputs)), None)
        if self._task is None:
            return
        if isinstance(self._task, Classifier):
            self._classes = outputs[self._task.outputs[0]].size
        self._witness = witness(self._task) if self._image else None

    def ask_again(self, source: Run) -> None:
        """Run the images that were added since with their colours in the other order, and mirrored."""
        pending, self._pending = self._pending, []
        if not self._task or not pending:
            return
        samples = [self._samples[place] for place in self._places[-len(pending) :]]
        if self._axes:
            self._exchanged += [clarity(self._task, outputs) for outputs in source(list(map(self._turned, samples)))]
        if self._witness and self._image:
            outer = self._image[1]
            answers = source([mirrored(raw, outer) for raw in samples])
            for plain, reflected in zip(pending, answers, strict=True):
                self._witness.add(plain, reflected)

    def _turned(self, raw: Outputs) -> Outputs:
        axes = self._axes
        return {name: np.flip(values, axes[name]) if name in axes else values for name, values in raw.items()}

    def findings(self, load: Callable[[], Run], progress: Progress) -> Iterator[Finding]:
        """A model that is blind, surer of other colours, or that another convention fits; it is asked where needed."""
        if self._task is None:
            return
        if found := detectors.low_confidence(Confidence(tuple(self._certain), self._classes)):
            yield found
        declared, exchanged = Confidence(tuple(self._declared)), Confidence(tuple(self._exchanged))
        other = detectors.colour_order(declared, exchanged) if exchanged.values else None
        if other:
            yield other
        if self._witness and self._image and len(self._places) >= MANY:
            kept = self._witness.kept()
            yield from detectors.blind(kept, self._witness.kept(faint=True), self._classes or None)
            if not detectors.sees(kept):
                progress.doing("asking the model about its preprocessing")
                ours = Testimony(declared, kept)
                inquiry = Inquiry(*self._image, load(), self._samples, self._places, self._task)
                if better := inquiry.better(ours):
                    yield conventions.finding(self._image[0], ours, *better)


def _is_coloured(item: ResolvedInput) -> bool:
    return _has_pixels(item) and "C" in item.layout and item.channels == 3
