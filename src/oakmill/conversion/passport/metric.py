"""One number of a task's, in words, with the bounds that decide what it means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from oakmill.findings import Severity


def number(value: float) -> float | str:
    """A number for JSON, which has none that are infinite or undefined: those are words."""
    return round(float(value), 6) if math.isfinite(value) else str(float(value))


_OR_NAN = BeforeValidator(lambda value: math.nan if value is None else value)
Real = Annotated[float, PlainSerializer(number, when_used="json"), _OR_NAN]
"""A number that may be infinite or NaN, which JSON has as words."""
Measured = Annotated[
    float, PlainSerializer(lambda value: number(value) if math.isfinite(value) else None, when_used="json"), _OR_NAN
]
"""A number that could be measured, or NaN, which JSON has as null."""


@dataclass(frozen=True)
class Metric:
    """One number of a task's, with its words, and its bounds where it decides.

    Ok from `ok` on, an error beyond `error`, a warning between; where `ok` is below `error`, lower is better. NaN is
    a number that could not be measured: it decides nothing. `unit` is "%" for shares of 0 to 1, else empty.
    """

    key: str
    words: str
    value: Measured
    unit: str = "%"
    ok: float | None = None
    error: float | None = None

    @property
    def measured(self) -> bool:
        """Whether there was anything to measure it on."""
        return not math.isnan(self.value)

    @property
    def judged(self) -> bool:
        """Whether it was measured, and has bounds."""
        return self.ok is not None and self.error is not None and self.measured

    @property
    def verdict(self) -> Severity:
        """By its bounds."""
        if self.ok is None or self.error is None or not self.measured:
            return Severity.OK
        sign = 1 if self.ok >= self.error else -1
        if sign * self.value >= sign * self.ok:
            return Severity.OK
        return Severity.WARNING if sign * self.value >= sign * self.error else Severity.ERROR

    @property
    def text(self) -> str:
        """The number as people read it."""
        if not self.measured:
            return "not measured"
        return f"{self.value:.1%}".replace("%", " %") if self.unit == "%" else f"{self.value:.3g}"

    def bound(self, verdict: Severity = Severity.WARNING) -> str:
        """The bound that it missed, in words; from where on it is ok, unless it is an error."""
        if self.ok is None or self.error is None:
            return ""
        limit = self.error if verdict is Severity.ERROR else self.ok
        words = f"{limit:.0%}".replace("%", " %") if self.unit == "%" else f"{limit:g}"
        side = ("from", "below") if self.ok >= self.error else ("up to", "above")
        return f"error {side[1]} {words}" if verdict is Severity.ERROR else f"ok {side[0]} {words}"
