"""Chooses each activation's range by what the quantized graph is worth with it, on images that gave no range."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oakmill.conversion.events import Progress
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.equalize import limited
from oakmill.conversion.rvc4.search import PERFECT
from oakmill.graph import equality
from oakmill.graph.encodings import Ranged
from oakmill.graph.quantize import Interval, Plan
from oakmill.graph.sensitivity import ColumnNoise, encoding, with_steps_as_inputs
from oakmill.spec import RangeMethod
from oakmill.spec.recipe import RangesRecord

CANDIDATES = (RangeMethod.MINMAX, RangeMethod.PERCENTILE, RangeMethod.MSE)
"""Of two that are worth the same, the first."""
PASSES = 2
"""Runs of the quantized graph, in passes over all images that calibrate: the bound of what the choice may take. A time
would make the result depend on what else the machine does."""
LEAST_TRIALS = len(CANDIDATES)
GAIN_DB = 0.02
"""What another range has to win: less would follow the images that judge."""
ALIKE = 0.02
"""Of a range's width: candidates that are nearer make the same steps."""

Candidates = Mapping[str, Mapping[RangeMethod, Interval]]
Methods = Mapping[str, RangeMethod]


@dataclass(frozen=True)
class Chosen:
    """The ranges of measured tensors, and how it came to them."""

    ranges: Mapping[str, Interval]
    record: RangesRecord


def choose(trial: Trials, trials: int, progress: Progress) -> Chosen:
    """The best method for all tensors, then another one for groups of them, halved and halved, where that is better.

    `trials` is how many choices may be tried, at least `LEAST_TRIALS`.
    """
    candidates = trial.candidates
    names = list(candidates)
    worth = {method: trial.agreement(dict.fromkeys(names, method)) for method in CANDIDATES}
    first = max(CANDIDATES, key=lambda method: worth[method])
    best, found = worth[first], dict.fromkeys(names, first)
    groups = deque(_halves([name for name in names if _differ(candidates[name])]))
    left = trials - len(CANDIDATES)
    while groups and left >= len(CANDIDATES) - 1:
        progress.doing("choosing ranges", trials - left, trials)
        group = groups.popleft()
        others = [method for method in CANDIDATES if method is not first]
        tried = {method: trial.agreement({**found, **dict.fromkeys(group, method)}) for method in others}
        left -= len(tried)
        other = max(others, key=lambda method: tried[method])
        if tried[other] > best + GAIN_DB:
            best, found = tried[other], {**found, **dict.fromkeys(group, other)}
        elif len(group) > 1:
            groups.extend(_halves(group))
    record = RangesRecord(
        method=first.value,
        others={name: method.value for name, method in found.items() if method is not first},
        agreement_db={**{method.value: round(db, 2) for method, db in worth.items()}, "best": round(best, 2)},
    )
    return Chosen(taken(candidates, found), record)


def words(record: RangesRecord) -> str:
    """What was chosen, in a sentence."""
    figures = dict(record.agreement_db)
    best = figures.pop("best")
    each = ", ".join(f"{method} {db:.1f}" for method, db in figures.items())
    others = f", another one of {len(record.others)} tensors" if record.others else ""
    return f"ranges are by {record.method}{others}: agreement {best:.1f} dB, of one method alone {each}"


def recorded(candidates: Candidates, record: RangesRecord) -> Chosen:
    """As a recipe says."""
    found = {name: RangeMethod(record.others.get(name, record.method)) for name in candidates}
    return Chosen(taken(candidates, found), record)


def taken(candidates: Candidates, methods: Methods) -> dict[str, Interval]:
    """Each tensor's range by its method."""
    return {name: ranges[methods[name]] for name, ranges in candidates.items()}


def _halves(names: Sequence[str]) -> list[Sequence[str]]:
    middle = len(names) // 2
    return [half for half in (names[:middle], names[middle:]) if half]


def _differ(ranges: Mapping[RangeMethod, Interval]) -> bool:
    ends = np.array(list(ranges.values()))
    width = float(ends[:, 1].max() - ends[:, 0].min())
    return bool(np.ptp(ends, axis=0).max() > ALIKE * width)


class Trials:
    """Runs the quantized graph with any ranges, in one session.

    Args:
        ranged: the graph's activations; `candidates` are the ranges of those measured, by method.
        limits: beyond which tensors need no room.
        judges: images.
    """

    def __init__(
        self,
        prepared: Prepared,
        plan: Plan,
        ranged: Ranged,
        candidates: Candidates,
        limits: Mapping[str, Interval],
        judges: Sequence[Mapping[str, Any]],
    ) -> None:
        self.candidates = candidates
        self._ranged, self._limits, self._judges = ranged, limits, judges
        names = [name for name in (*candidates, *ranged.shared) if name not in prepared.image_inputs]
        told = ranged.spread(plan.encodings)
        self._bits = {name: told[name].bits if name in told else plan.activation_bits for name in names}
        model, self._inputs = with_steps_as_inputs(prepared.model, names, self._bits, per_channel=plan.per_channel)
        self._session = equality.Session(model)
        self._expected = equality.run_each(prepared.model, judges)

    def agreement(self, methods: Methods) -> float:
        """Signal to noise, in dB; the mean over columns."""
        ranges = limited(self._ranged.complete(taken(self.candidates, methods)), self._limits)
        feeds: dict[str, Any] = {}
        for tensor, (scale, zero) in self._inputs.items():
            bits = self._bits[tensor]
            step, middle = encoding(ranges[tensor], bits)
            feeds[scale] = np.array(step, np.float32)
            feeds[zero] = np.array(middle, np.uint8 if bits == 8 else np.uint16)
        noise = ColumnNoise()
        for image, expected in zip(self._judges, self._expected, strict=True):
            noise.add(expected, self._session.run({**image, **feeds}))
        return min(noise.decibels(), PERFECT)
