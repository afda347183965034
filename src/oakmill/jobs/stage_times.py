"""How far a running job is: stages weighted by what past jobs took, and within one what it counts itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

INSTALL = "install"
"""The stage in which missing tools are installed: few jobs have it, and it says itself how far it is."""
PARTS = {"downloading": (0.0, 0.3), "unpacking": (0.3, 0.35), "compiling": (0.35, 0.9), "verifying": (0.9, 0.95)}
"""Which part of it each of its phases is, by the word that it begins with."""
ONE_INSTALLATION = 60.0
"""Seconds of an installation that has not told anything yet."""
ORDER = ("inspect", "preflight", "prepare", "calibrate", "compile", "package", "verify")
AT_FIRST: Mapping[str, float] = {
    "inspect": 1, "preflight": 3, "prepare": 6, "calibrate": 40, "compile": 30, "package": 1, "verify": 40,
}  # fmt: skip
"""Weights of stages where no job has ended yet: of small models on a small machine, in seconds."""
NEARLY = 0.98
"""What a stage that has not ended is at most."""
PACE = (0.33, 4.0)
"""By how much this job may be faster or slower than past ones, seen in the stages that it has behind it."""
ENOUGH_SECONDS = 2.0
"""Of past stages, for that to say something."""
SCALED = (0.25, 8.0)
"""By how much a model's size may stretch what another model took."""


@dataclass(frozen=True)
class Past:
    """One job that succeeded: its stages as they stand in its row, all of its seconds, its source's size in bytes."""

    stages: Sequence[Mapping[str, Any]]
    seconds: float
    size: int | None = None

    def scale(self, size: int | None) -> float:
        """What to multiply its times by for a source of another size: work grows, and what is constant does not."""
        if not size or not self.size:
            return 1.0
        return min(max(math.sqrt(size / self.size), SCALED[0]), SCALED[1])


@dataclass(frozen=True)
class Usual:
    """What is expected of a job: seconds of each stage, of all of it, and when each stage's counted phases lie.

    A phase is (begin, end) in parts of its stage. `known` is whether past jobs say so.
    """

    seconds: Mapping[str, float]
    total: float
    phases: Mapping[str, Sequence[tuple[float, float]]]
    known: bool = True


def usual(past: Sequence[Past], size: int | None) -> Usual | None:
    """What past jobs say of one with a source of that size; None of none that went through all stages."""
    whole = [item for item in past if any(stage["name"] == "verify" for stage in item.stages)]
    if not whole:
        return None
    by_name: dict[str, list[float]] = {}
    phases: dict[str, list[list[tuple[float, float]]]] = {}
    for item in whole:
        for stage in item.stages:
            name, seconds = str(stage["name"]), float(stage.get("seconds") or 0)
            by_name.setdefault(name, []).append(seconds * item.scale(size))
            phases.setdefault(name, []).append(_shares(stage.get("phases") or (), seconds))
    often = {name: found for name, found in by_name.items() if name != INSTALL and 2 * len(found) >= len(whole)}
    total = median(item.seconds * item.scale(size) for item in whole)
    return Usual({name: median(found) for name, found in often.items()}, total, _typical(phases))


def at_first(*, calibrates: bool) -> Usual:
    """What is expected where no job has ended yet: in which order, and very roughly what it weighs."""
    seconds = {name: AT_FIRST[name] for name in ORDER if calibrates or name != "calibrate"}
    return Usual(seconds, sum(seconds.values()), {}, known=False)


def on_camera(*, proves: bool) -> Usual:
    """What is expected of the first job on a camera, which a proof prepares for and a benchmark does not."""
    seconds = {"inspect": 2.0, "preflight": 1.0, "prepare": 6.0, "verify": 30.0} if proves else {"verify": 15.0}
    return Usual(seconds, sum(seconds.values()), {}, known=False)


@dataclass(frozen=True)
class Place:
    """Where a running job is: the share that is done, 0 to 1, and the seconds that are left, None where unknown."""

    share: float
    left: float | None


def place(stages: Sequence[Mapping[str, Any]], progress: Mapping[str, Any], elapsed: float, expected: Usual) -> Place:
    """Where a job is that has been running for `elapsed` seconds, with its stages and progress as its row has them."""
    done = {str(stage["name"]): float(stage.get("seconds") or 0) for stage in stages if stage["status"] == "done"}
    running = next((stage for stage in stages if stage["status"] == "running"), None)
    pace = _pace(done, expected)
    behind, spent = sum(done.values()), max(0.0, elapsed - sum(done.values()))
    name = str(running["name"]) if running else ""
    ahead = {key: value * pace for key, value in expected.seconds.items() if key not in done and key != name}
    rest = max(0.0, expected.total - sum(expected.seconds.values())) * pace + sum(ahead.values())
    if not running:  # between two stages, or before the first, or storing what was made
        return _placed(behind + min(spent, rest * NEARLY), behind + rest, expected)
    if name == INSTALL:
        share = _installed(progress)
        own = spent / max(share, 0.02) if share else ONE_INSTALLATION
        return _placed(behind + share * own, behind + own + rest, expected)
    own = max(expected.seconds.get(name, 0.0) * pace or 2 * spent, 0.01)
    share = _within(running, progress, spent / own, expected)
    own = max(own, spent)
    return _placed(behind + share * own, behind + own + rest, expected)


def _placed(done: float, total: float, expected: Usual) -> Place:
    share = min(done / total, NEARLY) if total > 0 else 0.0
    return Place(share, max(0.0, total - done) if expected.known else None)


def _pace(done: Mapping[str, float], expected: Usual) -> float:
    """How much slower than usual this job is, by the stages that are behind it."""
    took = sum(seconds for name, seconds in done.items() if name in expected.seconds)
    usually = sum(expected.seconds[name] for name in done if name in expected.seconds)
    return min(max(took / usually, PACE[0]), PACE[1]) if expected.known and usually >= ENOUGH_SECONDS else 1.0


def _installed(progress: Mapping[str, Any]) -> float:
    """How much of an installation is done, by the part that it is at and what that counts."""
    if progress.get("stage") != INSTALL:
        return 0.0
    begin, end = PARTS.get(str(progress.get("text", "")).partition(" ")[0], (0.0, 0.0))
    counted = _counted(progress)
    return begin + (end - begin) * (counted[0] if counted else 0.0)


def _within(running: Mapping[str, Any], progress: Mapping[str, Any], by_time: float, expected: Usual) -> float:
    """How much of the stage that runs is done: by its time, but never beyond or behind what it counts itself."""
    by_time = by_time if by_time < 0.8 else 1 - 0.2 * math.exp(-(by_time - 0.8) / 0.2)
    name = str(running["name"])
    counted = _counted(progress) if progress.get("stage") == name else None
    number = max(len(running.get("phases") or ()) - 1, 0)
    if counted is None:  # what was counted before is over
        begun = _bounds(number, expected.phases.get(name, ()))[1] if running.get("phases") else 0.0
        return min(max(by_time, begun), NEARLY)
    begin, end, next_one = _bounds(number, expected.phases.get(name, ()))
    low, high = (begin + (end - begin) * share for share in counted)
    if counted[0] >= 1:
        high = next_one
    return min(max(by_time, low), high, NEARLY)


def _bounds(number: int, phases: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Where a counted phase begins and ends within its stage, and where the next one begins."""
    if number < len(phases):
        following = phases[number + 1][0] if number + 1 < len(phases) else 1.0
        return (*phases[number], following)
    # Nobody knows how many come: each takes half of what is left, so that none goes back and none is the last.
    return 1 - 0.5**number, 1 - 0.5 ** (number + 1), 1 - 0.5 ** (number + 1)


def _counted(progress: Mapping[str, Any]) -> tuple[float, float] | None:
    """What is done by the steps that are told, and what it will be with the next one; None where nothing is counted."""
    done, total = int(progress.get("done") or 0), int(progress.get("total") or 0)
    if total <= 0:
        return None
    return min(done / total, 1.0), min((done + 1) / total, 1.0)


def _shares(phases: Sequence[Sequence[float]], seconds: float) -> list[tuple[float, float]]:
    return [(begin / seconds, end / seconds) for begin, end in phases] if seconds > 0 else []


def _typical(found: Mapping[str, Sequence[Sequence[tuple[float, float]]]]) -> dict[str, list[tuple[float, float]]]:
    """The phases of each stage by the jobs that have as many of them as most."""
    typical = {}
    for name, jobs in found.items():
        count = int(median(len(phases) for phases in jobs))
        alike = [phases for phases in jobs if len(phases) == count]
        if count and alike:
            columns = zip(*alike, strict=True)
            typical[name] = [(median(a for a, _ in column), median(b for _, b in column)) for column in columns]
    return typical
