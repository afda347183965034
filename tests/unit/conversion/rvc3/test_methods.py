"""A fault in RVC3's IR, before or behind the quantizer, is told: the file itself runs on OpenVINO's CPU plugin."""

from __future__ import annotations

import numpy as np
import pytest

from oakmill.conversion.events import Progress
from oakmill.conversion.images.samples import Images, SampleSet
from oakmill.conversion.passport import Passport
from oakmill.conversion.passport.measure import Runnable, Subject, measure, source_model
from oakmill.conversion.rvc3 import methods
from oakmill.findings import Severity
from tests.unit.conversion.mutations import MUTATIONS, Mutate, Spoil, Weights, as_is, detector, unchanged
from tests.unit.conversion.preparing import prepared


def in_8_bits(weights: Weights) -> None:
    """Kernels in 127 steps for each output channel, as NNCF leaves them."""
    for name in ("first", "second", "heads"):
        step = np.abs(weights[name]).max((1, 2, 3), keepdims=True) / 127
        weights[name] = np.round(weights[name] / np.where(step, step, 1)) * step


def measured(mutate: Mutate, spoil: Spoil, *, quantized: bool) -> Passport:
    """The passport of the detector, whose last IR was made of other weights, or answers otherwise."""

    def changed(weights: Weights) -> None:
        mutate(weights)
        if quantized:
            in_8_bits(weights)

    made = prepared(detector(unchanged))
    run = source_model(prepared(detector(changed))).load()
    file = Runnable(lambda: lambda samples: map(spoil, run(samples)))
    images = Images(SampleSet.generated(made.boundary, 4, 1))
    irs = (source_model(made), file) if quantized else (file, None)
    plan = methods.of_onnx(made, images, *irs)
    return measure(Subject("rvc3", made, images, plan.source, plan.methods, ()), Progress())


@pytest.mark.parametrize("quantized", [False, True])
def test_a_sound_ir_is_ok(quantized: bool) -> None:
    assert measured(unchanged, as_is, quantized=quantized).verdict is Severity.OK


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("fault", MUTATIONS)
def test_no_mutation_is_ok(fault: str, quantized: bool) -> None:
    assert measured(*MUTATIONS[fault], quantized=quantized).verdict is not Severity.OK
