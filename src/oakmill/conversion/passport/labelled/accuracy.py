"""One metric by labels: what the float model reaches and what the converted one does, with intervals."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from oakmill.conversion.passport.metric import Measured

Interval = tuple[Measured, Measured]
UNKNOWN: Interval = (math.nan, math.nan)


@dataclass(frozen=True)
class Score:
    """A metric of 0 to 1, higher is better: NaN where there is no such model, or nothing to measure.

    Intervals hold 95 % of what other images of the same kind would give, by bootstrap; that of the drop is of both
    models on the same images. `unit` is "%" for shares, else empty.
    """

    key: str
    words: str
    reference: Measured
    candidate: Measured
    reference_interval: Interval = UNKNOWN
    candidate_interval: Interval = UNKNOWN
    drop_interval: Interval = UNKNOWN
    unit: str = "%"

    @property
    def drop(self) -> float:
        """How much the converted model has lost; below 0 it gained."""
        return self.reference - self.candidate

    def said(self, value: float) -> str:
        """A value as people read it."""
        if math.isnan(value):
            return "not measured"
        return f"{value:.1%}".replace("%", " %") if self.unit == "%" else f"{value:.3f}"

    def points(self, value: float) -> str:
        """A difference as people read it: in points, of a hundred."""
        rounded = round(100 * value, 1)
        return f"{rounded:+.1f}" if rounded else "0.0"

    @property
    def text(self) -> str:
        """Both, the drop and its interval in a phrase."""
        if math.isnan(self.reference):
            low, high = self.candidate_interval
            return f"{self.words} {self.said(self.candidate)} (95 %: {self.said(low)} to {self.said(high)})"
        low, high = self.drop_interval
        return (
            f"{self.words} {self.said(self.candidate)}, float {self.said(self.reference)}: "
            f"{self.points(-self.drop)} points (95 %: {self.points(-high)} to {self.points(-low)})"
        )


@dataclass(frozen=True)
class Accuracy:
    """What labels say of one task: `scores` by importance, the first decides.

    `images` are those that counted; `labels` says in words what was labelled, and `note` how the labels' classes were
    matched with the model's and what was not counted.
    """

    name: str
    kind: str
    images: int
    labels: str
    scores: tuple[Score, ...]
    note: str = ""

    @property
    def headline(self) -> Score:
        """The one that decides."""
        return self.scores[0]

    @property
    def drop(self) -> float:
        """What is lost of it; NaN where one of the two was not measured."""
        return self.headline.drop

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        plain: dict[str, Any] = json.loads(TypeAdapter(Accuracy).dump_json(self))
        self.judge(plain)
        return plain

    def judge(self, plain: dict[str, Any]) -> None:
        """Add to this as plain data the drops."""
        for score, row in zip(self.scores, plain["scores"], strict=True):
            row["drop"] = None if math.isnan(score.drop) else round(score.drop, 6)
