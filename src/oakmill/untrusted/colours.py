"""Feeds a model images in several ways, and tells what it sees each time: so wrong preprocessing is found."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.calibration.datasets.files import find_files, is_image
from oakmill.calibration.images import read_image
from oakmill.calibration.samples import draw, generated
from oakmill.conversion.inputs import ResolvedInput, resolve
from oakmill.conversion.passport import Confidence, Task, tasks_of
from oakmill.conversion.passport.confidence import clarity
from oakmill.conversion.passport.conventions import Testimony
from oakmill.conversion.passport.mirror import is_telling, witness
from oakmill.errors import NotFound, SourceError, UnsupportedModel
from oakmill.graph import preprocessing, shapes
from oakmill.graph.equality import Session
from oakmill.graph.preprocessing import Preprocessing
from oakmill.model import load_onnx, merge_inputs, open_source, prefill
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.spec import Encoding, InputSpec, Resize
from oakmill.untrusted.dataset import jpeg, root_of
from oakmill.untrusted.folder import Place
from oakmill.untrusted.questions import Preprocessed, Reaction, Reactions, Seen, Statistics, TryColours

SHOWN_SIDE = 320
SECONDS = 20.0
"""Further images are looked at for so long."""
_OUTPUTS = 4

Outputs = Mapping[str, NDArray[Any]]


class Subject:
    """A model with its inputs of fixed shape, ready to be run."""

    def __init__(self, source: SourceModel, asked: Sequence[InputSpec]) -> None:
        specs = merge_inputs(tuple(asked), prefill(source.archive, source.inputs)).inputs
        wanted = {
            str(spec.name): spec.shape or _usual(tensor) for spec, tensor in zip(specs, source.inputs, strict=True)
        }
        fixed = shapes.fix_input_shapes(load_onnx(source), {name: shape for name, shape in wanted.items() if shape})
        self.inputs = [
            resolve(spec, Tensor(tensor.name, wanted[tensor.name] or _batched(tensor), tensor.dtype))
            for spec, tensor in zip(specs, source.inputs, strict=True)
        ]
        self.image = _image_input(self.inputs)
        self._session = Session(fixed.model)
        sizes = dict(zip(self.image.layout, self.image.shape, strict=True))
        self.size = sizes["H"], sizes["W"]
        self.outputs = [Tensor(name, shape, "") for name, shape in self._session.output_shapes().items()]
        heads = ((source.archive or {}).get("model") or {}).get("heads")
        found: tuple[Task, ...] = tasks_of(self.outputs, heads, self.size)
        self.task = next(iter(found), None)
        self._others = {
            item.name: next(generated(item.shape, item.layout, Encoding.NONE, 1, 0)).astype(item.dtype)
            for item in self.inputs
            if item is not self.image
        }

    def run(self, path: Path, variant: Preprocessed) -> tuple[Outputs, Outputs]:
        """What comes out of an image that is fed so, and of its mirror image."""
        item = self.image
        raw = read_image(path, item.shape, item.layout, variant.encoding, resize=Resize.CROP)
        fed = preprocessing.apply(
            raw, Preprocessing(item.name, item.layout, variant.mean or None, variant.scale or None)
        ).astype(item.dtype)
        plain, mirrored = (
            self._session.run({item.name: view, **self._others}) for view in (fed, np.flip(fed, item.layout.index("W")))
        )
        return plain, mirrored


class Listener:
    """Hears what a model says of images that are fed in one way."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._witness = witness(subject.task) if subject.task else None
        self._first: Outputs = {}
        self._certainty: list[float | None] = []
        self._clarity: list[float] = []

    def add(self, plain: Outputs, mirrored: Outputs) -> None:
        """Add what comes out of the next image and of its mirror image."""
        self._first = self._first or plain
        task = self._subject.task
        self._certainty.append(_finite(task.certainty(plain)) if task else None)
        if task and self._witness:
            self._witness.add(plain, mirrored)
            self._clarity.append(_finite(clarity(task, plain)) or 0.0)

    @property
    def is_telling(self) -> bool:
        """Whether the outputs surely are what they are taken for."""
        return self._subject.task is not None and is_telling(self._subject.task, self._first)

    @property
    def reaction(self) -> Reaction:
        """All that was said; what is seen and the outputs' values are those of the first image."""
        return Reaction(
            seen=_seen(self._subject.task, self._first),
            outputs=tuple(_statistics(self._first)),
            certainty=tuple(self._certainty),
            testimony=Testimony(Confidence(tuple(self._clarity)), self._witness.kept()) if self._witness else None,
        )


def react(asked: TryColours, place: Place) -> Reactions:
    """What the model sees on the image in each variant, and how sure it is on further ones.

    Raises:
        UnsupportedModel: it is no ONNX, or takes no image.
        NotFound: the set has no such image.
        SourceError: no image can be read.
    """
    source = open_source(place.files / asked.model, place.scratch / "source", place.settings)
    if source.format is not SourceFormat.ONNX:
        raise UnsupportedModel("Only ONNX is run here.", remedy="Upload the model as ONNX to see its colours.")
    subject = Subject(source, asked.inputs)
    listeners = [Listener(subject) for _ in asked.variants]
    looked_at = _listen(subject, _images(asked, place), asked.variants, listeners)
    return Reactions(
        input=subject.image.name,
        shape=subject.image.shape,
        task=type(subject.task).__name__ if subject.task else "",
        image=_shown(looked_at[0], subject.size),
        images=len(looked_at),
        telling=all(listener.is_telling for listener in listeners),
        reactions=tuple(listener.reaction for listener in listeners),
    )


def _listen(
    subject: Subject, images: Sequence[Path], variants: Sequence[Preprocessed], listeners: Sequence[Listener]
) -> list[Path]:
    """Show the first image, and further ones while there is time; those that were looked at. Damaged ones are not.

    Raises:
        SourceError: none can be read.
    """
    deadline = time.monotonic() + SECONDS
    seen: list[Path] = []
    damage: SourceError | None = None
    for path in images:
        if seen and time.monotonic() > deadline:
            break
        try:
            heard = [subject.run(path, variant) for variant in variants]
        except SourceError as error:
            damage = error
            continue
        for listener, outputs in zip(listeners, heard, strict=True):
            listener.add(*outputs)
        seen.append(path)
    if damage and not seen:
        raise damage
    return seen


def _seen(task: Task | None, outputs: Outputs) -> tuple[Seen, ...] | None:
    """Classes or boxes with their scores; None of a model of which nobody knows what its outputs mean."""
    if task is None or not hasattr(task, "sees"):
        return None
    found = task.sees(outputs).seen
    return tuple(Seen(label=one.label, score=_finite(one.score), box=one.box) for one in found)


def _statistics(outputs: Outputs) -> Iterator[Statistics]:
    for name, values in list(outputs.items())[:_OUTPUTS]:
        numbers = np.asarray(values, np.float64).ravel()
        low, mean, high, std = (
            _finite(float(value)) for value in (numbers.min(), numbers.mean(), numbers.max(), numbers.std())
        )
        yield Statistics(name=name, low=low, mean=mean, high=high, std=std)


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _images(asked: TryColours, place: Place) -> list[Path]:
    """The image that is shown, and further ones of its set.

    Raises:
        NotFound: the set has no such image.
    """
    if asked.image:
        return [place.files / asked.image]
    files = [path for path in find_files(root_of(place)[0]) if is_image(path)]
    drawn = list(draw(files, len(files), 0))
    if not 0 <= asked.number < len(drawn):
        raise NotFound(f"The set has {len(drawn)} images.", subject=str(asked.number))
    chosen = drawn.pop(asked.number)
    return [chosen, *drawn[: asked.further]]


def _shown(path: Path, size: tuple[int, int]) -> str:
    """The part of the image that the model sees, in its proportions, as JPEG in base64."""
    factor = SHOWN_SIDE / max(size)
    height, width = (max(1, round(side * factor)) for side in size)
    return jpeg(read_image(path, (height, width, 3), "HWC", Encoding.RGB, dtype=np.uint8))


def _image_input(inputs: Sequence[ResolvedInput]) -> ResolvedInput:
    found = next((item for item in inputs if item.is_image and {"H", "W"} <= set(item.layout)), None)
    if found is None:
        raise UnsupportedModel("No input of this model takes an image.", remedy="Colours are a matter of images.")
    return found


def _batched(tensor: Tensor) -> tuple[int, ...]:
    """The shape with an open batch as 1."""
    return tuple(size if isinstance(size, int) else 1 for size in tensor.shape)


def _usual(tensor: Tensor) -> tuple[int, ...] | None:
    """Where an image's height and width are open, a shape that most take; nothing where they are not."""
    if len(tensor.shape) != 4 or all(isinstance(size, int) for size in tensor.shape[1:]):
        return None
    sides = [1, *(size if isinstance(size, int) else SHOWN_SIDE for size in tensor.shape[1:])]
    return tuple(sides)
