"""Finds, without labels and within a time, which tensors to keep in 16 bits: what helps most, and no more of it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.simulate import Simulated
from oakmill.errors import PreparationFailed
from oakmill.graph import equality
from oakmill.graph.encodings import activations
from oakmill.graph.quantize import Encoding, Interval, Plan, quantize
from oakmill.graph.rewriting import CannotRewriteError, Scope
from oakmill.graph.sensitivity import ColumnNoise, with_rounded
from oakmill.graph.silu import silu_inputs
from oakmill.graph.skeleton import copy_of
from oakmill.spec.recipe import SearchPoint, SearchRecord, Sensitivity

PROBES = 4
"""Images on which single tensors are tried."""
JUDGES = 12
"""Images on which whole plans are compared."""
GAIN = 0.8
"""The search ends with the fewest tensors that give so much of what all of them would give, in dB."""


WORTH_DB = 1.0
"""What a set of tensors has to gain at least to be kept: a cut-off search once kept 290 of 349 tensors for 0.1 dB."""


PERFECT = 200.0
"""An agreement in dB that stands for no difference at all: JSON knows no infinity."""


@dataclass(frozen=True)
class Found:
    """The plan that was chosen, the graph it makes, and the way there."""

    plan: Plan
    model: onnx.ModelProto
    kept: tuple[str, ...]
    chosen: SearchPoint
    curve: tuple[SearchPoint, ...]
    ranked: tuple[tuple[str, float], ...]
    complete: bool

    @property
    def words(self) -> str:
        """What was found, in a sentence, and what mixed formats may cost."""
        plain, full = self.curve[0], self.curve[-1]
        text = f"{self.chosen.tensors} tensors stay in 16 bits: agreement {plain.agreement_db:.1f} dB without them"
        if self.kept:
            text += f", {self.chosen.agreement_db:.1f} with them"
        text += f", {full.agreement_db:.1f} with {full.tensors}"
        if self.kept:
            text += "; a few layers of 16 bits among 8 can take longer on the device than INT8_INT16_MIXED"
        return text if self.complete else f"{text}; the time ended before all was tried (--search-seconds)"

    @property
    def record(self) -> SearchRecord:
        """For the recipe and the passport."""
        ranked = (Sensitivity(tensor=name, agreement_db=round(db, 2)) for name, db in self.ranked[:20])
        return SearchRecord(
            kept_in_16_bits=self.kept, curve=self.curve, most_sensitive=tuple(ranked), complete=self.complete
        )


@dataclass(frozen=True)
class _Tried:
    """Tensors in 16 bits, the plan and the graph that they make, and what that is worth."""

    names: tuple[str, ...]
    point: SearchPoint
    plan: Plan
    model: onnx.ModelProto

    @property
    def agreement(self) -> float:
        """In dB."""
        return self.point.agreement_db


class Search:
    """Tries groups that are known to matter; then ranks tensors by what rounding each alone does, and tries the first
    1, 2, 4, ... of them in 16 bits.

    All in 16 bits is what they are measured by, and is never kept: INT8_INT16_MIXED is that, and runs faster.
    """

    def __init__(
        self, prepared: Prepared, ranges: Mapping[str, Interval], plan: Plan, images: SampleSet, seconds: float
    ) -> None:
        self._prepared, self._ranges, self._plan = prepared, ranges, plan
        self._images = list(images.head(JUDGES))
        session = equality.Session(prepared.model)
        self._expected = [session.run(image) for image in self._images]
        self._bytes = _sizes(prepared.model)
        self._ranged = activations(prepared.model)
        pixels = set(prepared.image_inputs)
        self._names = tuple(name for name in reversed(self._ranged.measured) if name not in pixels)
        self._began, self._seconds = time.monotonic(), seconds

    def run(self, progress: Progress) -> Found:
        """Search until the time is over; at least the plain plan and all tensors in 16 bits are compared.

        Raises:
            PreparationFailed: not even the plain plan can be written.
        """
        plain = self._write(())
        everything = self._try(self._names) or plain
        wanted = plain.agreement + max(GAIN * (everything.agreement - plain.agreement), WORTH_DB)
        tried = [plain]
        for names in self._groups():
            self._add(tried, names, progress)
        ranked: list[tuple[str, float]] = []
        complete = True
        if max(tried, key=_worth).agreement < wanted and everything.agreement >= wanted:
            ranked, complete = self._rank(progress)
            complete &= self._climb(tried, [name for name, _ in ranked], wanted, progress)
        chosen = _best(tried)
        curve = sorted({item.point.tensors: item.point for item in (everything, *tried)}.values(), key=_size)
        return Found(chosen.plan, chosen.model, chosen.names, chosen.point, tuple(curve), tuple(ranked), complete)

    def _groups(self) -> list[tuple[str, ...]]:
        """What is known to matter: the outputs, whose boxes and scores may share a scale, and what goes into SiLU."""
        known = set(self._names)
        ends = [self._ranged.root(output.name) for output in self._prepared.model.graph.output]
        gates = map(self._ranged.root, silu_inputs(self._prepared.model))
        groups = [tuple(dict.fromkeys(name for name in group if name in known)) for group in (ends, gates)]
        return [group for group in groups if group and len(group) < len(self._names)]

    def _climb(self, tried: list[_Tried], names: Sequence[str], wanted: float, progress: Progress) -> bool:
        """Try more and more of the ranked tensors, until enough is gained; whether there was time for all."""
        for count in _counts(len(names) + 1):
            if self._over(0.95):
                return False
            self._add(tried, names[:count], progress)
            if tried[-1].agreement >= wanted:
                break
        return True

    def _add(self, tried: list[_Tried], names: Sequence[str], progress: Progress) -> None:
        """Try these tensors, if there is time, and note what came of it; some cannot be written."""
        if self._over(0.95):
            return
        progress.doing(f"trying {len(names)} tensors in 16 bits")
        if found := self._try(names):
            tried.append(found)

    def _over(self, share: float) -> bool:
        return time.monotonic() - self._began > share * self._seconds

    def _rank(self, progress: Progress) -> tuple[list[tuple[str, float]], bool]:
        """Tensors with the agreement that is left when each alone is rounded, the worst first."""
        found: list[tuple[str, float]] = []
        for done, name in enumerate(self._names):
            if self._over(0.6):
                return _sorted(found), False
            progress.doing("rounding single tensors", done, len(self._names))
            found.append((name, self._alone(name)))
        return _sorted(found), True

    def _alone(self, name: str) -> float:
        session = equality.Session(with_rounded(self._prepared.model, name, self._ranges[name]))
        noise = ColumnNoise()
        for image, expected in zip(self._images[:PROBES], self._expected, strict=False):
            noise.add(expected, session.run(image))
        return noise.decibels()

    def _try(self, names: Sequence[str]) -> _Tried | None:
        """As `_write`; None where it cannot be written."""
        try:
            return self._write(names)
        except PreparationFailed:
            return None

    def _write(self, names: Sequence[str]) -> _Tried:
        """A plan with these tensors in 16 bits, its graph, and how well it agrees."""
        encodings = {**self._plan.encodings, **{name: Encoding(16) for name in names}}
        plan = replace(self._plan, encodings=encodings)
        model = quantize(self._prepared.model, self._ranges, plan, self._prepared.image_inputs)
        candidate, noise = Simulated(model, self._prepared.image_inputs), ColumnNoise()
        for image, expected in zip(self._images, self._expected, strict=True):
            noise.add(expected, candidate.run(image))
        megabytes = sum(self._bytes.values()) + sum(self._bytes.get(name, 0) for name in names)
        point = SearchPoint(
            tensors=len(names),
            activations_mb=round(megabytes / 1e6, 3),
            agreement_db=round(min(noise.decibels(), PERFECT), 3),
        )
        return _Tried(tuple(names), point, plan, model)


def _worth(item: _Tried) -> float:
    return item.agreement


def _size(point: SearchPoint) -> int:
    return point.tensors


def _best(tried: Sequence[_Tried]) -> _Tried:
    """The fewest tensors that give most of what any tried set gave; none, where no set gains what is worth it."""
    plain, best = tried[0], max(tried, key=_worth)
    if best.agreement - plain.agreement < WORTH_DB:
        return plain
    enough = plain.agreement + GAIN * (best.agreement - plain.agreement)
    return min((item for item in tried if item.agreement >= enough), key=lambda item: len(item.names))


def _sorted(found: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The most sensitive first; those whose rounding changes nothing are left out."""
    return sorted(((name, db) for name, db in found if np.isfinite(db)), key=lambda item: (item[1], item[0]))


def _sizes(model: onnx.ModelProto) -> dict[str, int]:
    """What each tensor with a range of its own takes in 8 bits, in bytes; those of unknown shape are left out."""
    scope = Scope(copy_of(model))
    found = {}
    for name in activations(model).measured:
        try:
            found[name] = math.prod(scope.fixed_shape(name))
        except CannotRewriteError:
            continue
    return found


def _counts(most: int) -> list[int]:
    """1, 2, 4, ... below `most`."""
    return [1 << power for power in range(most.bit_length()) if 1 << power < most]
