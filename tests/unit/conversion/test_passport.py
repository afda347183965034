"""The passport's numbers are those of their formulas, and its verdicts follow from them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from oakmill.conversion.passport import Check, Comparison, Passport, Verdict, overflows


def compared(*pairs: tuple[list[float], list[float]]) -> Comparison:
    comparison = Comparison()
    for index, (reference, candidate) in enumerate(pairs):
        comparison.add(f"image {index}", {"out": np.array([reference])}, {"out": np.array([candidate])})
    return comparison


def check(comparison: Comparison, resolution: float = 0.0) -> Check:
    return Check("name", "method", comparison.outputs(), pass_above_db=40, fail_below_db=20, resolution=resolution)


def test_the_numbers_of_one_output_over_two_images() -> None:
    (output,) = compared(([3, 4], [3, 4.1]), ([6, 8], [6, 8])).outputs()
    assert output.snr_db == pytest.approx(10 * math.log10(125 / 0.01))
    assert output.max_abs == pytest.approx(0.1)
    assert output.cosine == pytest.approx((9 + 16.4 + 100) / math.sqrt(125 * (9 + 4.1**2 + 100)))
    assert output.worst == "image 0"
    assert output.top1 == 1.0


def test_top1_is_the_share_of_images_with_the_same_highest_score() -> None:
    (output,) = compared(([1, 2], [2, 1]), ([1, 2], [1, 2]), ([5, 2], [5, 2]), ([5, 2], [5, 2])).outputs()
    assert output.top1 == 0.75


def test_only_vectors_of_scores_have_a_top1() -> None:
    comparison = Comparison()
    comparison.add("image", {"map": np.ones((1, 2, 3, 3))}, {"map": np.ones((1, 2, 3, 3))})
    assert comparison.outputs()[0].top1 is None
    assert comparison.outputs()[0].snr_db == math.inf


@pytest.mark.parametrize(
    ("noise", "verdict"), [(0.0, Verdict.PASS), (0.003, Verdict.PASS), (0.05, Verdict.WARN), (0.5, Verdict.FAIL)]
)
def test_verdicts_by_the_signal_to_noise_ratio(noise: float, verdict: Verdict) -> None:
    assert check(compared(([1, 1], [1, 1 + noise]))).verdict is verdict


def test_not_a_number_fails() -> None:
    assert check(compared(([1, 1], [1, math.nan]))).verdict is Verdict.FAIL
    assert check(compared(([1, 1], [1, math.inf]))).verdict is Verdict.FAIL


def test_not_a_number_in_both_agrees() -> None:
    assert check(compared(([1, math.nan, math.inf], [1, math.nan, math.inf]))).verdict is Verdict.PASS


def test_rounding_of_scores_near_zero_is_no_error() -> None:
    """A face detector on a picture without faces: scores of 1e-5 whose SNR was 44 dB were taken for a failure."""
    faint = compared(([1e-5, 2e-5], [1.05e-5, 2e-5]))
    assert check(faint).verdict is Verdict.WARN
    assert check(faint, resolution=1e-6).verdict is Verdict.PASS


def test_a_passport_is_as_good_as_its_worst_check_and_is_valid_json() -> None:
    good, bad = check(compared(([1, 1], [1, 1]))), check(compared(([1, 1], [1, math.nan])))
    assert Passport("rvc2", "pictures", ("a",), (good,)).verdict is Verdict.PASS
    passport = Passport("rvc2", "pictures", ("a",), (good, bad))
    assert passport.verdict is Verdict.FAIL
    text = json.dumps(passport.as_dict(), allow_nan=False)
    assert json.loads(text)["checks"][0]["outputs"][0]["snr_db"] == "inf"


def test_overflows_keep_the_highest_peak_and_warn() -> None:
    found = overflows([("a", {"x": 7e4, "y": 65504.0}), ("b", {"x": 9e4}), ("c", {"x": math.inf})])
    assert [(item.tensor, item.peak, item.image) for item in found] == [("x", math.inf, "c")]
    assert Passport("rvc2", "pictures", ("a",), (), found).verdict is Verdict.WARN
