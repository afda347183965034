"""A source's graph for a platform of float32 and int32: without other types, quantizers and constant outputs."""

from __future__ import annotations

import math

import numpy as np
from onnx import ModelProto

from oakmill.conversion.events import Progress
from oakmill.errors import PreparationFailed, ProofFailed, UnsupportedModel
from oakmill.graph import equality
from oakmill.graph.dynamic import without_dynamic_quantization
from oakmill.graph.equality import Difference, Tolerance
from oakmill.graph.indices import limits
from oakmill.graph.number_types import in_float32, in_int32
from oakmill.graph.outputs import without_constants
from oakmill.graph.quantizers import without_quantizers

HALF = Tolerance(snr_db=30.0, outliers=1.0)
"""How near a network in float16 is to the same in float32. float16 keeps 11 bits, 66 dB of each value; the rounding at
each of a hundred layers adds up to 20 dB less, and values near float16's smallest lose more. A constant written in
another type by mistake leaves less than 20 dB."""
CLOSE_DB = 20.0
"""Below it, leaving out a model's quantizers changes results visibly; as for TFLite."""


def in_plain_numbers(model: ModelProto, progress: Progress, *, quantizes: bool) -> ModelProto:
    """The graph that takes the source's place, in all comparisons too; what was changed is told.

    Args:
        model: with fixed shapes; is not changed.
        progress: is told.
        quantizes: whether the platform has quantizers of its own, in whose place the model's are.

    Raises:
        ProofFailed: the graph in other types computes something else.
        PreparationFailed: one of the two cannot be run.
    """
    model, dropped = without_constants(model) if quantizes else (model, [])
    for name in dropped:
        progress.warn(
            f"output {name!r} is the same whatever comes in, and is omitted: take its values from the source model"
        )
    wide = in_float32(model)
    if wide is not model:
        _prove_wide(model, wide, progress)
        progress.note("the model's float16, bfloat16 and float64 numbers are written as float32")
    static = without_dynamic_quantization(wide)  # which no camera has
    bare = without_quantizers(static) if quantizes else static
    if bare is not wide:
        _tell_of_quantizers(wide, bare, progress)
    whole = in_int32(bare)
    if whole is not bare:
        _prove(bare, whole, Tolerance())
        progress.note("the model's integers of 8 and 16 bits are written as int32, and its pixels as float32")
    return whole


def _prove_wide(model: ModelProto, wide: ModelProto, progress: Progress) -> None:
    """Require that both are equal, where onnxruntime can run the source in its own type: it lacks some."""
    try:
        _prove(model, wide, HALF)
    except ProofFailed:
        raise
    except (PreparationFailed, UnsupportedModel) as error:
        progress.warn(f"what the model computes in its own number type could not be compared: {error.message}")


def _prove(source: ModelProto, changed: ModelProto, tolerance: Tolerance) -> None:
    """Require equal outputs, but where the source's own type is too small for its values.

    Raises:
        ProofFailed: an output differs.
    """
    for found in _differences(source, changed, tolerance):
        if not found.passed:
            raise ProofFailed(
                f"the model, written in other number types, does not compute the same: {found}",
                subject=found.name,
                remedy="export the model in float32",
            )


def _differences(source: ModelProto, changed: ModelProto, tolerance: Tolerance) -> tuple[Difference, ...]:
    """By the same random inputs, each in the type that the graph takes; outputs in the types that `changed` gives."""
    feeds, types = equality.random_inputs(source, limits=limits(source)), equality.random_inputs(changed)
    wanted = equality.run(source, feeds)
    found = equality.run(changed, {name: values.astype(types[name].dtype) for name, values in feeds.items()})
    finite = {name: values for name, values in wanted.items() if np.isfinite(values.astype(np.float64)).all()}
    return equality.compare(
        {name: values.astype(found[name].dtype) for name, values in finite.items()}, found, tolerance
    )


def _tell_of_quantizers(source: ModelProto, bare: ModelProto, progress: Progress) -> None:
    worst = min(_differences(source, bare, Tolerance()), key=lambda item: item.snr_db, default=None)
    note = "the model's own quantizers are left out, as the platform has its own number format; their clamping stays"
    if worst is None or math.isnan(worst.snr_db) or worst.snr_db >= CLOSE_DB:
        decibels = "" if worst is None or not math.isfinite(worst.snr_db) else f" ({worst.snr_db:.0f} dB)"
        progress.note(f"{note}; what it computes stays the same but for rounding{decibels}")
        return
    progress.note(note)
    progress.warn(
        f"the quantization inside the model changes its results a lot: output {worst.name!r} keeps "
        f"{worst.snr_db:.1f} dB when it is left out, as it is here. Compare with the float model that it was made from"
    )
