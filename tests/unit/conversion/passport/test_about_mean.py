"""A constant part of an output is no signal: what is judged is how large the differences are beside what changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oakmill.conversion.passport import HALF, QUANTIZED, Bounds, Comparison, Measurement
from oakmill.conversion.passport.bounds import PROVEN
from oakmill.conversion.passport.report import Check
from oakmill.errors import VerificationFailed
from oakmill.findings import Severity
from tests.unit.conversion.passport.building import Out

Change = Callable[[NDArray[Any]], NDArray[Any]]


def check(images: list[NDArray[Any]], change: Change, bounds: Bounds = QUANTIZED) -> Check:
    measurement = Measurement([Out("out", images[0].shape)])
    for index, values in enumerate(images):
        measurement.add(f"{index}", {"out": values}, {"out": change(values)})
    return measurement.check("QDQ", "how", bounds)


def steps_of(size: float) -> Change:
    return lambda values: np.round(values / size) * size


def maps(offset: float, spread: float, count: int = 3) -> list[NDArray[Any]]:
    random = np.random.default_rng(0)
    return [(offset + spread * random.random((1, 1, 16, 16))) for _ in range(count)]


def test_a_map_on_an_offset_with_two_levels_left_is_an_error() -> None:
    """Depth of 50 to 50.2 in steps of 0.2 (8 bits from 0 to 50) had 59 dB, two levels, and was green."""
    found = check(maps(50, 0.2), steps_of(0.2))
    (output,) = found.outputs
    assert output.snr_db > 50
    assert output.about_mean_db < 6
    assert found.verdict is Severity.ERROR
    assert "without its constant part" in found.reasons[0]


@pytest.mark.parametrize("spread", [0.5, 1e-3])
def test_an_offset_eats_the_digits_of_fp16(spread: float) -> None:
    """1000 + 1e-3 x in FP16, whose steps there are 0.5: 78 dB, green, and nothing left of x."""
    found = check(maps(1000, spread), lambda values: values.astype(np.float16).astype(np.float64), HALF)
    assert found.outputs[0].snr_db > 60
    assert found.verdict is Severity.ERROR


def test_landmarks_are_measured_about_each_ones_own_mean() -> None:
    """Ten coordinates of 0.3 to 0.75 that move by 0.03, off by half of that: 30 dB, and green."""
    random = np.random.default_rng(0)
    middles = np.linspace(0.3, 0.75, 10)
    images = [(middles + 0.03 * random.normal(size=10))[None] for _ in range(13)]
    found = check(images, lambda values: values + 0.015 * random.normal(size=values.shape))
    assert found.outputs[0].snr_db > 28
    assert found.outputs[0].about_mean_db == pytest.approx(5, abs=2)
    assert found.verdict is Severity.ERROR


def test_what_lies_behind_a_relu_is_judged_as_before() -> None:
    random = np.random.default_rng(0)
    images = [np.abs(random.normal(size=(1, 4, 8, 8))) for _ in range(8)]
    found = check(images, lambda values: values + 0.05 * random.normal(size=values.shape))
    (output,) = found.outputs
    assert output.snr_db > 25.5 > output.about_mean_db
    assert found.verdict is Severity.OK


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_a_constant_is_judged_by_its_value(offset: float) -> None:
    """Nothing changes in it, up to the rounding of float32: there is nothing about its mean."""
    images = [np.full((1, 4), offset) * (1 + 1e-7 * index) for index in range(6)]
    found = check(images, lambda values: values + 1e-3)
    assert math.isnan(found.outputs[0].about_mean_db)
    assert found.verdict is (Severity.OK if offset else Severity.ERROR)


def test_a_graph_is_proved_equal_up_to_float32s_own_rounding() -> None:
    """A sum in another order moves 1000 + x by a step of float32: the graph is right, whatever FP16 makes of it."""
    bounds = Bounds(60, 40, 1e-6, PROVEN)
    found = check(maps(1000, 0.01), lambda values: values + 6e-5, bounds)
    assert found.outputs[0].judged_db < 50
    assert found.verdict is Severity.OK
    mirrored = check(maps(1000, 0.01), lambda values: values[..., ::-1], bounds)
    assert (mirrored.outputs[0].snr_db > 60, mirrored.verdict) == (True, Severity.ERROR)


@pytest.mark.parametrize(
    ("found", "words"), [({"y": np.ones((1, 65, 65))}, r"'y' as \[1, 65, 65\], the source model as \[1, 64, 64\]"),
                         ({}, "no output 'y'")]
)  # fmt: skip
def test_another_size_is_one_sentence(found: dict[str, NDArray[Any]], words: str) -> None:
    """OpenVINO read ConvTranspose's SAME_LOWER otherwise; the user got numpy's traceback."""
    with pytest.raises(VerificationFailed, match=words) as caught:
        Comparison().add("image", {"y": np.ones((1, 64, 64))}, found)
    assert (caught.value.subject, caught.value.exit_code) == ("y", 8)


def test_another_shape_of_the_same_size_is_the_same_output() -> None:
    measurement = Measurement([Out("scores", (1, 3))])
    measurement.add("image", {"scores": np.array([[0.2, 0.7, 0.1]])}, {"scores": np.array([0.2, 0.7, 0.1])})
    assert measurement.check("INT8", "how").verdict is Severity.OK


def test_images_that_look_alike_do_not_make_a_right_result_wrong() -> None:
    """Frames of a camera that stands still: an embedding of 30 dB was judged by what little changes between them."""
    random = np.random.default_rng(3)
    still = random.normal(size=(1, 256))
    frames = [still + 0.05 * random.normal(size=(1, 256)) for _ in range(8)]
    noise = {id(values): 0.03 * random.normal(size=(1, 256)) for values in frames}
    assert check(frames, lambda values: values + noise[id(values)]).verdict is Severity.OK
