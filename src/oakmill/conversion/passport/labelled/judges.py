"""Chooses what judges by labels: the task that answers what is labelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from oakmill.calibration.labels import Kind, Labels
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.classification import Classifier
from oakmill.conversion.passport.detection import Detector
from oakmill.conversion.passport.labelled.accuracy import Accuracy
from oakmill.conversion.passport.labelled.boxes import Detections
from oakmill.conversion.passport.labelled.classes import Classes
from oakmill.conversion.passport.labelled.masks import Pixels
from oakmill.conversion.passport.labelled.points import Keypoints
from oakmill.conversion.passport.labelled.texts import Texts
from oakmill.conversion.passport.labelled.truth import Truth
from oakmill.conversion.passport.segmentation import Segmentation
from oakmill.conversion.passport.sequence import Sequence as StepByStep
from oakmill.conversion.passport.tasks import Task
from oakmill.findings import Finding, Severity

UNUSED = "labels_unused"
"""The code of the finding that labels are there, and judge nothing."""


class Judge(Protocol):
    """Adds up, image by image, how often a model is right."""

    @property
    def matching(self) -> str:
        """How the labels' classes were matched with the model's, in words; empty before the first image."""

    @property
    def counts(self) -> bool:
        """Whether there is anything to judge by now."""

    def add(self, image: str, reference: Outputs | None, candidate: Outputs) -> None:
        """Add one image's outputs, by name: the float model's, where it is there, and the converted one's."""

    def accuracy(self) -> Accuracy | None:
        """What was found so far; None where nothing could be judged."""


def judges_of(tasks: Sequence[Task], truth: Truth | None) -> tuple[Judge, ...]:
    """A judge for each task that answers what is labelled."""
    if truth is None:
        return ()
    return tuple(judge for task in tasks for judge in _judges(task, truth))


def _judges(task: Task, truth: Truth) -> Iterator[Judge]:
    """The task's own metric first."""
    match task, truth.kind:
        case Classifier(), Kind.CLASSES:
            yield Classes(truth, task.output, task.names)
        case Detector(), Kind.BOXES if truth.size is not None:
            if task.has_keypoints and truth.has_keypoints:
                yield Keypoints(truth, task)
            yield Detections(truth, task)
        case Segmentation(), Kind.MASKS if truth.size is not None:
            yield Pixels(truth, task)
        case StepByStep(), Kind.TEXTS if task.names and task.blank is not None:
            yield Texts(truth, task)


def unused(labels: Labels, truth: Truth | None, judges: Sequence[Judge]) -> Finding:
    """That labels are there, and nothing was judged by them."""
    if truth is None:
        why = "none of the images that test is labelled"
    elif not judges:
        why = f"no output is recognised as that of {labels.kind.reader}"
    else:
        why = "; ".join(judge.matching for judge in judges) or "none of these images counts"
    return Finding(
        UNUSED,
        Severity.WARNING,
        f"the images have labels ({labels.words}), and nothing could be judged by them: {why}",
        "Labels that judge nothing",
        "name the model's classes as the labels do (--classes), declare its head (--head, or an NN Archive), or label "
        "what the model answers",
    )
