"""Chooses the tasks that measure a model's outputs, by what the outputs are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.classification import Classifier
from oakmill.conversion.passport.detection import Detector
from oakmill.conversion.passport.segmentation import Segmentation
from oakmill.conversion.passport.sequence import ScoredRows
from oakmill.conversion.passport.sequence import Sequence as StepByStep
from oakmill.conversion.passport.tasks import Task
from oakmill.heads.decoders import Size
from oakmill.heads.recognise import (
    Detections,
    Head,
    Masks,
    Recognised,
    ScoredPlaces,
    Scores,
    Steps,
    TensorLike,
    recognise,
)
from oakmill.model.source import Tensor


def of(
    outputs: Iterable[TensorLike], heads: Sequence[Head] | None = None, size: Size | None = None
) -> tuple[Task, ...]:
    """The tasks of a model, empty and ready to be added to; what is given is as `recognise` takes it."""
    return tuple(map(_task, recognise(outputs, heads, size)))


def of_image(outputs: Outputs, heads: Sequence[Head] | None = None, size: Size | None = None) -> tuple[Task, ...]:
    """The tasks of a model, as one image's outputs have its names and shapes."""
    return of(tensors_of(outputs), heads, size)


def tensors_of(outputs: Outputs) -> list[Tensor]:
    """Outputs as tensors of a model."""
    return [Tensor(name, values.shape, values.dtype.name) for name, values in outputs.items()]


def _task(found: Recognised) -> Task:
    match found:
        case Detections():
            return Detector(
                found.decoder, found.names, found.confidence, found.iou, found.guessed, found.head, found.size
            )
        case Scores():
            return Classifier(found.output, found.names, found.is_softmax, found.guessed)
        case Steps():
            return StepByStep(found.output, found.names, found.blank, found.guessed)
        case Masks():
            return Segmentation(found.output, found.names, found.guessed, found.axis)
        case ScoredPlaces():
            return ScoredRows(found.output)
