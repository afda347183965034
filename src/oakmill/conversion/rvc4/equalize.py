"""Decides by measuring whether a float graph's channels are equalized before it is quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx

from oakmill.calibration.channel_extremes import channel_extremes
from oakmill.calibration.ranges import collect
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.search import PERFECT
from oakmill.errors import PreparationFailed, ProofFailed
from oakmill.graph import encodings, equality
from oakmill.graph.equalization import scales
from oakmill.graph.equalization.channels import channels, measured
from oakmill.graph.quantize import Interval, Plan
from oakmill.graph.sensitivity import ColumnNoise, with_all_rounded
from oakmill.spec import RangeMethod
from oakmill.spec.recipe import EqualizationRecord

LOOKS = 12
"""Images that give the ranges of the graphs that are compared. Scales are of all that calibrate."""
JUDGES = 4
"""Images on which the quantized graphs are compared, others than those where there are enough."""
SMALLEST = 1 / 128
"""The smallest scale: below, the weights' own 8 bits lose more than the activations win. 1/32 was no better on
YOLOX-nano (AP 0.338 and 0.359), where all sites are equalized."""
GAIN_DB = 0.3
"""What equalization has to win: less is the noise of the few images that judge."""


@dataclass(frozen=True)
class Choice:
    """The graph to quantize, the intervals beyond which tensors need no room, and what was measured."""

    prepared: Prepared
    limits: Mapping[str, Interval]
    record: EqualizationRecord | None = None


def choose(prepared: Prepared, plan: Plan, samples: SampleSet, method: RangeMethod, progress: Progress) -> Choice:
    """The graph as it is, or equalized where its quantized form then agrees better with the float model.

    Raises:
        SourceError: an image cannot be read.
        PreparationFailed: a tensor is not finite, or the graph cannot be quantized.
    """
    found = channels(prepared.model)
    if not found.free:
        return Choice(prepared, {})
    progress.doing("measuring channels")
    extremes = channel_extremes(prepared.model, measured(found), samples)
    looks = [samples[index] for index in range(min(LOOKS, len(samples)))]
    judge = _Judge(prepared, plan, looks, _judges(samples), method)
    progress.doing("equalizing channels")
    made = scales.apply(prepared.model, found, scales.choose(found, extremes, SMALLEST), extremes)
    if not (made.sites and judge.is_exact(made.model)):
        return Choice(prepared, {})
    plain, after = judge.agreement(prepared.model, {}), judge.agreement(made.model, made.limits)
    used = after >= plain + GAIN_DB
    record = EqualizationRecord(
        used=used, sites=made.sites, smallest_scale=SMALLEST, before_db=round(plain, 2), after_db=round(after, 2)
    )
    progress.note(_words(record))
    return Choice(replace(prepared, model=made.model), made.limits, record) if used else Choice(prepared, {}, record)


def limited(ranges: Mapping[str, Interval], limits: Mapping[str, Interval]) -> dict[str, Interval]:
    """The ranges without what needs no room; a tensor that lies outside its limits altogether keeps its range."""
    found = dict(ranges)
    for name, (low, high) in limits.items():
        if name in found and max(found[name][0], low) <= min(found[name][1], high):
            found[name] = max(found[name][0], low), min(found[name][1], high)
    return found


def _judges(samples: SampleSet) -> list[Mapping[str, Any]]:
    """Images behind those that were looked at, as far as there are some."""
    last = range(max(0, len(samples) - JUDGES), len(samples))
    return [samples[index] for index in last]


def _words(record: EqualizationRecord) -> str:
    did = f"the channels of {record.sites} layers are equalized" if record.used else "channels stay as they are"
    return f"{did}: agreement {record.before_db:.1f} dB without it, {record.after_db:.1f} with it"


class _Judge:
    """Quantizes graphs that compute the same, and says how well each agrees with the float graph."""

    def __init__(
        self,
        prepared: Prepared,
        plan: Plan,
        looks: Sequence[Mapping[str, Any]],
        judges: Sequence[Mapping[str, Any]],
        method: RangeMethod,
    ) -> None:
        self._prepared, self._plan, self._looks, self._judges, self._method = prepared, plan, looks, judges, method
        session = equality.Session(prepared.model)
        self._expected = [session.run(image) for image in judges]

    def is_exact(self, model: onnx.ModelProto) -> bool:
        """Whether a graph computes what the float graph does, on the first image."""
        try:
            equality.require_equal(self._expected[0], equality.Session(model).run(self._judges[0]))
        except (ProofFailed, PreparationFailed):
            return False
        return True

    def agreement(self, model: onnx.ModelProto, limits: Mapping[str, Interval]) -> float:
        """Signal to noise of the graph with all its tensors and weights in 8 bits, in dB; the mean over columns."""
        ranged, plan = encodings.activations(model), self._plan
        found = collect(model, ranged.measured, self._looks, method=self._method)
        ranges = limited(ranged.complete({name: (item.low, item.high) for name, item in found.items()}), limits)
        ranges = {name: item for name, item in ranges.items() if name not in self._prepared.image_inputs}
        bits = {name: item.bits for name, item in ranged.spread(plan.encodings).items()}
        noise = ColumnNoise()
        candidate = equality.Session(with_all_rounded(model, ranges, bits, per_channel=plan.per_channel))
        for image, expected in zip(self._judges, self._expected, strict=True):
            noise.add(expected, candidate.run(image))
        return min(noise.decibels(), PERFECT)
