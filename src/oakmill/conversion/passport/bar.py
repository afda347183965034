"""The user's bar: how much of the task's metric a conversion may lose, by labels, else by agreement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from oakmill.conversion.passport.labelled import Accuracy
from oakmill.conversion.passport.report import Passport
from oakmill.conversion.passport.tasks import FEW
from oakmill.errors import AccuracyDropped
from oakmill.findings import Finding, Severity

MAX_DROP = 0.01
"""What AUTO lets go where the images are labelled and no bar is given: a point. Qualcomm's own 8 bits lose 0 to 3
points of top-1 and 2 to 9 of mAP, its 16 bits half a point (its published figures of 739 models)."""
LEAST = 0.05
"""Of the metric, what the float model must reach: labels by which it is all but always wrong are not of its task, or
count its classes otherwise, and a loss of nothing is no proof."""
_EXACT = 1e-9
"""What binary fractions leave of 0.99 - 0.98."""


@dataclass(frozen=True)
class Drop:
    """What is lost of a metric, in parts of 1: `words` say it; `low` and `high` its 95 % interval, NaN if unknown."""

    value: float
    words: str
    images: int
    low: float = math.nan
    high: float = math.nan
    by_labels: bool = False

    def is_within(self, most: float) -> bool:
        """Whether so much may be lost."""
        return self.value <= most + _EXACT


def drop_of(passport: Passport) -> Drop | None:
    """What the converted model lost: by labels on the most images, else by agreement; None where neither tells."""
    if found := passport.accuracy:
        method, accuracy = found
        if not (math.isnan(accuracy.drop) or is_foreign(accuracy)):
            score = accuracy.headline
            words = f"{score.text} by {method} on {accuracy.images} labelled images"
            return Drop(score.drop, words, accuracy.images, *score.drop_interval, by_labels=True)
    for method, task in passport.tasks:
        if task.decides and task.measured:
            words = f"{task.headline.words} {task.headline.text} by {method}, without labels"
            return Drop(1 - task.headline.value, words, task.images)
    return None


def is_foreign(accuracy: Accuracy) -> bool:
    """Whether labels are not of what the model finds, as the float model itself is all but always wrong by them."""
    return accuracy.headline.reference < LEAST


def is_fit(passport: Passport, max_drop: float | None) -> bool:
    """Whether AUTO takes it.

    With enough images what they show decides, and what is an error beside it: the drop by labels, else the decisions by
    their own bounds, and the bar where one is given. What only might go wrong, or is wrong in any format, does not send
    it on to a slower one. Without, the verdict decides.
    """
    drop = drop_of(passport)
    wrong = any(finding.severity is Severity.ERROR for finding in passport.findings)
    if drop is None or drop.images < FEW:
        return passport.verdict is Severity.OK and (max_drop is None or drop is None or drop.is_within(max_drop))
    if drop.by_labels:
        return drop.is_within(MAX_DROP if max_drop is None else max_drop) and not wrong
    return _decides_alike(passport) and not wrong and (max_drop is None or drop.is_within(max_drop))


def _decides_alike(passport: Passport) -> bool:
    """Whether each method that saw enough images finds everything within its bounds, and no other one an error."""
    told = [check for check in passport.checks if any(task.measured and task.images >= FEW for task in check.tasks)]
    failed = any(check.verdict is Severity.ERROR for check in passport.checks)
    return all(check.verdict is Severity.OK for check in told) and not failed and not passport.fp16_overflows


def held(passport: Passport, max_drop: float | None) -> Passport:
    """The passport with what the bar says of it, where one was given, and with labels that judge nothing."""
    told = () if max_drop is None else _findings(drop_of(passport), max_drop)
    return replace(passport, findings=(*told, *_foreign(passport), *passport.findings))


def _foreign(passport: Passport) -> Iterator[Finding]:
    if passport.accuracy and is_foreign(passport.accuracy[1]):
        accuracy = passport.accuracy[1]
        reached = f"{accuracy.headline.words} {accuracy.headline.reference:.3f}"
        yield Finding(
            "labels_foreign", Severity.WARNING,
            f"the float model itself reaches {reached} by these labels ({accuracy.labels}; {accuracy.note}), so they "
            "judge nothing",
            "Labels of something else",
            "name the classes as the labels do (--classes), or give labels of what the model finds",
        )  # fmt: skip


def _findings(drop: Drop | None, most: float) -> Iterator[Finding]:
    asked = f"--max-drop {most:g}"
    if drop is None:
        yield Finding(
            "drop_unknown", Severity.WARNING,
            f"what it loses cannot be held against {asked}: nothing says what its outputs decide",
            "The bar was not applied",
            "declare the head in an NN Archive (--head, --classes), or give labelled images (oakmill datasets add)",
        )  # fmt: skip
    elif not drop.is_within(most):
        yield Finding(
            AccuracyDropped.finding, Severity.ERROR,
            f"{drop.words}; {asked} allows {100 * most:g} points",
            "It loses more than is allowed",
            "--target-precision AUTO finds the fastest format that keeps it; more, and more fitting, images calibrate "
            "better",
            evidence={"drop": round(drop.value, 6), "max_drop": most, "images": drop.images},
        )  # fmt: skip
    elif drop.high > most:
        yield Finding(
            "few_labels", Severity.NOTE,
            f"{drop.images} labelled images cannot tell {100 * most:g} points: the drop lies between "
            f"{100 * drop.low:.1f} and {100 * drop.high:.1f} points (95 %)",
            "Few images for this bar",
            "label more images, or take the interval for what it is",
        )  # fmt: skip
