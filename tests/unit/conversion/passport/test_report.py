"""The passport's numbers are those of their formulas, and its verdicts follow from them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from oakmill.conversion.passport import (
    Bounds,
    Check,
    Comparison,
    HeldOut,
    Measurement,
    Overflow,
    Passport,
    overflows,
    pixels,
    report,
)
from oakmill.findings import Finding, Severity
from tests.unit.conversion.passport.building import Out


def compared(*pairs: tuple[list[float], list[float]]) -> Comparison:
    comparison = Comparison()
    for index, (reference, candidate) in enumerate(pairs):
        comparison.add(f"image {index}", {"out": np.array([reference])}, {"out": np.array([candidate])})
    return comparison


def check(comparison: Comparison, resolution: float = 0.0) -> Check:
    return Check("name", "method", comparison.outputs(), ok_from_db=40, error_below_db=20, resolution=resolution)


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
    ("noise", "verdict"), [(0.0, Severity.OK), (0.003, Severity.OK), (0.05, Severity.WARNING), (0.5, Severity.ERROR)]
)
def test_verdicts_by_the_signal_to_noise_ratio(noise: float, verdict: Severity) -> None:
    assert check(compared(([1, 1], [1, 1 + noise]))).verdict is verdict


def test_not_a_number_fails() -> None:
    assert check(compared(([1, 1], [1, math.nan]))).verdict is Severity.ERROR
    assert check(compared(([1, 1], [1, math.inf]))).verdict is Severity.ERROR


def test_not_a_number_in_both_agrees() -> None:
    assert check(compared(([1, math.nan, math.inf], [1, math.nan, math.inf]))).verdict is Severity.OK


def test_rounding_of_scores_near_zero_is_no_error() -> None:
    """A face detector on a picture without faces: scores of 1e-5 whose SNR was 44 dB were taken for a failure."""
    faint = compared(([1e-5, 2e-5], [1.05e-5, 2e-5]))
    assert check(faint).verdict is Severity.WARNING
    assert check(faint, resolution=1e-6).verdict is Severity.OK


def test_a_passport_is_as_good_as_its_worst_check_and_is_valid_json() -> None:
    good, bad = check(compared(([1, 1], [1, 1]))), check(compared(([1, 1], [1, math.nan])))
    assert Passport("rvc2", HeldOut("pictures", ("a",)), (good,)).verdict is Severity.OK
    passport = Passport("rvc2", HeldOut("pictures", ("a",)), (good, bad))
    assert passport.verdict is Severity.ERROR
    text = json.dumps(passport.as_dict(), allow_nan=False)
    assert json.loads(text)["checks"][0]["outputs"][0]["snr_db"] == "inf"


def test_overflows_keep_the_highest_peak_and_warn() -> None:
    found = overflows([("a", {"x": 7e4, "y": 65504.0}), ("b", {"x": 9e4}), ("c", {"x": math.inf})])
    assert [(item.tensor, item.peak, item.image) for item in found] == [("x", math.inf, "c")]
    assert Passport("rvc2", HeldOut("pictures", ("a",)), (), found).verdict is Severity.WARNING


def classified(*shifts: float) -> Measurement:
    """A classifier of four classes whose scores are moved by so much on one image each."""
    measurement = Measurement([Out("scores", (1, 4)), Out("extra", (1, 2, 3, 3))])
    for index, shift in enumerate(shifts):
        scores = np.array([[0.7, 0.1, 0.1, 0.1]])
        moved = scores + shift * np.array([[-1, 1, 0, 0]])
        extra = np.full((1, 2, 3, 3), 1.0 + index)
        measurement.add(f"image {index}", {"scores": scores, "extra": extra}, {"scores": moved, "extra": extra})
    return measurement


def test_where_a_task_decides_the_snr_is_shown_only() -> None:
    """A classifier that kept all of its decisions was refused for an SNR of 14 dB."""
    found = classified(*[0.07] * 9).check("QDQ", "method", Bounds(40, 30))
    scores, extra = found.outputs
    assert scores.snr_db < 30
    assert found.verdict_on(scores) is Severity.OK
    assert found.task_of(scores) is not None and found.task_of(extra) is None
    assert found.reasons == ()


def test_on_few_images_the_snr_counts_beside_what_a_task_says() -> None:
    """A negated weight that spoiled all boxes was ok: the float model saw two, which chance left where they were."""
    found = classified(*[0.07] * 7).check("QDQ", "method", Bounds(40, 30))
    assert found.task_of(found.outputs[0]) is None
    assert found.verdict is Severity.ERROR
    assert "fewer than 8 images, so the SNR counts beside them" in found.tasks[0].note


def test_a_task_that_fails_is_an_error_whatever_the_snr() -> None:
    found = classified(*[0.45] * 9).check("QDQ", "method", Bounds(-10, -20))
    assert found.verdict is Severity.ERROR
    assert found.reasons[0] == "top-1 agreement is 0.0 % (error below 80 %) by QDQ"
    assert Passport("rvc4", HeldOut("photos", ("a",)), (found,)).reasons == found.reasons


def test_what_is_not_finite_fails_though_a_task_would_pass() -> None:
    measurement = Measurement([Out("scores", (1, 4))])
    scores = np.array([[0.7, 0.1, 0.1, 0.1]])
    for candidate in (np.array([[0.7, 0.1, 0.1, math.inf]]), np.array([[0.7, 0.1, 0.1, math.nan]])):
        measurement.add("image", {"scores": scores}, {"scores": candidate})
        found = measurement.check("QDQ", "method")
        assert found.verdict is Severity.ERROR
        assert "not numbers" in found.output_reasons[0]


def test_without_a_task_the_snr_decides_and_says_its_bound() -> None:
    found = Measurement([Out("map", (1, 2, 3, 3))])
    values = np.linspace(-1, 1, 18).reshape(1, 2, 3, 3)
    found.add("image 1", {"map": values}, {"map": values + 0.08})
    checked = found.check("QDQ", "method")
    assert checked.verdict is Severity.WARNING
    assert checked.reasons == (
        "output 'map' has an SNR of 17.7 dB (ok from 25 dB) by QDQ, worst on image 1",
    )  # fmt: skip


def test_findings_are_the_passports_verdict_and_stand_first_among_the_reasons() -> None:
    finding = Finding(
        "code", Severity.ERROR, "what was seen", title="A title", remedy="what helps", evidence={"number": 1.5}
    )
    good = check(compared(([1, 1], [1, 1])))
    passport = Passport(
        "rvc4",
        HeldOut("photos", ("a",), "drawn apart"),
        (good,),
        findings=(finding,),
        calibration={"count": 64},
    )
    assert passport.verdict is Severity.ERROR
    assert passport.reasons == ("A title: what was seen",)
    plain = json.loads(json.dumps(passport.as_dict(), allow_nan=False))
    assert plain["passport_version"] == 3
    assert plain["verdict"] == plain["findings"][0]["severity"] == "error"
    assert plain["calibration"] == {"count": 64}
    assert plain["images"]["held_out"] == "drawn apart"


def test_tasks_are_in_the_json_with_their_worst_images() -> None:
    passport = Passport("rvc4", HeldOut("photos", ("a",)), (classified(0.45, *[0.0] * 9).check("QDQ", "method"),))
    plain = json.loads(json.dumps(passport.as_dict(), allow_nan=False))
    (task,) = plain["checks"][0]["tasks"]
    assert task["metrics"]["top1"]["value"] == 0.9
    assert [item["image"] for item in task["worst"]] == ["image 0"]
    assert plain["checks"][0]["outputs"][0]["decided_by"] == "task"
    assert len(plain["checks"][0]["outputs"][0]["by_image_snr_db"]) == 10


def test_few_images_are_told() -> None:
    few = Passport("rvc4", HeldOut("photos", ("a",) * 4), (classified(0.0).check("QDQ", "method"),))
    assert few.few_images
    assert not Passport("rvc4", HeldOut("photos", ("a",) * 64), few.checks).few_images


def test_a_passport_is_read_back_as_it_was_written() -> None:
    task = classified(0.45, *[0.0] * 9).check("QDQ", "method")
    broken = check(compared(([1, 1], [1, math.nan])))
    found = Passport("rvc4", HeldOut("photos", ("a",)), (task, broken), (Overflow("conv", math.inf, "a"),))
    again = report.read(json.loads(json.dumps(found.as_dict(drawings=True), allow_nan=False)))
    assert again.as_dict(drawings=True) == found.as_dict(drawings=True)
    assert again.reasons == found.reasons


def test_drawings_are_left_out_unless_asked_for() -> None:
    checked = classified(0.45, *[0.0] * 9).check("QDQ", "method")
    dot = pixels.png(np.zeros((1, 1, 4), np.uint8))
    found = Passport("rvc4", HeldOut("photos", ("a",)), (checked,), thumbnails={"a": dot})
    assert "data:image" not in json.dumps(found.as_dict())
    assert json.dumps(found.as_dict(drawings=True)).count("data:image") == 3  # the thumbnail, and two outputs' values


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "data:image/svg+xml;base64,AAAA", "data:image/png;base64,<b>"]
)
def test_a_document_from_elsewhere_brings_no_other_address(url: str) -> None:
    plain = Passport("rvc4", HeldOut("photos", ("a",))).as_dict(drawings=True)
    with pytest.raises(ValueError, match="thumbnails"):
        report.read({**plain, "thumbnails": {"a": url}})


@pytest.mark.parametrize("document", [{}, {"checks": 1}, {"checks": [{}]}, {"verdict": "purple"}, {"findings": [1]}])
def test_what_is_no_passport_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        report.read(document)


def test_a_passport_of_version_2_is_read() -> None:
    """Written by an earlier Oakmill, for squeezenet1.1 on RVC3: colours and other keys."""
    document = json.loads((Path(__file__).parent / "version-2.passport.json").read_text())
    found = report.read(document)
    assert (document["verdict"], found.verdict) == ("warn", Severity.WARNING)
    assert found.reasons == tuple(document["reasons"])
    assert [finding.code for finding in found.findings] == ["not_compiled"]
    assert found.images.names == tuple(document["images"]["names"])
    first = found.checks[0].tasks[0]
    assert first.metrics["top1"].text == "100.0 %" and first.metrics["top1"].bound() == "ok from 90 %"
    assert first.worst[0].reference.seen[0].label.startswith("class ")
    assert report.read(found.as_dict()).as_dict() == found.as_dict()


@pytest.mark.parametrize(("text", "verdict"), [(0.0, Severity.WARNING), (1.0, Severity.ERROR)])
def test_a_map_of_nothing_is_no_error_and_one_that_shows_something_is(text: float, verdict: Severity) -> None:
    """PP-OCR's text detector, on photos without text: 1e-7 against 8e-7 read -23 dB, an error, while it was right."""
    measurement = Measurement([Out("map", (1, 1, 64, 64))], size=(64, 64))
    expected, found = np.full((1, 1, 64, 64), 1e-7), np.full((1, 1, 64, 64), 9e-7)
    found[..., :32] = text
    measurement.add("photo", {"map": expected}, {"map": found})
    assert measurement.check("QDQ", "method").verdict is verdict
