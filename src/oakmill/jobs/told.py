"""What an attempt at a job tells: its events become stages, progress and lines, for whoever writes them down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_LONGEST_TEXT, _LONGEST_UNIT = 300, 16
_MOST_PHASES = 40


@dataclass(frozen=True)
class Line:
    """A line on its way into the log; `kind` is an event's: log, note, warning, started, finished, error."""

    text: str
    stage: str = ""
    kind: str = "log"
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Told:
    """Stages and progress as they stand, and the lines that nobody has written down yet."""

    stages: list[dict[str, Any]] = field(default_factory=list, init=False)
    progress: dict[str, Any] = field(default_factory=dict, init=False)
    lines: list[Line] = field(default_factory=list, init=False)
    changed: bool = field(default=False, init=False)

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Take an event of the conversion."""
        stage, kind, text = str(event["stage"]), str(event["kind"]), str(event.get("text", ""))
        if kind == "started":
            self.stages.append({"name": stage, "status": "running", "seconds": 0.0})
        elif kind == "finished":
            seconds = round(float(event.get("seconds", 0.0)), 3)
            self.stages[-1] |= {"name": stage, "status": "done", "seconds": seconds}
            text = f"{seconds:.2f} s"
        if kind in ("started", "progress"):
            self._place(event, stage, kind, text)
        if kind != "progress":
            self.lines.append(Line(storable(text or stage), storable(stage), kind))
        self.changed = True

    def _place(self, event: Mapping[str, Any], stage: str, kind: str, text: str) -> None:
        """Note where in its stage it is."""
        done, total = int(event.get("done", 0)), int(event.get("total", 0))
        if kind == "progress" and total > 0:
            self._count(done, total, round(float(event.get("seconds", 0.0)), 2))
        self.progress = {"stage": storable(stage), "text": storable(text)[:_LONGEST_TEXT], "done": done, "total": total}
        if unit := str(event.get("unit", "")):
            self.progress["unit"] = storable(unit)[:_LONGEST_UNIT]

    def _count(self, done: int, total: int, seconds: float) -> None:
        """Note when each phase of the stage that counts its steps begins and ends: later jobs are measured by it."""
        if not self.stages:
            return
        phases: list[list[float]] = self.stages[-1].setdefault("phases", [])
        goes_on = self.progress.get("total") == total and int(self.progress.get("done", 0)) <= done
        if not phases or (not goes_on and len(phases) < _MOST_PHASES):
            phases.append([seconds, seconds])
        phases[-1][1] = seconds

    def add_line(self, text: str, kind: str = "log") -> None:
        """Take a line that belongs to no event."""
        self.lines.append(Line(storable(text), self.progress.get("stage", ""), kind))
        self.changed = True

    def failed(self) -> None:
        """The stage that was running is where it ended."""
        for stage in self.stages:
            if stage["status"] == "running":
                stage["status"] = "failed"
        self.changed = True


def storable(text: str) -> str:
    """Text as every database takes it: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
