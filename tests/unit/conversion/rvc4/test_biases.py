"""Biases are corrected where the quantized graph then agrees better, and as a recipe says."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from oakmill.conversion.events import Progress
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4 import biases
from oakmill.graph.quantize import Plan
from oakmill.spec import Precision, Rvc4Spec
from oakmill.spec.recipe import BiasesRecord
from tests.unit.conversion.preparing import prepared, samples_of
from tests.unit.graph.building import parse

SIDE = 8


def network(off: float) -> ModelProto:
    """One Conv whose weights, but for the largest, lie so far above a step of 8 bits."""
    model = parse("y = Conv(image, w)", inputs=f"float[1,3,{SIDE},{SIDE}] image", outputs="float[1,4,6,6] y", opset=16)
    steps = np.random.default_rng(2).integers(0, 3, (4, 3, 3, 3)) + off
    steps[:, 0, 0, 0] = 127
    model.graph.initializer.append(numpy_helper.from_array((steps / 12700).astype(np.float32), "w"))
    return model


def corrected(
    off: float, recorded: BiasesRecord | None = None, images: int = 24
) -> tuple[Prepared, Prepared, BiasesRecord | None]:
    made = prepared(network(off))
    ranges = {"image": (0.0, 255.0), "y": (-1.0, 40.0)}
    samples = samples_of(made, images)
    found, record = biases.correct(made, made, Plan(), ranges, samples, Progress(), recorded)
    return made, found, record


def test_what_rounding_shifts_is_taken_back_and_recorded() -> None:
    made, found, record = corrected(0.4)
    assert record is not None
    assert record.used
    assert record.after_db > record.before_db + 1
    assert (record.layers, record.images) == (1, 20)
    assert found.model != made.model


def test_where_nothing_is_won_biases_stay() -> None:
    made, found, record = corrected(1e-4)
    assert record is not None
    assert not record.used
    assert found is made


@pytest.mark.parametrize("used", [True, False])
def test_what_a_recipe_recorded_is_done_whatever_is_measured_here(used: bool) -> None:
    _, measured, record = corrected(0.4)
    assert record is not None
    made, found, same = corrected(0.4, record.model_copy(update={"used": used}))
    assert found.model == (measured.model if used else made.model)
    assert same is not None
    assert same.used is used


def test_a_single_image_tells_and_judges() -> None:
    _, _, record = corrected(0.4, images=1)
    assert record is not None
    assert record.images == 1


@pytest.mark.parametrize(
    ("spec", "plan", "wanted"),
    [
        ({}, Plan(), True),
        ({"target_precision": Precision.INT8_INT16_MIXED}, Plan(activation_bits=16), True),
        ({"target_precision": Precision.INT16_STANDARD}, Plan(weight_bits=16), False),
        ({"no_bias_correction": True}, Plan(), False),
    ],
)
def test_weights_of_eight_bits_have_their_biases_corrected(spec: dict[str, object], plan: Plan, wanted: bool) -> None:
    assert biases.wanted(Rvc4Spec.model_validate(spec), plan) is wanted
