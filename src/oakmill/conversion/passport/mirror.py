"""Whether what a model sees on images is still there on their mirror images: so a blind one shows, without labels.

Certainty alone cannot be compared between conventions: on pixels that are 128 times too strong a network is surer of
everything, and wrong (ultraface finds 1,172 faces on 64 photos instead of 72). What is really there stays there when
the image is mirrored; what wrong pixels make a model see does so less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.classification import IMAGENET, Classifier, looks_like_probabilities, probabilities
from oakmill.conversion.passport.detection import MATCHED, Detector
from oakmill.conversion.passport.segmentation import Segmentation
from oakmill.conversion.passport.tasks import Task, share
from oakmill.heads.boxes import Boxes, match
from oakmill.heads.decoders import unreadable
from oakmill.heads.recognise import CONFIDENCE

STEADY = 0.5
"""The share from which more of what a model sees stays than goes."""


@dataclass(frozen=True)
class Kept:
    """How much of what a model sees stays on mirror images: `by_image` 0 to 1, and `share` of all of it.

    Of classes that is what stays more often than by chance, so that a model that always says one keeps nothing.
    `things` is how many it saw on how many of the `images`: boxes, or different classes. `commonest` is what a
    classifier says most often, and of how many images.
    """

    by_image: tuple[float, ...]
    share: float
    things: int
    images_with_things: int
    commonest: tuple[int, int] | None = None

    @property
    def images(self) -> int:
        """How many there were."""
        return len(self.by_image)

    @property
    def mean(self) -> float:
        """Over the images; 0 of none."""
        return float(np.mean(self.by_image)) if self.by_image else 0.0

    @property
    def is_steady(self) -> bool:
        """Whether most of it stays."""
        return self.things > 0 and self.share >= STEADY


class Witness(Protocol):
    """Reads what a model sees on an image and its mirror image, and adds it up."""

    def add(self, plain: Outputs, mirrored: Outputs) -> None:
        """Add what it sees on one image."""

    def kept(self, *, faint: bool = False) -> Kept:
        """How much of all that stays; with `faint`, of what it is less sure of than an application asks, too."""


def is_telling(task: Task, outputs: Outputs) -> bool:
    """Whether a task surely is what it is taken for, so that what its outputs say of an image means something.

    An archive says so, or boxes are read off a shape that nothing else has and scores as scores; a vector is
    probabilities, or has as many numbers as ImageNet has classes. Any other may be an embedding, landmarks, a gaze.
    A mask of the classes' numbers says nothing of how sure it is.
    """
    if isinstance(task, Detector):
        return not unreadable(task.decoder.settled(outputs), outputs)
    if isinstance(task, Segmentation) and not task.is_probable(outputs):
        return False
    if isinstance(task, Classifier) and task.guessed:
        values = np.asarray(outputs[task.output], np.float64).ravel()
        return looks_like_probabilities(values) or values.size in IMAGENET
    return not getattr(task, "guessed", True)


def witness(task: Task) -> Witness | None:
    """What reads a task's outputs on mirror images; none where these are rightly read otherwise, as text is."""
    if isinstance(task, Detector):
        return _OfBoxes(task)
    return _OfClasses(task) if isinstance(task, Classifier) else None


class _OfClasses:
    """The class that a classifier says first."""

    def __init__(self, task: Classifier) -> None:
        self._task = task
        self._said: list[tuple[int, int]] = []

    def add(self, plain: Outputs, mirrored: Outputs) -> None:
        """Add what it says of one image."""
        first, second = (
            int(probabilities(outputs[self._task.output], self._task.is_softmax).argmax())
            for outputs in (plain, mirrored)
        )
        self._said.append((first, second))

    def kept(self, *, faint: bool = False) -> Kept:
        """How often both views agree, less how often one agrees with another image's."""
        said, others = self._said, max(len(self._said) - 1, 1)
        mirrored = Counter(second for _, second in said)
        by_image = tuple((first == second) - (mirrored[first] - (first == second)) / others for first, second in said)
        classes = Counter(first for first, _ in said)
        commonest = classes.most_common(1)[0] if classes else None
        mean = share(sum(by_image), len(by_image)) if by_image else 0.0
        return Kept(by_image, mean, len(classes), len(said), commonest)


class _OfBoxes:
    """The boxes that a detector finds; nobody says of a guessed one whether its corners are x, y or y, x.

    A head may ask for scores of which few boxes are left, too few to say anything: faint ones are counted apart.
    """

    def __init__(self, task: Detector) -> None:
        self._task = task
        self._axes = (0, 1) if task.guessed else (0,)
        self._bars = {False: task.confidence, True: min(task.confidence, CONFIDENCE)}
        self._counts: dict[tuple[bool, int], list[tuple[int, int]]] = {
            (faint, axis): [] for faint in self._bars for axis in self._axes
        }

    def add(self, plain: Outputs, mirrored: Outputs) -> None:
        """Add what it finds on one image."""
        all_first, all_second = (self._task.boxes(outputs, self._bars[True]) for outputs in (plain, mirrored))
        for (faint, axis), counts in self._counts.items():
            first, second = (found[found.scores >= self._bars[faint]] for found in (all_first, all_second))
            same = len(match(first, _mirrored(second, axis), MATCHED).iou)
            counts.append((2 * same, len(first) + len(second)))

    def kept(self, *, faint: bool = False) -> Kept:
        """The F1 of the boxes; on an image without boxes nothing was there to stay."""
        of_axes = [self._counts[faint, axis] for axis in self._axes]
        counts = max(of_axes, key=lambda items: sum(same for same, _ in items))
        by_image = tuple(same / total if total else 0.0 for same, total in counts)
        same, total = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
        return Kept(by_image, same / total if total else 0.0, total // 2, _with(counts))


def _with(counts: Sequence[tuple[int, int]]) -> int:
    return sum(total > 0 for _, total in counts)


def _mirrored(boxes: Boxes, axis: int) -> Boxes:
    """The boxes of a mirror image where they lie in the image; `axis` is the first corner's number that is x."""
    corners = boxes.corners.copy()
    corners[:, [axis, axis + 2]] = 1 - corners[:, [axis + 2, axis]]
    return replace(boxes, corners=corners)
