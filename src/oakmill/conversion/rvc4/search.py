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
from oakmill.graph.skeleton import copy_of
from oakmill.spec.recipe import SearchPoint, SearchRecord, Sensitivity

PROBES = 4
"""Images on which single tensors are tried."""
JUDGES = 12
"""Images on which whole plans are compared."""
GAIN = 0.8
"""The search ends with the fewest tensors that give so much of what all of them would give, in dB."""


PERFECT = 200.0
"""An agreement in dB that stands for no difference at all: JSON knows no infinity."""


@dataclass(frozen=True)
class Found:
    """The plan that was chosen, the graph it makes, and the way there."""

    plan: Plan
    model: onnx.ModelProto
    kept: tuple[str, ...]
    curve: tuple[SearchPoint, ...]
    ranked: tuple[tuple[str, float], ...]
    complete: bool

    @property
    def words(self) -> str:
        """What was found, in a sentence."""
        plain, chosen, full = self.curve[0], self._chosen, self.curve[-1]
        text = (
            f"{chosen.tensors} tensors stay in 16 bits: agreement {plain.agreement_db:.1f} dB without them, "
            f"{chosen.agreement_db:.1f} with them, {full.agreement_db:.1f} with {full.tensors}"
        )
        return text if self.complete else f"{text}; the time ended before all was tried (--search-seconds)"

    @property
    def _chosen(self) -> SearchPoint:
        return next(point for point in self.curve if point.tensors == len(self.kept))

    @property
    def record(self) -> SearchRecord:
        """For the recipe and the passport."""
        ranked = (Sensitivity(tensor=name, agreement_db=round(db, 2)) for name, db in self.ranked[:20])
        return SearchRecord(
            kept_in_16_bits=self.kept, curve=self.curve, most_sensitive=tuple(ranked), complete=self.complete
        )


@dataclass(frozen=True)
class _Tried:
    """A plan, the graph that it makes, and what that is worth."""

    point: SearchPoint
    plan: Plan
    model: onnx.ModelProto


class Search:
    """Ranks tensors by what rounding each alone does, then tries the first 0, 1, 2, 4, ... of them in 16 bits."""

    def __init__(
        self, prepared: Prepared, ranges: Mapping[str, Interval], plan: Plan, images: SampleSet, seconds: float
    ) -> None:
        self._prepared, self._ranges, self._plan = prepared, ranges, plan
        self._images = list(images.head(JUDGES))
        session = equality.Session(prepared.model)
        self._expected = [session.run(image) for image in self._images]
        self._bytes = _sizes(prepared.model)
        self._began, self._seconds = time.monotonic(), seconds

    def run(self, progress: Progress) -> Found:
        """Search until the time is over; at least the plain plan and all tensors in 16 bits are compared.

        Raises:
            PreparationFailed: not even the plain plan can be written.
        """
        plain = self._write(())
        ranked, complete = self._rank(progress)
        names = [name for name, _ in ranked]
        tried = [plain]
        if everything := self._try(names):
            tried.append(everything)
        start, best = plain.point.agreement_db, max(item.point.agreement_db for item in tried)
        chosen = max(tried, key=lambda item: item.point.agreement_db)
        for count in _counts(len(names)):
            if self._over(0.95):
                complete = False
                break
            progress.doing(f"trying {count} tensors in 16 bits")
            found = self._try(names[:count])
            if found is None:
                continue
            tried.append(found)
            if found.point.agreement_db >= start + GAIN * (best - start):
                chosen = found
                break
        curve = tuple(sorted((item.point for item in tried), key=lambda point: point.tensors))
        kept = tuple(names[: chosen.point.tensors])
        return Found(chosen.plan, chosen.model, kept, curve, tuple(ranked), complete)

    def _over(self, share: float) -> bool:
        return time.monotonic() - self._began > share * self._seconds

    def _rank(self, progress: Progress) -> tuple[list[tuple[str, float]], bool]:
        """Tensors with the agreement that is left when each alone is rounded, the worst first."""
        ranged = activations(self._prepared.model)
        image_inputs = set(self._prepared.image_inputs)
        names = [name for name in reversed(ranged.measured) if name not in image_inputs]
        found: list[tuple[str, float]] = []
        for done, name in enumerate(names):
            if self._over(0.6):
                return _sorted(found), False
            progress.doing("rounding single tensors", done, len(names))
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
        return _Tried(point, plan, model)


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
