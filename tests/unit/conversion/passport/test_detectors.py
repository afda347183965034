"""Each way to fail without a word is found by its name where it is, and not where things are well."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oakmill.conversion.passport import (
    Comparison,
    Confidence,
    Measurement,
    OutputEncoding,
    detectors,
    neighbours,
)
from oakmill.conversion.passport.classification import Classifier
from oakmill.conversion.passport.observed import Watch
from oakmill.findings import Severity
from tests.unit.conversion.passport.building import Out

RANDOM = np.random.default_rng(0)


def head(random: np.random.Generator, rows: int = 84, classes: int = 5) -> NDArray[Any]:
    """A decoded head [1, rows, 5 + classes]: boxes in pixels up to 640, scores of 0 to 1."""
    boxes = random.uniform(0, 640, (1, rows, 4))
    scores = random.uniform(0, 1, (1, rows, 1 + classes)) ** 4
    return np.concatenate([boxes, scores], 2)


def rounded(values: NDArray[Any], encoding: OutputEncoding) -> NDArray[Any]:
    stored = np.clip(np.round(values / encoding.scale) - encoding.offset, 0, 2**encoding.bits - 1)
    return (stored + encoding.offset) * encoding.scale


def findings(values: list[NDArray[Any]], found: list[NDArray[Any]], encoding: OutputEncoding) -> dict[str, Severity]:
    watch, comparison = Watch({"out": encoding}), Comparison()
    for reference, candidate in zip(values, found, strict=True):
        watch.add({"out": reference}, {"out": candidate})
        comparison.add("image", {"out": reference}, {"out": candidate})
    return {item.code: item.severity for item in detectors.find(watch.outputs, watch.encodings, comparison.outputs())}


def test_one_scale_over_boxes_and_scores_is_found_while_the_snr_reads_37_db() -> None:
    """A decoded YOLO head in one uint8 tensor: all scores rounded to 0, and the SNR told of nothing."""
    encoding = OutputEncoding(640 / 255)
    values = [head(RANDOM) for _ in range(4)]
    lost = [rounded(value, encoding) for value in values]
    comparison = Comparison()
    for a, b in zip(values, lost, strict=True):
        comparison.add("image", {"out": a}, {"out": b})
    assert comparison.outputs()[0].snr_db > 37
    assert all(value[..., 4:].max() == 0 for value in lost)
    assert findings(values, lost, encoding) == {"joined_scales": Severity.ERROR}


@pytest.mark.parametrize("turn", [(0, 1, 2), (0, 2, 1)])
def test_it_is_found_along_either_axis_with_its_numbers(turn: tuple[int, ...]) -> None:
    watch = Watch({"out": (encoding := OutputEncoding(2.5))})
    for _ in range(3):
        watch.add({"out": (value := head(RANDOM).transpose(turn))}, {"out": value})
    finding = detectors.joined_scales("out", watch.outputs["out"], encoding)
    assert finding is not None
    assert (finding.evidence["axis"], finding.evidence["first"]) == (turn.index(2), 4)
    assert finding.evidence["steps"] == pytest.approx(0.4, abs=0.05)
    assert "0 steps" in finding.message


@pytest.mark.parametrize(("columns", "until"), [(51, 5), (32, 7)])
@pytest.mark.parametrize("turn", [(0, 1, 2), (0, 2, 1)])
def test_scores_in_the_middle_are_found(columns: int, until: int, turn: tuple[int, ...]) -> None:
    """YOLOv8-pose: 4 numbers of a box, a score, 17 keypoints; with large coefficients of masks in the place of these
    it was green at 32.6 dB, and no score was left."""
    watch = Watch({"out": (encoding := OutputEncoding(640 / 255))})
    for _ in range(3):
        boxes, rest = RANDOM.uniform(0, 640, (1, 84, 4)), RANDOM.uniform(0, 640, (1, 84, columns))
        rest[..., 2::3] = RANDOM.uniform(0, 1, (1, 84, columns // 3)) if columns == 51 else 40
        scores = RANDOM.uniform(0, 1, (1, 84, until - 4))
        values = np.concatenate([boxes, scores, rest], 2).transpose(turn)
        watch.add({"out": values}, {"out": values})
    finding = detectors.joined_scales("out", watch.outputs["out"], encoding)
    assert finding is not None and finding.severity is Severity.ERROR
    assert f"at positions 4 to {until - 1} of axis {turn.index(2)}" in finding.message


def test_a_map_of_features_has_no_scores_in_the_middle() -> None:
    watch = Watch({"out": (encoding := OutputEncoding(8 / 255))})
    values = RANDOM.uniform(0, 8, (1, 16, 8, 8))
    values[:, 4] = 0.3 * RANDOM.random((8, 8))
    watch.add({"out": values}, {"out": values})
    assert detectors.joined_scales("out", watch.outputs["out"], encoding) is None


def test_a_movement_of_a_rounding_is_none() -> None:
    """A constant that float32 sums to 1 and to 1.0000002 was "an output that does not change"."""
    watch = Watch()
    for moved in (0.0, 2e-7):
        watch.add({"out": np.full((1, 4), 1 + moved)}, {"out": np.ones((1, 4))})
    assert detectors.dead_output("out", watch.outputs["out"]) is None


def test_an_output_that_vanishes_in_fp16_is_an_error() -> None:
    """Times 1e-8 nothing is further apart than FP16 can tell around 1, so that it was green."""
    comparison = Comparison()
    comparison.add("image", {"out": np.full((1, 4), 1e-8)}, {"out": np.zeros((1, 4))})
    finding = detectors.vanishing(comparison.outputs()[0])
    assert finding is not None and finding.severity is Severity.ERROR
    other = Comparison()
    other.add(
        "image", {"out": np.full((1, 4), 1e-3), "none": np.zeros(3)}, {"out": np.zeros((1, 4)), "none": np.ones(3)}
    )
    assert [detectors.vanishing(output) for output in other.outputs()] == [None, None]


def test_images_on_which_the_float_model_gives_no_number_are_told() -> None:
    """On some photos it divides by zero; both models did, so that both agreed, and nothing was said."""
    comparison = Comparison()
    for name, value in (("good", 1.0), ("black", math.nan), ("dark", math.inf)):
        comparison.add(name, {"out": np.array([[value, 1.0]])}, {"out": np.array([[value, 1.0]])})
    finding = detectors.undefined(comparison.outputs()[0])
    assert finding is not None and finding.severity is Severity.WARNING
    assert "on 2 of 3 images, first on black" in finding.message


def test_coarse_scores_warn_and_sixteen_bits_are_enough() -> None:
    values = [head(RANDOM) * ([0.01] * 4 + [1] * 6) for _ in range(4)]
    coarse = OutputEncoding(6.4 / 255)
    assert findings(values, values, coarse) == {"joined_scales": Severity.WARNING}
    assert findings(values, values, OutputEncoding(6.4 / 65535, bits=16)) == {}


def test_a_class_that_hardly_ever_occurs_is_no_group() -> None:
    """The last of 80 classes, seen once with a score of 0.001, was taken for values under too wide a scale."""
    values = [np.concatenate([RANDOM.uniform(0, 1, (1, 84, 9)), RANDOM.uniform(0, 1e-3, (1, 84, 1))], 2)]
    wide = [np.concatenate([value[..., :5] * 8, value[..., 5:]], 2) for value in values]
    found = findings(wide, wide, OutputEncoding(8 / 255))
    assert found == {"joined_scales": Severity.WARNING}
    assert findings(values, values, OutputEncoding(1 / 255)) == {}


def test_an_output_that_does_not_change_is_dead() -> None:
    values = [RANDOM.normal(size=(1, 8)) for _ in range(4)]
    dead = [np.zeros((1, 8))] * 4
    assert findings(values, dead, OutputEncoding(0.1, -128)) == {"dead_output": Severity.ERROR}
    assert findings(dead, dead, OutputEncoding(0.1, -128)) == {}


@pytest.mark.parametrize(("top", "level"), [(2.0, Severity.ERROR), (2.4, Severity.WARNING), (4.0, None)])
def test_values_beyond_the_encoding_are_cut_off(top: float, level: Severity | None) -> None:
    values = [np.abs(RANDOM.normal(size=(1, 4000))) for _ in range(2)]
    watch = Watch({"out": (encoding := OutputEncoding(top / 255 / 1.25))})
    for value in values:
        watch.add({"out": value}, {"out": value})
    finding = detectors.saturated("out", watch.outputs["out"], encoding)
    assert (finding and finding.severity) is level


@pytest.mark.parametrize(("gain", "level"), [(2.0, Severity.ERROR), (0.85, Severity.WARNING), (1.02, None)])
def test_a_wrong_factor_is_named(gain: float, level: Severity | None) -> None:
    comparison = Comparison()
    comparison.add("image", {"out": (value := RANDOM.normal(size=(1, 50)))}, {"out": value * gain})
    finding = detectors.wrong_scale(comparison.outputs()[0])
    assert (finding and finding.severity) is level


def classified(reference: list[int], candidate: list[int]) -> Any:
    task = Classifier("out")
    for a, b in zip(reference, candidate, strict=True):
        task.add("image", {"out": np.eye(10)[a][None]}, {"out": np.eye(10)[b][None]})
    return task.agreement()


def test_collapse_to_one_class() -> None:
    various = [index % 10 for index in range(20)]
    finding = detectors.class_collapse(classified(various, [7] * 18 + [1, 2]))
    assert finding is not None and finding.severity is Severity.ERROR
    assert "18 of 20" in finding.message
    assert detectors.class_collapse(classified(various, various)) is None
    assert detectors.class_collapse(classified([7] * 20, [7] * 20)) is None


def test_classes_that_never_come() -> None:
    finding = detectors.lost_classes(classified([1] * 5 + [2] * 40, [2] * 45))
    assert finding is not None and finding.severity is Severity.WARNING
    assert finding.evidence["classes"] == ["class 1"]
    assert detectors.lost_classes(classified([1] * 3 + [2] * 40, [2] * 43)) is None


def test_wrong_colour_order_is_found_by_the_certainty_of_the_same_pictures() -> None:
    right = Confidence(tuple(RANDOM.uniform(0.4, 0.9, 64)), 1000)
    wrong = Confidence(tuple(np.array(right.values) - 0.12 + RANDOM.normal(0, 0.1, 64)))
    finding = detectors.colour_order(wrong, right)
    assert finding is not None and finding.severity is Severity.ERROR
    assert detectors.colour_order(right, wrong) is None
    assert detectors.colour_order(right, right) is None
    assert detectors.colour_order(Confidence((0.1,) * 4), Confidence((0.9,) * 4)) is None


def spread(mean: float, images: int, width: float = 0.0) -> Confidence:
    return Confidence(tuple(np.linspace(mean - width, mean + width, images)))


@pytest.mark.parametrize(
    ("wrong", "right", "severity"),
    [
        (spread(0.70, 24, 0.1), spread(0.80, 24, 0.08), Severity.ERROR),
        (spread(0.35, 24, 0.03), spread(0.40, 24, 0.05), Severity.WARNING),  # drawings, of which it is not sure
        (spread(0.70, 12, 0.1), spread(0.80, 12, 0.08), Severity.WARNING),  # few images
        (spread(0.70, 24, 0.1), spread(0.74, 24, 0.08), Severity.WARNING),  # hardly surer
        (spread(0.05, 64), spread(0.09, 64, 0.04), None),  # it sees nothing either way
    ],
)
def test_exchanged_colours_are_an_error_only_where_the_model_knows_what_it_sees(
    wrong: Confidence, right: Confidence, severity: Severity | None
) -> None:
    """On drawn images a rightly fed model was clearer with its colours exchanged, 40 % against 35 %, which was told as
    an error; a detector that finds nothing in them was "surer" at 9 % against 5 %."""
    finding = detectors.colour_order(wrong, right)
    assert (finding.severity if finding else None) is severity
    assert finding is None or ("may be" in (finding.title or "")) is (severity is Severity.WARNING)


def test_images_without_anything_do_not_hide_exchanged_colours() -> None:
    """UltraFace's wrong order on photos: most show no face, and their noise hid what the others say."""
    random = np.random.default_rng(5)
    empty, noise = random.uniform(0.02, 0.2, 60), random.normal(0, 0.05, 60)
    known = random.uniform(0.6, 0.9, 20)
    right = Confidence((*known, *empty))
    wrong = Confidence((*(known - 0.1 + random.normal(0, 0.05, 20)), *np.clip(empty + noise, 0, 0.24)))
    finding = detectors.colour_order(wrong, right)
    assert finding is not None and finding.evidence["images"] == 20


@pytest.mark.parametrize(
    ("mean", "classes", "found"),
    [(0.02, 1000, True), (0.4, 1000, False), (0.55, 2, True), (0.9, 2, False), (0.05, 0, True), (0.3, 0, False)],
)
def test_a_model_that_is_sure_of_nothing(mean: float, classes: int, found: bool) -> None:
    assert bool(detectors.low_confidence(Confidence((mean,) * 8, classes))) is found


def test_no_images_have_no_certainty() -> None:
    assert math.isnan(Confidence(()).mean)


def test_noise_is_told_from_photos() -> None:
    noise = RANDOM.integers(0, 256, (1, 64, 64, 3))
    smooth = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3)
    assert abs(neighbours(noise)) < 0.1
    assert neighbours(smooth) > 0.9
    assert neighbours(smooth[..., 0]) > 0.9
    assert neighbours(np.zeros((8, 8, 3))) == 1.0
    assert (detectors.random_calibration(0.02) or pytest.fail("not found")).severity is Severity.ERROR
    assert detectors.random_calibration(0.9) is None


@pytest.mark.parametrize(("bits", "codes"), [(8, ["coarse_boxes"]), (16, [])])
def test_small_boxes_under_a_coarse_scale(bits: int, codes: list[str]) -> None:
    """A face detector in 8 bits lost a third of its boxes while both outputs read 42 dB."""
    encodings = {"boxes": OutputEncoding(1.5 / (2**bits - 1), bits=bits), "scores": OutputEncoding(1 / 255)}
    measurement = Measurement([Out("boxes", (1, 200, 4)), Out("scores", (1, 200, 2))], None, (64, 64), encodings)
    corners = np.tile([0.2, 0.2, 0.23, 0.25], (1, 200, 1)) + RANDOM.uniform(0, 0.5, (1, 200, 1))
    for index in range(3):
        outputs = {"boxes": corners, "scores": np.full((1, 200, 2), 0.5 + index / 10)}
        measurement.add(f"{index}", outputs, outputs)
    assert [item.code for item in measurement.findings()] == codes


def test_a_measurement_finds_them_from_the_run() -> None:
    encoding = OutputEncoding(640 / 255)
    measurement = Measurement([Out("out", (1, 84, 10))], None, (64, 64), {"out": encoding})
    for index in range(3):
        measurement.add(f"{index}", {"out": (value := head(RANDOM))}, {"out": rounded(value, encoding)})
    codes = [item.code for item in measurement.findings()]
    assert codes[0] == "joined_scales"
    check = measurement.check("QDQ", "method")
    assert check.outputs[0].snr_db > 37
    assert check.verdict is Severity.ERROR
