"""The calibrate stage: from the prepared float graph and its samples to a quantized graph, ranges cached by content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from oakmill.calibration.ranges import Range, collect
from oakmill.conversion.cache.store import Store, key_of
from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4 import equalize
from oakmill.conversion.rvc4.search import Search
from oakmill.errors import NothingToKeep, SpecError
from oakmill.graph import aimet, encodings, quantize
from oakmill.graph.encodings import Ranged
from oakmill.graph.quantize import Encoding, Interval, Plan
from oakmill.graph.silu import silu_inputs
from oakmill.settings import Settings
from oakmill.spec import Precision, RangeMethod, Rvc4Spec
from oakmill.spec.recipe import CalibrationRecord

_KIND = "ranges"
EQUALIZED_BITS = 8
"""Activations of more bits hold channels of any size."""
_RANGES = 1
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
    spec: Rvc4Spec, prepared: Prepared, samples: SampleSet, source: str, settings: Settings, progress: Progress
) -> Quantized:
    """Measure the ranges, or find them in the cache, and write the quantized graph.

    Raises:
        SourceError: an image cannot be read.
        SpecError: encodings or overrides do not fit the model.
        PreparationFailed: a tensor is not finite, or the graph cannot be quantized.
    """
    _require_own(spec, prepared.image_inputs)
    plan = plan_of(spec, prepared.model, progress)
    chosen = equalize.Choice(prepared, {})
    if plan.activation_bits == EQUALIZED_BITS and not (spec.no_equalization or spec.aimet_encodings):
        chosen = equalize.choose(prepared, plan, samples, spec.ranges, progress)
    prepared = chosen.prepared
    ranges = equalize.limited(measure(spec, plan, prepared, samples, settings, progress), chosen.limits)
    found = None
    if spec.quantizer_search:
        searched = Search(prepared, ranges, plan, samples, spec.search_seconds).run(progress)
        plan, model, found = searched.plan, searched.model, searched.record
        progress.note(searched.words)
    else:
        progress.doing("writing the quantized graph")
        model = quantize.quantize(prepared.model, ranges, plan, prepared.image_inputs)
    record = CalibrationRecord(
        set=source,
        method=spec.ranges.value,
        images=len(samples),
        names=samples.names,
        sha256=samples.sha256,
        search=found,
        equalization=chosen.record,
    )
    return Quantized(model, prepared.model, ranges, plan, record, chosen.limits)


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
    found = {**ranged.rooted(found), **ranged.rooted(wide), **ranged.rooted(_overrides(spec, ranged))}
    # Of 16-bit weights the device's library computes better with one scale: measured, 60 against 80 dB.
    per_channel = not (spec.per_tensor_weights or precision is Precision.INT16_STANDARD)
    return Plan(precision.activation_bits, precision.weight_bits, per_channel, found)


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
    """The range of every activation, from the cache where the same was measured before.

    A measurement that is killed goes on where it was.
    """
    ranged = encodings.activations(prepared.model)
    bits = {name: item.bits for name, item in plan.encodings.items()}
    bits = {name: bits.get(name, plan.activation_bits) for name in ranged.measured}
    cache = Store.of(settings)
    key = _key(spec, bits, prepared, samples)
    known = cache.load(_KIND, key)
    if known is not None and known.keys() == set(ranged.measured):
        progress.note(f"the ranges of {len(known)} tensors were measured before, on the same images")
        return ranged.complete({name: (low, high) for name, (low, high) in known.items()})
    found = collect(
        prepared.model,
        ranged.measured,
        samples,
        method=spec.ranges,
        bits=bits,
        checkpoint=cache.partial(_KIND, key),
        report=lambda done: progress.doing(f"measuring {len(bits)} tensors", done, len(samples)),
    )
    cache.save(_KIND, key, {name: [item.low, item.high] for name, item in found.items()})
    if partial := cache.partial(_KIND, key):
        partial.unlink(missing_ok=True)
    return ranged.complete({name: _interval(item) for name, item in found.items()})


def _interval(item: Range) -> Interval:
    return item.low, item.high


def _key(spec: Rvc4Spec, bits: Mapping[str, int], prepared: Prepared, samples: SampleSet) -> str:
    """By all that decides the ranges: the graph, the images in their order, how they are read, the method."""
    inputs = [[item.layout, list(item.shape), str(item.encoding_to)] for item in samples.inputs]
    images = [list(each.sha256) for each in samples.samples]
    wanted = dict(bits) if spec.ranges is RangeMethod.MSE else sorted(bits)
    graph = prepared.model.SerializeToString(deterministic=True)
    return key_of(_RANGES, spec.ranges.value, spec.resize.value, wanted, inputs, images, graph)
