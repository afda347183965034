"""What numbers mean: fit to use, look closer, or wrong; and one number with the bounds that decide it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What the numbers mean: fit to use, look closer, or wrong; people see green, amber or red."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"

    @property
    def colour(self) -> str:
        """The word that people see."""
        return {"pass": "green", "warn": "amber", "fail": "red"}[self.value]


def worst_of(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several; pass where there are none."""
    found = set(verdicts)
    return next((verdict for verdict in (Verdict.FAIL, Verdict.WARN) if verdict in found), Verdict.PASS)


@dataclass(frozen=True)
class Metric:
    """One number of a task's, with its words, and its bounds where it decides.

    Green from `green` on, red beyond `red`, amber between; where `green` is below `red`, lower is better. NaN is a
    number that could not be measured: it decides nothing. `unit` is "%" for shares of 0 to 1, else empty.
    """

    key: str
    words: str
    value: float
    unit: str = "%"
    green: float | None = None
    red: float | None = None

    @property
    def measured(self) -> bool:
        """Whether there was anything to measure it on."""
        return not math.isnan(self.value)

    @property
    def verdict(self) -> Verdict:
        """By its bounds."""
        if self.green is None or self.red is None or not self.measured:
            return Verdict.PASS
        sign = 1 if self.green >= self.red else -1
        if sign * self.value >= sign * self.green:
            return Verdict.PASS
        return Verdict.WARN if sign * self.value >= sign * self.red else Verdict.FAIL

    @property
    def text(self) -> str:
        """The number as people read it."""
        if not self.measured:
            return "not measured"
        return f"{self.value:.1%}".replace("%", " %") if self.unit == "%" else f"{self.value:.3g}"

    def bound(self, verdict: Verdict) -> str:
        """The bound that it missed, in words."""
        limit = self.green if verdict is Verdict.WARN else self.red
        assert limit is not None
        words = f"{limit:.0%}".replace("%", " %") if self.unit == "%" else f"{limit:g}"
        side = ("from", "below") if (self.green or 0) >= (self.red or 0) else ("up to", "above")
        return f"green is {side[0]} {words}" if verdict is Verdict.WARN else f"red is {side[1]} {words}"

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "words": self.words,
            "value": round(self.value, 6) if math.isfinite(self.value) else None,
            "verdict": self.verdict.value if self.green is not None and self.measured else None,
            "green": self.green,
            "red": self.red,
        }
