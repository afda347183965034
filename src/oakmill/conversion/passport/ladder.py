"""The number formats that were tried for one file, one after the other, and what each was worth: rows of a passport."""

from __future__ import annotations

from dataclasses import dataclass

from oakmill.findings import Severity


@dataclass(frozen=True)
class Rung:
    """One number format: its verdict, the number that says most, the file's size in bytes; or why there is no file."""

    precision: str
    verdict: Severity | None = None
    measured: str = ""
    size: int = 0
    refused: str = ""

    @property
    def words(self) -> str:
        """What came of it, for people."""
        if self.verdict is None:
            return f"{self.precision}: not made: {self.refused}"
        number = f" ({self.measured})" if self.measured else ""
        return f"{self.precision}: {self.verdict}{number}, {self.size / 1e6:.2f} MB"
