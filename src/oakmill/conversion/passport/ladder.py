"""The number formats that were tried for one file, one after the other, and what each was worth: rows of a passport."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from oakmill.conversion.passport.metric import Measured
from oakmill.findings import Severity


@dataclass(frozen=True)
class Rung:
    """One number format: its verdict, the number that says most, the file's size in bytes; or why there is no file.

    `fit` is whether it keeps the accuracy as far as was asked. `lost` is what it lost of the metric, in parts of 1, and
    `kept` what it has of it; `lost_low` and `lost_high` are the ends of the 95 % interval. `milliseconds` is what an
    image is expected to take on the device, where anybody knows, and `untimed` why nobody does. `unfit` is why it is
    not taken.
    """

    precision: str
    verdict: Severity | None = None
    measured: str = ""
    size: int = 0
    refused: str = ""
    fit: bool = False
    kept: Measured = math.nan
    lost: Measured = math.nan
    lost_low: Measured = math.nan
    lost_high: Measured = math.nan
    milliseconds: Measured = math.nan
    untimed: str = ""
    unfit: str = ""

    @property
    def words(self) -> str:
        """What came of it, for people."""
        if self.verdict is None:
            return f"{self.precision}: not made: {self.refused}"
        number = f" ({self.measured})" if self.measured else ""
        taken = "taken" if self.fit else "goes on"
        why = f": {self.unfit}" if self.unfit else ""
        return f"{self.precision}: {self.verdict}{number}, {self.size / 1e6:.2f} MB; {taken}{why}"


def notes(rungs: Sequence[Rung]) -> tuple[str, ...]:
    """What to know of single formats beside their numbers, in sentences."""
    passed = tuple(f"{rung.precision} is not taken: {rung.unfit}" for rung in rungs if rung.unfit)
    return (*passed, *(f"{rung.precision}: {rung.untimed}" for rung in rungs if rung.untimed))
