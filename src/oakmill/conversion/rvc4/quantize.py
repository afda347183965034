"""The calibrate stage: from the prepared float graph and its samples to a quantized graph, ranges cached by content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from oakmill.calibration.ranges import Range, distributions, range_of
from oakmill.conversion.cache.store import Store, key_of
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4 import best_ranges, biases, equalize, improve
from oakmill.conversion.rvc4.judge import held_back
from oakmill.conversion.rvc4.once import Document, measured_once
from oakmill.conversion.rvc4.search import Search
from oakmill.errors import NothingToKeep, SpecError
from oakmill.graph import aimet, encodings, quantize, quantizers
from oakmill.graph.encodings import Ranged
from oakmill.graph.quantize import Encoding, Interval, Plan
from oakmill.graph.silu import silu_inputs
from oakmill.settings import Settings
from oakmill.spec import RangeMethod, Rvc4Spec
from oakmill.spec.recipe import BiasesRecord, CalibrationRecord, ImprovementRecord, RangesRecord, SearchRecord
from oakmill.toolchains.aimet.toolchain import Aimet

_KIND = "ranges"
_NARROW = 8
EQUALIZED_BITS = _NARROW
"""Activations of more bits hold channels of any size."""
_RANGES = 2
"""Version of how ranges are collected; a new one makes the cache forget."""


@dataclass(frozen=True)
class Quantized:
    """A quantized graph, and what it was made from; `exact` is the float graph, with equalized channels if any are.

    Beyond `limits`, values of that tensor make no difference.
    """

    model: onnx.ModelProto
    exact: onnx.ModelProto
    ranges: Mapping[str, Interval]
    plan: Plan
    record: CalibrationRecord
    limits: Mapping[str, Interval]


def quantize_graph(
    spec: Rvc4Spec,
    prepared: Prepared,
    samples: SampleSet,
    source: str,
    settings: Settings,
    progress: Progress,
    recorded: CalibrationRecord | None = None,
) -> Quantized:
    """Measure the ranges, or find them in the cache, and write the quantized graph.

    What was decided by measuring is decided as `recorded`, where it is.

    Raises:
        SourceError: an image cannot be read.
        SpecError: encodings or overrides do not fit the model.
        PreparationFailed: a tensor is not finite, or the graph cannot be quantized.
    """
    _require_own(spec, prepared.image_inputs)
    plan = plan_of(spec, prepared.model, progress)
    chosen = equalize.Choice(prepared)
    own = quantizers.own_ranges(prepared.original, prepared.model)
    if plan.activation_bits == EQUALIZED_BITS and not (spec.no_equalization or spec.aimet_encodings or own):
        before = recorded.equalization if recorded else None
        chosen = equalize.choose(spec, prepared, plan, samples, Store.of(settings), progress, before)
    prepared = chosen.prepared
    best = None
    if spec.ranges is RangeMethod.BEST:
        decided = recorded.ranges if recorded else None
        best = choose_best(spec, plan, chosen, samples, settings, progress, decided)
    all_ranges = best.ranges if best else chosen.ranges or measure(spec, plan, prepared, samples, settings, progress)
    ranges = with_own(equalize.limited(all_ranges, chosen.limits), own, prepared.model)
    if own:
        progress.note(
            f"{len(own)} of the tensors keep the ranges of the model's own quantizers; the ranges of others are those "
            "of the images"
        )
    search = recorded.search if recorded else None
    plan, found = _searched(spec, plan, prepared, ranges, samples, progress, search)
    made, learned, biases_record = _weights(spec, plan, prepared, ranges, samples, settings, progress, recorded)
    progress.doing("writing the quantized graph")
    model = quantize.quantize(made.model, ranges, plan, made.image_inputs)
    record = CalibrationRecord(
        set=source,
        method=spec.ranges.value,
        images=len(samples),
        names=samples.names,
        sha256=samples.sha256,
        search=found,
        equalization=chosen.record,
        ranges=best.record if best else None,
        improvement=learned,
        biases=biases_record,
    )
    return Quantized(model, prepared.model, ranges, plan, record, chosen.limits)


def with_own(
    ranges: Mapping[str, Interval], own: Mapping[str, Interval], model: onnx.ModelProto
) -> dict[str, Interval]:
    """The ranges with those of the model's own quantizers, and of all that shares one of them."""
    ranged = encodings.activations(model)
    rooted = ranged.rooted(own)
    return {name: rooted.get(ranged.root(name), measured) for name, measured in ranges.items()}


def _searched(
    spec: Rvc4Spec,
    plan: Plan,
    prepared: Prepared,
    ranges: Mapping[str, Interval],
    samples: SampleSet,
    progress: Progress,
    recorded: SearchRecord | None,
) -> tuple[Plan, SearchRecord | None]:
    """The plan; of a search that was asked for, with the tensors that it finds, or once found."""
    if spec.quantizer_search and recorded is None:
        searched = Search(prepared, ranges, plan, samples, spec.search_seconds).run(progress)
        progress.note(searched.words)
        return searched.plan, searched.record
    found = recorded if spec.quantizer_search else None
    wide = dict.fromkeys(found.kept_in_16_bits if found else (), Encoding(16))
    return replace(plan, encodings={**plan.encodings, **wide}), found


def _weights(
    spec: Rvc4Spec,
    plan: Plan,
    prepared: Prepared,
    ranges: Mapping[str, Interval],
    samples: SampleSet,
    settings: Settings,
    progress: Progress,
    recorded: CalibrationRecord | None,
) -> tuple[Prepared, ImprovementRecord | None, BiasesRecord | None]:
    """The graph with the weights and biases that are best rounded, as far as that is asked for."""
    made, learned, shifted = prepared, None, None
    corrects = biases.wanted(spec, plan)
    if spec.improve:
        lesson = improve.Lesson(spec, Aimet(settings), Store.of(settings), progress)
        earlier = recorded.improvement if recorded else None
        # Corrected biases win most of what learned weights do: these have to win more.
        finished = [biases.corrector(plan, prepared, samples)] if corrects else []
        made, learned = improve.improve(lesson, made, plan, ranges, samples, earlier, *finished)
    if corrects:
        before = recorded.biases if recorded else None
        made, shifted = biases.correct(made, prepared, plan, ranges, samples, progress, before)
    return made, learned, shifted


def plan_of(spec: Rvc4Spec, model: onnx.ModelProto, progress: Progress) -> Plan:
    """The number formats that a spec asks for.

    Raises:
        NothingToKeep: there is no SiLU whose inputs were to be kept.
        SpecError: encodings are of another model, or an override names no tensor.
    """
    precision = spec.target_precision
    ranged, found = encodings.activations(model), dict[str, Encoding]()
    if spec.aimet_encodings is not None:
        read = aimet.read_encodings(spec.aimet_encodings, model)
        found.update(read.found)
        progress.note(f"{len(read.found)} encodings come from {spec.aimet_encodings.name}")
        for name, reason in list(read.left_out.items())[:10]:
            progress.warn(f"the encoding of {name!r} is left out: {reason}")
    wide = dict.fromkeys(_gated(model), Encoding(16)) if spec.silu_int16 else {}
    summed = dict.fromkeys(encodings.shares(model) if precision.activation_bits == _NARROW else (), Encoding(16))
    found = {**summed, **ranged.rooted(found), **ranged.rooted(wide), **ranged.rooted(_overrides(spec, ranged))}
    return Plan(precision.activation_bits, precision.weight_bits, not spec.per_tensor_weights, found)


def _gated(model: onnx.ModelProto) -> tuple[str, ...]:
    """What goes into SiLU.

    Raises:
        NothingToKeep: there is none.
    """
    found = silu_inputs(model)
    if not found:
        raise NothingToKeep(
            "the model has no SiLU (x * sigmoid(x)) whose input could stay in 16 bits", remedy="omit it"
        )
    return found


def _overrides(spec: Rvc4Spec, ranged: Ranged) -> dict[str, Encoding]:
    found = {}
    for word in spec.tensor_overrides:
        name, _, kind = word.rpartition("=")
        if name not in {*ranged.measured, *ranged.shared}:
            raise SpecError(
                f"--tensor {word}: the prepared model computes no float tensor of that name",
                subject=name,
                remedy="--quantizer-search names the tensors that matter; a viewer shows the source's",
            )
        found[name] = Encoding(16 if kind == "int16" else 8)
    return found


def _require_own(spec: Rvc4Spec, image_inputs: Sequence[str]) -> None:
    for word in spec.tensor_overrides:
        name = word.rpartition("=")[0]
        if name in image_inputs:
            raise SpecError(
                f"--tensor {word}: the pixels of an input have the 8 bits that the camera gives",
                subject=name,
                remedy="omit it, or name a tensor that the model computes",
            )


def measure(
    spec: Rvc4Spec, plan: Plan, prepared: Prepared, samples: SampleSet, settings: Settings, progress: Progress
) -> dict[str, Interval]:
    """The range of every activation by the spec's method, from the cache where the same was measured before."""
    ranged = encodings.activations(prepared.model)
    found = _measured(spec, [spec.ranges], plan, prepared, ranged, samples, settings, progress)
    return ranged.complete({name: ranges[spec.ranges] for name, ranges in found.items()})


def choose_best(
    spec: Rvc4Spec,
    plan: Plan,
    chosen: equalize.Choice,
    samples: SampleSet,
    settings: Settings,
    progress: Progress,
    recorded: RangesRecord | None,
) -> best_ranges.Chosen:
    """The range of every activation by the method that is best for it, on images that gave no range; or as recorded."""
    prepared, count = chosen.prepared, len(samples)
    held = held_back(count)
    ranged = encodings.activations(prepared.model)
    seen = samples.head(count - held)
    found = _measured(spec, best_ranges.CANDIDATES, plan, prepared, ranged, seen, settings, progress)
    if recorded is not None:
        made = best_ranges.recorded(found, recorded)
    else:
        judges = [samples[index] for index in range(count - max(held, 1), count)]
        trials = max(best_ranges.LEAST_TRIALS, best_ranges.PASSES * count // len(judges))
        tried = best_ranges.Trials(prepared, plan, ranged, found, chosen.limits, judges)
        made = best_ranges.choose(tried, trials, progress)
        progress.note(best_ranges.words(made.record))
    return replace(made, ranges=ranged.complete(made.ranges))


def _measured(
    spec: Rvc4Spec,
    methods: Sequence[RangeMethod],
    plan: Plan,
    prepared: Prepared,
    ranged: Ranged,
    samples: SampleSet,
    settings: Settings,
    progress: Progress,
) -> dict[str, dict[RangeMethod, Interval]]:
    """The ranges of the measured tensors by each method, from the cache where the same was measured before.

    A measurement that is killed goes on where it was.
    """
    bits = {name: item.bits for name, item in plan.encodings.items()}
    bits = {name: bits.get(name, plan.activation_bits) for name in ranged.measured}

    def by_method(checkpoint: Path | None) -> Document:
        seen = distributions(
            prepared.model,
            ranged.measured,
            samples,
            method=methods[-1],
            checkpoint=checkpoint,
            report=lambda done: progress.doing(f"measuring {len(bits)} tensors", done, len(samples)),
        )
        return {
            name: {str(method): list(_interval(range_of(values, method, bits[name]))) for method in methods}
            for name, values in seen.items()
        }

    key = _key(spec, bits, prepared, samples)
    found = measured_once(Store.of(settings), _KIND, key, ranged.measured, by_method, progress)
    return {
        name: {RangeMethod(word): (low, high) for word, (low, high) in item.items()} for name, item in found.items()
    }


def _interval(item: Range) -> Interval:
    return item.low, item.high


def _key(spec: Rvc4Spec, bits: Mapping[str, int], prepared: Prepared, samples: SampleSet) -> str:
    """By all that decides the ranges: the graph, the images in their order, how they are read, the method."""
    wanted = dict(bits) if spec.ranges in (RangeMethod.MSE, RangeMethod.BEST) else sorted(bits)
    graph = prepared.model.SerializeToString(deterministic=True)
    return key_of(_RANGES, spec.ranges.value, spec.resize.value, wanted, *samples.identity, graph)
