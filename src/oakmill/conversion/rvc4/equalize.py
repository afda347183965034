"""Decides by measuring whether a float graph's channels are equalized before it is quantized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from oakmill.conversion.cache.store import Store
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.judge import Judge
from oakmill.conversion.rvc4.reach import measure
from oakmill.graph import encodings
from oakmill.graph.equalization import scales
from oakmill.graph.equalization.channels import channels
from oakmill.graph.quantize import Interval, Plan
from oakmill.spec import RangeMethod, Rvc4Spec
from oakmill.spec.recipe import EqualizationRecord

LOOKS, SHARE = 12, 4
"""Images that tell how far channels reach where ranges come from histograms: a quarter, and at least so many. Those cut
what is rare; a range of all values takes all images, as a channel that reaches far on one alone would widen it."""
JUDGES = 4
"""Images on which the quantized graphs are compared."""
SMALLEST = 1 / 128
"""The smallest scale: below, the weights' own 8 bits lose more than the activations win. 1/32 was no better on
YOLOX-nano (AP 0.338 and 0.359), where all sites are equalized."""
GAIN_DB = 0.3
"""What equalization has to win: less is the noise of the few images that judge."""


@dataclass(frozen=True)
class Choice:
    """The graph to quantize, the intervals beyond which tensors need no room, and what was measured.

    `ranges` are those of the graph's activations, where the pass over the images that told of channels gives them.
    """

    prepared: Prepared
    limits: Mapping[str, Interval] = field(default_factory=dict)
    record: EqualizationRecord | None = None
    ranges: Mapping[str, Interval] | None = None


def choose(
    spec: Rvc4Spec,
    prepared: Prepared,
    plan: Plan,
    samples: SampleSet,
    store: Store,
    progress: Progress,
    recorded: EqualizationRecord | None = None,
) -> Choice:
    """The graph as it is, or equalized where its quantized form then agrees better with the float model.

    With a record, as it was recorded: what is near the bar may come out otherwise on another processor.

    Raises:
        SourceError: an image cannot be read.
        PreparationFailed: a tensor is not finite, or the graph cannot be quantized.
    """
    found = channels(prepared.model)
    if not found.free:
        return Choice(prepared)
    whole = spec.ranges is RangeMethod.MINMAX
    seen = samples if whole else samples.head(max(LOOKS, len(samples) // SHARE))
    reach = measure(prepared.model, found, seen, spec.resize.value, store, progress)
    progress.doing("equalizing channels")
    made = scales.apply(prepared.model, found, scales.choose(found, reach.ends, SMALLEST), reach.ends)
    plain = encodings.activations(prepared.model)
    ranges = plain.complete(reach.plain(plain.measured))
    kept = Choice(prepared, ranges=ranges if whole else None)
    judge = Judge(prepared, plan, _judges(seen))
    if not (made.sites and judge.is_exact(made.model)):
        return kept
    after = encodings.activations(made.model)
    widest = after.complete(reach.equalized(after.measured, made))
    if recorded is None:
        before_db = judge.agreement(prepared.model, ranges)
        record = _record(made.sites, before_db, judge.agreement(made.model, limited(widest, made.limits)))
    else:
        record = recorded.model_copy(update={"sites": made.sites})
    progress.note(_words(record))
    if not record.used:
        return replace(kept, record=record)
    return Choice(replace(prepared, model=made.model), made.limits, record, widest if whole else None)


def _record(sites: int, before_db: float, after_db: float) -> EqualizationRecord:
    return EqualizationRecord(
        used=after_db >= before_db + GAIN_DB,
        sites=sites,
        smallest_scale=SMALLEST,
        before_db=round(before_db, 2),
        after_db=round(after_db, 2),
    )


def limited(ranges: Mapping[str, Interval], limits: Mapping[str, Interval]) -> dict[str, Interval]:
    """The ranges without what needs no room; a tensor that lies outside its limits altogether keeps its range."""
    found = dict(ranges)
    for name, (low, high) in limits.items():
        if name in found and max(found[name][0], low) <= min(found[name][1], high):
            found[name] = max(found[name][0], low), min(found[name][1], high)
    return found


def _judges(samples: SampleSet) -> list[Mapping[str, Any]]:
    """The last ones."""
    return [samples[index] for index in range(max(0, len(samples) - JUDGES), len(samples))]


def _words(record: EqualizationRecord) -> str:
    did = f"the channels of {record.sites} layers are equalized" if record.used else "channels stay as they are"
    return f"{did}: agreement {record.before_db:.1f} dB without it, {record.after_db:.1f} with it"
