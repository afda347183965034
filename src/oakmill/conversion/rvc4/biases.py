"""Decides by measuring whether biases take back what rounding weights shifts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from onnx import ModelProto

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import SampleSet
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.judge import Judge, held_back
from oakmill.graph import biases
from oakmill.graph.quantize import Interval, Plan
from oakmill.spec import Rvc4Spec
from oakmill.spec.recipe import BiasesRecord

LOOKS = 32
"""Images that tell the inputs' means."""
JUDGES = 4
"""Images on which the quantized graphs are compared: none of those."""
WEIGHT_BITS = 8
"""Weights of more bits shift nothing."""
GAIN_DB = 0.3
"""What it has to win, as equalization has to."""


def wanted(spec: Rvc4Spec, plan: Plan) -> bool:
    """Whether biases may be corrected: weights have 8 bits, and their own scales."""
    return plan.weight_bits == WEIGHT_BITS and not (spec.no_bias_correction or spec.aimet_encodings)


def corrector(plan: Plan, exact: Prepared, samples: SampleSet) -> Callable[[ModelProto], ModelProto]:
    """What gives a graph with any weights the biases that take back what rounding them shifts.

    Raises:
        SourceError: an image cannot be read.
        PreparationFailed: the graph cannot be run.
    """
    read = biases.means(exact.model, samples.head(_told(len(samples))))
    return lambda model: biases.corrected(model, exact.model, read, per_channel=plan.per_channel)[0]


def _told(count: int) -> int:
    return max(1, min(LOOKS, count - _judging(count)))


def _judging(count: int) -> int:
    return min(JUDGES, held_back(count) or count)


def correct(
    prepared: Prepared,
    exact: Prepared,
    plan: Plan,
    ranges: Mapping[str, Interval],
    samples: SampleSet,
    progress: Progress,
    recorded: BiasesRecord | None = None,
) -> tuple[Prepared, BiasesRecord | None]:
    """The graph with other biases where its quantized form then agrees better with the float model, else as it is.

    `exact` is the graph with the weights as they were before any were learned. With a record, as it was recorded.

    Raises:
        SourceError: an image cannot be read.
        PreparationFailed: the graph cannot be run.
    """
    if recorded is not None and not recorded.used:
        return prepared, recorded
    progress.doing("correcting biases")
    read = biases.means(exact.model, samples.head(_told(len(samples))))
    model, layers = biases.corrected(prepared.model, exact.model, read, per_channel=plan.per_channel)
    made = replace(prepared, model=model)
    if recorded is not None or not layers:
        return made, recorded
    count = len(samples)
    judge = Judge(exact, plan, [samples[index] for index in range(count - _judging(count), count)])
    before, after = judge.agreement(prepared.model, ranges), judge.agreement(model, ranges)
    record = BiasesRecord(
        used=after >= before + GAIN_DB,
        layers=layers,
        images=_told(count),
        before_db=round(before, 2),
        after_db=round(after, 2),
    )
    progress.note(_words(record))
    return (made if record.used else prepared), record


def _words(record: BiasesRecord) -> str:
    did = f"the biases of {record.layers} layers are corrected" if record.used else "biases stay as they are"
    return f"{did}: agreement {record.before_db:.1f} dB without it, {record.after_db:.1f} with it"
