"""Instances side by side: lines of which each instance has a value, and charts of what they are chosen by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oakmill.registry.tables import Instance
from oakmill.web.views import filters, measured, plots

_MISSING = frozenset({"-", "–", "not there"})
"""What stands for a value that an instance has not."""


@dataclass(frozen=True)
class Line:
    """One line of a comparison: a section, what it is of, and each instance's value."""

    section: str
    what: str
    values: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether all are equal."""
        return len(set(self.values)) == 1

    @property
    def is_single(self) -> bool:
        """Whether only some have it: another platform asks for other things."""
        return not self.same and bool(_MISSING & set(self.values))

    @property
    def kind(self) -> str:
        """Of the three, in a word."""
        return "equal" if self.same else "single" if self.is_single else "different"

    def change(self, place: int) -> str:
        """By how much a value is more than the first, where both are numbers."""
        try:
            return f"{float(self.values[place]) - float(self.values[0]):+.4g}" if place else ""
        except ValueError:
            return ""


@dataclass(frozen=True)
class Section:
    """Lines that belong together."""

    title: str
    lines: tuple[Line, ...]

    def count(self, kind: str) -> int:
        """How many are of a kind."""
        return sum(line.kind == kind for line in self.lines)


@dataclass(frozen=True)
class Bar:
    """One instance's bar: its share of the longest, and the number in words; `best` where no other is better."""

    instance: Instance
    share: float
    text: str
    best: bool


@dataclass(frozen=True)
class Chart:
    """What a number is, whether more or less of it is better, and each instance's bar."""

    title: str
    note: str
    bars: tuple[Bar, ...]


def across(section: str, columns: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """The lines of which any instance has a value, in the order in which they come."""
    for what in dict.fromkeys(name for column in columns for name in column):
        yield Line(section, what, tuple(str(column.get(what, "–")) for column in columns))


def charts(sides: Sequence[Instance]) -> list[Chart]:
    """Accuracy by each number that two or more are measured by, size, expected time; none of fewer than two bars."""
    keys = dict.fromkeys(str(found["key"]) for row in sides if (found := plots.measured(row)))
    made = [_accuracy(key, sides) for key in keys]
    made.append(_chart("Size", "less is better", sides, lambda row: row.size, filters.size, less=True))
    made.append(
        _chart(
            "Expected time of a run",
            "less is better; not measured on a device",
            sides,
            _milliseconds,
            _timed,
            less=True,
        )
    )
    made.append(_chart("Speed on a camera", "more is better; measured", sides, measured.fps, _framed))
    return [chart for chart in made if len(chart.bars) > 1]


def _accuracy(key: str, sides: Sequence[Instance]) -> Chart:
    found = [row for row in sides if plots.measured(row).get("key") == key]
    facts = plots.measured(found[0])
    said = {row.facts["accuracy"]["value"]: str(row.facts["accuracy"]["text"]) for row in found}
    words = str(facts["words"])
    return _chart(
        words[:1].upper() + words[1:], "more is better", found, lambda row: row.facts["accuracy"]["value"], said.get
    )


def _chart(
    title: str,
    note: str,
    sides: Sequence[Instance],
    value_of: Callable[[Instance], float | None],
    said: Callable[[Any], str | None],
    *,
    less: bool = False,
) -> Chart:
    found = [(row, value) for row in sides if (value := value_of(row)) is not None]
    values = [value for _, value in found]
    longest = max(values, default=0) or 1.0
    best = (min if less else max)(values, default=None)
    differ = len(set(values)) > 1
    bars = (Bar(row, value / longest, said(value) or "", differ and value == best) for row, value in found)
    return Chart(title, note, tuple(bars))


def _milliseconds(row: Instance) -> float | None:
    expected = (row.facts.get("cost") or {}).get("expected") or {}
    found = expected.get("milliseconds")
    return float(found) if isinstance(found, int | float) else None


def _framed(fps: float) -> str:
    return f"{fps:.1f} FPS"


def _timed(milliseconds: float) -> str:
    return f"{milliseconds:.2g} ms"
