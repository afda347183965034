"""Known conventions of mean and scale pass; the well-known mistakes are found, with the values that mend them."""

from __future__ import annotations

from typing import Any

import pytest

from oakmill.findings import Severity
from oakmill.spec import InputSpec
from oakmill.spec.preprocessing_rules import IMAGENET, PRESETS, TOLERANCE, mistakes

MEAN, SCALE = IMAGENET.mean, IMAGENET.scale
UNIT_MEAN, UNIT_SCALE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("mean", "scale", "code", "mended"),
    [
        (SCALE, MEAN, "swapped_mean_scale", (MEAN, SCALE)),
        (SCALE[::-1], MEAN[::-1], "swapped_mean_scale", (MEAN[::-1], SCALE[::-1])),
        ((58.4, 57.1, 57.4), (123.7, 116.3, 103.5), "swapped_mean_scale", (MEAN, SCALE)),
        ((58.0, 57.0, 57.0), (124.0, 116.0, 104.0), "swapped_mean_scale", (MEAN, SCALE)),
        (UNIT_SCALE, UNIT_MEAN, "swapped_mean_scale", (MEAN, SCALE)),
        (SCALE, None, "swapped_mean_scale", (MEAN, SCALE)),
        ((57.4, 57.1, 58.4), (1.0, 1.0, 1.0), "swapped_mean_scale", (MEAN[::-1], SCALE[::-1])),
        (UNIT_MEAN, UNIT_SCALE, "scale_255_missing", (MEAN, SCALE)),
        ((0.5,), (0.5,), "scale_255_missing", ((127.5,), (127.5,))),
        (UNIT_MEAN, None, "scale_255_missing", (MEAN, (255.0,))),
        (UNIT_MEAN, (1.0,), "scale_255_missing", (MEAN, (255.0,))),
        ((0.5,), (255.0,), "scale_255_missing", ((127.5,), (255.0,))),
        (None, UNIT_SCALE, "scale_255_missing", ((), SCALE)),
        (None, (1 / 255,), "scale_multiplies", ((), (255.0,))),
        (MEAN, tuple(1 / value for value in SCALE), "scale_multiplies", (MEAN, SCALE)),
    ],
)
def test_a_known_mistake_is_found_with_what_mends_it(mean: Any, scale: Any, code: str, mended: Any) -> None:
    (found,) = mistakes("images", mean, scale)
    assert (found.code, found.severity, found.subject) == (code, Severity.ERROR, "images")
    assert "'images'" in found.message
    assert found.remedy
    corrected = found.evidence["corrected"]
    assert corrected["mean_values"] == pytest.approx(list(mended[0]))
    assert corrected["scale_values"] == pytest.approx(list(mended[1]))
    InputSpec.model_validate(corrected)
    assert not mistakes("images", corrected["mean_values"], corrected["scale_values"])


@pytest.mark.parametrize(
    ("mean", "scale"),
    [
        *((preset.mean, preset.scale) for preset in PRESETS),
        (None, None),
        ((0.0,), (255.0,)),
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        ((127.0,) * 3, (128.0,) * 3),
        ((117.0,), (1.0,)),
        (None, (1.0,)),
        ((57.5,) * 3, (60.0,) * 3),
        ((57.75,) * 3, None),
    ],
)
def test_conventions_in_use_are_no_mistakes(mean: Any, scale: Any) -> None:
    assert not mistakes("images", mean, scale, encoding="RGB")


def test_data_that_are_no_pixels_may_have_small_values() -> None:
    assert not mistakes("x", (0.5,), (0.5,), pixels=False)
    assert not mistakes("x", None, (0.01,), pixels=False)
    assert mistakes("x", SCALE, MEAN, pixels=False)


@pytest.mark.parametrize("mean", [MEAN, (123.68, 116.779, 103.939), (123.0, 117.0, 104.0)])
def test_the_order_of_the_mean_is_that_of_the_colours(mean: tuple[float, ...]) -> None:
    assert not mistakes("x", mean, None, encoding="RGB")
    assert not mistakes("x", mean[::-1], SCALE[::-1], encoding="BGR")
    assert not mistakes("x", mean, None, encoding="GRAY")
    assert not mistakes("x", mean, None)
    (found,) = mistakes("x", mean[::-1], None, encoding="RGB")
    assert (found.code, found.severity) == ("mean_order", Severity.WARNING)
    assert not mistakes("x", mean[::-1], None, encoding=found.evidence["corrected"]["encoding_from"])


def test_the_tolerance_takes_rounded_values_and_no_gray_sets() -> None:
    rounded = max(abs(round(value) - value) / value for value in (*MEAN, *SCALE))
    flat = min(max(abs(step / 100 - value) / value for value in SCALE) for step in range(5600, 6000))
    assert rounded < TOLERANCE < flat


def test_a_preset_fits_the_channels_that_it_has_values_for() -> None:
    assert [preset.key for preset in PRESETS if preset.fits(1)] == ["unit", "signed", "none"]
    assert all(preset.fits(3) for preset in PRESETS)
    assert IMAGENET.in_order("BGR") == (MEAN[::-1], SCALE[::-1])
