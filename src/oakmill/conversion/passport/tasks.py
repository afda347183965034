"""What users mean by right: each task measures, image by image, whether the converted model decides the same."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from pydantic import StringConstraints

from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.metric import Metric, Real
from oakmill.conversion.passport.pixels import DataUrl
from oakmill.findings import Severity, worst_of

WORST, BEST = 6, 2
"""Images that are kept to be shown: those that agree least, and those that show best what a model does."""
CONFUSIONS = 200
"""Pairs of classes that are kept, the most frequent ones."""
DECLARED = "as its head in the NN Archive says"
"""How a task is known that nobody guessed: the source's archive declares the head, or it was recognised and written."""
ENOUGH = 8
"""Decisions from which they count in place of an SNR: of a file that gets three in ten wrong, eight are all right by
chance once in 17, two every other time."""
BESIDE = ", so the SNR counts beside them"
FEW = 16
"""Images below which a share is a rough number: one image of 16 is 6 points, about the room of a warning."""


Colour = Annotated[str, StringConstraints(pattern=r"^(#[0-9a-f]{6})?$")]


@dataclass(frozen=True)
class Seen:
    """One thing that a model says of an image: a class with its score, and where it is, in parts of the image.

    `colour` is that of the class in a mask, as `#rrggbb`; there the score is its share of the image.
    """

    label: str
    score: Real
    box: tuple[Real, Real, Real, Real] | None = None
    matched: bool = True
    colour: Colour = ""


@dataclass(frozen=True)
class Sighting:
    """All that a model says of an image; `mask` is a drawing of its classes, to lie over the image."""

    seen: tuple[Seen, ...] = ()
    text: str = ""
    mask: DataUrl = ""


Pair = tuple[Sighting, Sighting]
"""What the float model and the converted one say of an image."""


@dataclass(frozen=True)
class ShownImage:
    """An image as both see it: `agreement` of 0 to 1, what the float model says and what the converted."""

    image: str
    agreement: Real
    reference: Sighting
    candidate: Sighting


@dataclass(frozen=True)
class ClassAgreement:
    """One class: how often the float model says it, how often the converted, and how often both on the same thing."""

    index: int
    label: str
    reference: int
    candidate: int
    both: int


@dataclass(frozen=True)
class Confusion:
    """How often the float model says one class and the converted another of the same thing; classes by their index."""

    reference: int
    candidate: int
    count: int


@dataclass(frozen=True)
class TaskAgreement:
    """How far the converted model decides as the float model does, in one task.

    `outputs` are those that it speaks for; `metrics` its numbers by their keys, the first the one that says most;
    `note` how the outputs were read, and whether the archive says so or their shapes; `by_image` the agreement of each
    image; `worst` and `best` images to be shown; `confusions` the pairs of different classes.
    Where it does not decide, it is shown, and the verdict on the outputs stays with their SNR. `evident` says that what
    a guessed task's outputs hold bears the guess out, as probabilities do that sum up to 1: without it the task adds to
    the SNR's verdict, and never replaces it; nor does one that found too `few` things to compare. `unreadable` says why
    outputs cannot be what they were taken for.
    """

    name: str
    kind: str
    outputs: tuple[str, ...]
    metrics: Mapping[str, Metric]
    images: int
    note: str
    worst: tuple[ShownImage, ...] = ()
    classes: tuple[ClassAgreement, ...] = ()
    by_image: tuple[Real, ...] = ()
    guessed: bool = False
    decides: bool = True
    evident: bool = False
    unreadable: str = ""
    few: bool = False
    best: tuple[ShownImage, ...] = ()
    confusions: tuple[Confusion, ...] = ()

    @property
    def speaks(self) -> bool:
        """Whether it says something of its outputs: it decides, was measured, and is no mere guess."""
        return self.decides and self.measured and (self.evident or not self.guessed)

    @property
    def replaces_snr(self) -> bool:
        """Whether it says of its outputs what their SNR would: on enough things to be no chance."""
        return self.speaks and not self.few

    @property
    def headline(self) -> Metric:
        """The number that says most."""
        return next(iter(self.metrics.values()))

    @property
    def measured(self) -> bool:
        """Whether there was anything to measure: a detector may find nothing on all images."""
        return self.headline.measured

    @property
    def verdict(self) -> Severity:
        """The worst of its numbers; a warning where nothing could be measured, ok where it decides nothing."""
        if not self.decides:
            return Severity.OK
        return worst_of(metric.verdict for metric in self.metrics.values()) if self.measured else Severity.WARNING

    @property
    def values(self) -> Mapping[str, float]:
        """The numbers by their keys."""
        return {key: metric.value for key, metric in self.metrics.items()}

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not ok, a sentence each."""
        if not self.decides:
            return ()
        if self.unreadable:
            return (f"{self.name}: the outputs cannot be read as declared, {self.unreadable}",)
        if not self.measured:
            words = f"{self.name}: the float model finds nothing on these {self.images} images, so nothing is compared"
            return (words,)
        missed = [metric for metric in self.metrics.values() if metric.verdict is not Severity.OK]
        return tuple(f"{metric.words} is {metric.text} ({metric.bound(metric.verdict)})" for metric in missed)


class Task(Protocol):
    """Adds up, image by image, how the two decide."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that it reads."""

    def add(self, image: str, reference: Outputs, candidate: Outputs) -> None:
        """Add one image's outputs, by name: the float model's, and the converted one's in the same layout."""

    def agreement(self) -> TaskAgreement:
        """What was found so far."""

    def certainty(self, outputs: Outputs) -> float:
        """How sure a model is of what it sees on one image, 0 to 1."""


class WorstImages:
    """Keeps the images that agree least."""

    def __init__(self, most: int = WORST) -> None:
        self._heap: list[tuple[float, int, int, ShownImage]] = []
        self._most = most
        self._count = 0

    def would_keep(self, agreement: float, weight: int = 0) -> bool:
        """Whether an image that agrees so far is among the worst; one that agrees fully never is.

        `weight` is how much there is to see on it: of two that agree as little, the one with more is worse.
        """
        return agreement < 1 and (len(self._heap) < self._most or self._heap[0][:2] < (-agreement, weight))

    def add(self, item: ShownImage, weight: int = 0) -> None:
        """Add one, and drop the one that agrees most where there are too many."""
        self._count += 1
        heapq.heappush(self._heap, (-item.agreement, weight, -self._count, item))
        if len(self._heap) > self._most:
            heapq.heappop(self._heap)

    def sorted(self) -> tuple[ShownImage, ...]:
        """The worst first."""
        return tuple(entry[3] for entry in sorted(self._heap, key=lambda entry: entry[:3], reverse=True))


class BestImages:
    """Keeps the images that show best what a model does."""

    def __init__(self, most: int = BEST) -> None:
        self._heap: list[tuple[float, int, ShownImage]] = []
        self._most = most
        self._count = 0

    def would_keep(self, worth: float) -> bool:
        """Whether an image of that worth is among the best; one that shows nothing, with 0, never is."""
        return worth > 0 and (len(self._heap) < self._most or self._heap[0][0] < worth)

    def add(self, item: ShownImage, worth: float) -> None:
        """Add one, and drop the one of least worth where there are too many."""
        self._count += 1
        heapq.heappush(self._heap, (worth, -self._count, item))
        if len(self._heap) > self._most:
            heapq.heappop(self._heap)

    def sorted(self) -> tuple[ShownImage, ...]:
        """The best first."""
        return tuple(entry[2] for entry in sorted(self._heap, key=lambda entry: entry[:2], reverse=True))


@dataclass
class Gallery:
    """The images of one task that are to be shown, the worst and the best."""

    worst: WorstImages = field(default_factory=WorstImages)
    best: BestImages = field(default_factory=BestImages)

    def add(self, image: str, agreement: float, worth: float, seen: Callable[[], Pair], *, weight: int = 0) -> None:
        """Add an image where it is among them; only then what both see on it is asked for by `seen`.

        `worth` is how well it shows what the model does, and `weight` how much of it differs.
        """
        is_worst, is_best = self.worst.would_keep(agreement, weight), self.best.would_keep(worth * agreement)
        if not (is_worst or is_best):
            return
        item = ShownImage(image, agreement, *seen())
        if is_worst:
            self.worst.add(item, weight)
        if is_best:
            self.best.add(item, worth * agreement)


def label(names: tuple[str, ...], index: int) -> str:
    """A class in words: its name, else its number."""
    return names[index] if 0 <= index < len(names) else f"class {index}"


def share(part: float, whole: float) -> float:
    """A share, NaN of nothing."""
    return part / whole if whole else float("nan")


def by_key(*metrics: Metric) -> dict[str, Metric]:
    """Numbers by their keys, in this order."""
    return {metric.key: metric for metric in metrics}


def confusions_of(pairs: Counter[tuple[int, int]]) -> tuple[Confusion, ...]:
    """The pairs (float model's class, converted one's) that differ, the most frequent first."""
    found = sorted(((pair, count) for pair, count in pairs.items() if pair[0] != pair[1]), key=lambda item: -item[1])
    return tuple(Confusion(*pair, count) for pair, count in found[:CONFUSIONS])


def classes_seen(
    names: tuple[str, ...], reference: Counter[int], candidate: Counter[int], both: Counter[int]
) -> tuple[ClassAgreement, ...]:
    """The classes that either says, the float model's most frequent first."""
    found = sorted({*reference, *candidate}, key=lambda index: (-reference[index], index))
    return tuple(
        ClassAgreement(index, label(names, index), reference[index], candidate[index], both[index]) for index in found
    )
