"""The one number of a passport that stands for it in lists and charts: what it is of, and against what."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from oakmill.conversion.passport import bar
from oakmill.conversion.passport.report import Passport

EQUAL_DB = 100.0
"""The SNR from which two outputs are equal, for charts that have no infinity."""


@dataclass(frozen=True)
class Headline:
    """A number, higher is better: only those of the same `key` may stand on one scale.

    `words` say what it is, `text` is the number as people read it. `value` is a share of 0 to 1, or in decibels where
    `unit` says so; `float_value` is what the float model has of it, where that is another number than full agreement.
    """

    key: str
    words: str
    value: float
    text: str
    method: str
    images: int
    unit: str = "%"
    float_value: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As plain data, without what is not known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def headline(passport: Passport) -> Headline | None:
    """By labels where there are any, else the agreement that decides, else the lowest SNR; None of nothing measured."""
    return _by_labels(passport) or _by_task(passport) or _by_snr(passport)


def _by_labels(passport: Passport) -> Headline | None:
    found = passport.accuracy
    if found is None or bar.is_foreign(found[1]) or math.isnan(found[1].headline.candidate):
        return None
    method, accuracy = found
    score = accuracy.headline
    whole = None if math.isnan(score.reference) else score.reference
    text, words = score.said(score.candidate), f"{score.words} by labels"
    return Headline(f"labels:{score.key}", words, score.candidate, text, method, accuracy.images, score.unit, whole)


def _by_task(passport: Passport) -> Headline | None:
    tasks = [(method, task) for method, task in passport.tasks if task.decides and task.measured]
    method, task = next(iter(tasks), ("", None))
    if task is None or not 0 <= task.headline.value <= 1:
        return None
    metric = task.headline
    return Headline(f"{task.kind}:{metric.key}", metric.words, metric.value, metric.text, method, task.images)


def _by_snr(passport: Passport) -> Headline | None:
    lowest = [
        (min(output.judged_db, EQUAL_DB), check.name)
        for check in passport.checks
        for output in check.outputs
        if not math.isnan(output.judged_db)
    ]
    if not lowest:
        return None
    value, method = min(lowest)
    text = "equal" if value >= EQUAL_DB else f"{value:.1f} dB"
    return Headline("snr", "lowest SNR of an output", value, text, method, len(passport.images.names), unit="dB")
