"""The tasks' numbers are those of their definitions, and their verdicts follow from them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from oakmill.conversion.passport import Metric, Task, TaskAgreement
from oakmill.conversion.passport.classification import Classifier, probabilities
from oakmill.conversion.passport.detection import Detector
from oakmill.conversion.passport.segmentation import Segmentation
from oakmill.conversion.passport.sequence import ScoredRows, Sequence
from oakmill.conversion.passport.tasks import ShownImage, Sighting, WorstImages
from oakmill.findings import Severity
from oakmill.heads.decoders import Pair
from oakmill.heads.recognise import axis_of_classes


def scores(top: int, classes: int = 10, probability: float = 0.9) -> NDArray[np.float64]:
    values = np.full((1, classes), (1 - probability) / (classes - 1))
    values[0, top] = probability
    return values


def measured(task: Task, *pairs: tuple[NDArray[Any], NDArray[Any]], name: str = "out") -> TaskAgreement:
    for index, (reference, candidate) in enumerate(pairs):
        task.add(f"image {index}", {name: reference}, {name: candidate})
    return task.agreement()


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.95, Severity.OK), (0.9, Severity.OK), (0.85, Severity.WARNING), (0.7, Severity.ERROR)]
)
def test_a_metric_where_higher_is_better(value: float, verdict: Severity) -> None:
    assert Metric("k", "words", value, ok=0.9, error=0.8).verdict is verdict


@pytest.mark.parametrize(("value", "verdict"), [(0.05, Severity.OK), (0.1, Severity.WARNING), (0.3, Severity.ERROR)])
def test_a_metric_where_lower_is_better(value: float, verdict: Severity) -> None:
    metric = Metric("k", "words", value, "", ok=0.08, error=0.2)
    assert metric.verdict is verdict
    assert metric.bound(Severity.ERROR) == "error above 0.2"


def test_a_metric_that_could_not_be_measured_decides_nothing() -> None:
    metric = Metric("k", "words", math.nan, ok=0.9, error=0.8)
    assert metric.verdict is Severity.OK
    assert metric.text == "not measured"
    assert json.loads(TypeAdapter(Metric).dump_json(metric))["value"] is None


def test_top1_and_top5_of_a_classifier() -> None:
    second = scores(1)
    second[0, 2] = 0.05
    pairs = [(scores(2), scores(2))] * 8 + [(scores(2), second)] + [(scores(9), scores(1))]
    found = measured(Classifier("out"), *pairs)
    assert found.values["top1"] == 0.8
    assert found.values["top5"] >= 0.9
    assert found.verdict is Severity.ERROR
    assert {item.image for item in found.worst} == {"image 8", "image 9"}
    assert [(item.index, item.reference, item.candidate, item.both) for item in found.classes] == [
        (2, 9, 8, 8), (9, 1, 0, 0), (1, 0, 2, 0)
    ]  # fmt: skip


def test_a_classifier_of_four_dimensions_that_agrees_is_ok() -> None:
    values = scores(3).reshape(1, 10, 1, 1)
    found = measured(Classifier("out"), *[(values, values)] * 9)
    assert (found.values["top1"], found.verdict, found.worst) == (1.0, Severity.OK, ())


def test_doubled_probabilities_keep_the_first_class_and_are_red() -> None:
    """A scale in the artefact that was twice what it should be left all decisions and every top-1 as they were."""
    found = measured(Classifier("out"), *[(scores(3), 2 * scores(3))] * 9)
    assert found.values["top1"] == 1.0
    assert found.verdict is Severity.ERROR
    assert "mean change of confidence" in found.reasons[0]


def test_logits_become_probabilities_by_a_softmax() -> None:
    assert probabilities(np.array([0.0, math.log(3)])) == pytest.approx([0.25, 0.75])
    assert probabilities(np.array([0.25, 0.75])) == pytest.approx([0.25, 0.75])
    assert probabilities(np.array([0.25, 0.75]), is_softmax=False)[1] < 0.75
    assert np.isfinite(probabilities(np.array([math.nan, math.inf, -math.inf]))).all()


@pytest.mark.parametrize(
    ("make", "decides"),
    [
        (lambda random: random.uniform(0, 160, 136), False),  # landmarks in pixels
        (lambda random: random.normal(0, 1, 256), False),  # an embedding
        (lambda random: np.array([25, -10, 2]) + random.normal(0, 8, 3), False),  # angles of a head, in degrees
        (lambda random: random.normal(0, 20, 10), False),  # coordinates about a centre
        (lambda random: np.append(random.normal(0, 1, 999), 12.0), True),  # logits, as many as ImageNet has classes
        (lambda random: np.append(np.full(4, 0.05), 0.8), True),  # probabilities
    ],
)
def test_a_vector_that_may_be_no_classifier_decides_nothing(make: Any, decides: bool) -> None:
    """Landmarks of a face were judged by which coordinate was the largest; three angles passed for a classifier, as one
    number was negative and one stood out, and an error of 8.6 degrees was green."""
    random = np.random.default_rng(0)
    values = [make(random)[None] for _ in range(8)]
    found = measured(Classifier("out"), *[(value, -value) for value in values])
    assert found.decides is decides
    assert (found.verdict is Severity.OK) is not decides


def corners(*boxes: tuple[float, float, float, float, float]) -> tuple[NDArray[Any], NDArray[Any]]:
    table = np.zeros((1, 6, 5))
    table[0, : len(boxes)] = np.array(boxes).reshape(-1, 5)
    return table[..., :4], np.stack([1 - table[..., 4], table[..., 4]], -1)


def detected(*pairs: tuple[Any, Any]) -> TaskAgreement:
    task = Detector(Pair("boxes", "scores"))
    for index, sides in enumerate(pairs):
        first, second = (dict(zip(("boxes", "scores"), side, strict=True)) for side in sides)
        task.add(f"image {index}", first, second)
    return task.agreement()


def test_boxes_that_are_found_again_missed_and_invented() -> None:
    one, two, far = (0.1, 0.1, 0.3, 0.3, 0.9), (0.5, 0.5, 0.9, 0.9, 0.8), (0.0, 0.8, 0.1, 0.9, 0.7)
    moved = (0.1, 0.1, 0.3, 0.28, 0.8)
    found = detected((corners(one, two), corners(moved, far)), (corners(), corners()))
    assert found.values == pytest.approx(
        {
            "f1": 0.5,
            "recall": 0.5,
            "precision": 0.5,
            "mean_iou": 0.9,
            "score_shift": 0.1,
            "boxes": 2,
            "box_side": 0.3,
        }
    )
    assert found.verdict is Severity.ERROR
    (worst,) = found.worst
    assert [seen.matched for seen in worst.reference.seen] == [True, False]
    assert "guessed from the shapes" in found.note


@pytest.mark.parametrize(("images", "replaces"), [(3, False), (4, True)])
def test_few_boxes_replace_no_snr(images: int, replaces: bool) -> None:
    one, two = (0.1, 0.1, 0.3, 0.3, 0.9), (0.5, 0.5, 0.9, 0.9, 0.8)
    found = detected(*[(corners(one, two), corners(one, two))] * images)
    assert (found.speaks, found.replaces_snr) == (True, replaces)
    assert ("fewer than 8 boxes" in found.note) is not replaces


def test_without_any_box_nothing_is_measured() -> None:
    found = detected((corners(), corners()))
    assert not found.measured
    assert found.verdict is Severity.WARNING
    assert "finds nothing" in found.reasons[0]


def test_boxes_that_all_vanish_are_red() -> None:
    one = (0.1, 0.1, 0.3, 0.3, 0.9)
    found = detected(*[(corners(one), corners())] * 3)
    assert (found.values["f1"], found.verdict) == (0.0, Severity.ERROR)
    assert not math.isnan(found.values["recall"])


def test_what_cannot_be_scores_is_not_judged_as_scores() -> None:
    """Keypoints in pixels stood where a detector without keypoints has its classes."""
    values = (np.zeros((1, 6, 4)), np.full((1, 6, 2), 300.0))
    found = detected((values, values))
    assert (found.measured, found.decides, found.reasons) == (False, False, ())
    assert "300" in found.note


def test_pixels_of_the_same_class() -> None:
    reference = np.zeros((1, 2, 4, 4))
    reference[0, 1, :2] = 1
    candidate = reference.copy()
    candidate[0, 1, 0, 0] = -1
    found = measured(Segmentation("out", guessed=False), (reference, candidate))
    assert found.values["pixels"] == 15 / 16
    assert found.values["mean_iou"] == pytest.approx((7 / 8 + 8 / 9) / 2)
    assert found.values["least_iou"] == pytest.approx(7 / 8)
    assert found.verdict is Severity.WARNING


def test_masks_whose_classes_come_last_are_read() -> None:
    """TFLite's models give [1, H, W, K]; the best of each row's columns was taken for a class."""
    first = np.random.default_rng(0).dirichlet(np.ones(3), (1, 8, 6))
    found = measured(Segmentation("out", ("a", "b", "c"), guessed=False, axis=3), (first, first[..., [1, 0, 2]]))
    assert {item.label for item in found.classes} == {"a", "b", "c"}
    assert found.values["pixels"] == pytest.approx((first.argmax(axis=3) == 2).mean())


@pytest.mark.parametrize(
    ("make", "decides"),
    [
        (lambda random: (random.random((1, 1, 16, 16)) > 0.7) * 0.98, True),  # saliency
        (lambda random: random.random((1, 1, 16, 16)), False),  # depth
        (lambda random: random.dirichlet(np.ones(4), (1, 16, 16)), True),  # probabilities of classes, the last axis
        (lambda random: random.normal(0, 1, (1, 4, 16, 16)), False),  # features, or logits that nobody declared
    ],
)
def test_maps_are_masks_where_their_values_are(make: Any, decides: bool) -> None:
    """The SNR of a saliency map judged its borders; nothing said whether the mask was the same."""
    axis = axis_of_classes(make(np.random.default_rng(0)).shape, (16, 16))
    maps = [make(np.random.default_rng(index)) for index in range(3)]
    found = measured(Segmentation("out", axis=axis), *zip(maps, maps, strict=True))
    assert (found.decides, found.replaces_snr) == (decides, decides)


def test_a_map_without_anything_over_the_threshold_measures_nothing() -> None:
    empty = np.full((1, 1, 16, 16), 0.01)
    assert not measured(Segmentation("out"), (empty, empty)).measured


def test_the_regions_of_a_map_of_text_are_counted() -> None:
    """PP-OCRv5's detector in 8 bits was ok, and its own program found 88 % of its lines: of the pixels 0.9 agreed."""
    words, joined = np.zeros((1, 1, 64, 64)), np.zeros((1, 1, 64, 64))
    for row in range(4, 60, 8):
        words[..., row : row + 5, 2:30] = words[..., row : row + 5, 32:62] = 1
        joined[..., row : row + 5, 2:62] = 1
    found = measured(Segmentation("out"), (words, words), (words, joined), (words, words))
    assert found.values["mean_iou"] > 0.95
    assert found.values["regions"] == pytest.approx(70 / 77)
    assert (found.verdict, len(found.reasons)) == (Severity.WARNING, 1)
    assert "regions" not in measured(Segmentation("out"), (words, joined)).values


@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (1, 4, 4)])
def test_masks_of_one_class_and_of_class_numbers(shape: tuple[int, ...]) -> None:
    values = np.zeros(shape)
    values[..., :2] = 1
    found = measured(Segmentation("out"), (values, values))
    assert found.values == {"pixels": 1.0, "mean_iou": 1.0, "least_iou": 1.0}
    assert [item.reference for item in found.classes] == [8, 8]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_class_numbers_with_an_axis_of_one_are_no_map_of_one_class(dtype: type) -> None:
    """An ArgMax that keeps its axis, [1, 1, H, W]: classes 1 to 7 were all one, however they were exchanged."""
    classes = np.arange(16).reshape(1, 1, 4, 4) % 4
    exchanged: NDArray[Any] = np.array([0, 3, 1, 2])[classes].astype(dtype)
    found = measured(Segmentation("out", guessed=False), (classes.astype(np.uint8), exchanged))
    assert (found.values["pixels"], found.verdict) == (0.25, Severity.ERROR)


def text(*classes: int, of: int = 5) -> NDArray[Any]:
    return np.eye(of)[list(classes)][None] * 8


def test_texts_are_read_as_ctc_writes_them() -> None:
    task = Sequence("out", ("-", "a", "b", "c", "d"), blank=0, guessed=False)
    same, other = text(1, 1, 0, 1, 2), text(1, 0, 1, 1, 2)
    wrong = text(1, 0, 0, 3, 2)
    found = measured(task, (same, other), (same, wrong), (same / 100, wrong / 100))
    assert found.kind == "text"
    assert found.values == pytest.approx({"texts_sure": 0.5, "texts": 1 / 3, "texts_read": 2 / 3, "steps": 0.6})
    assert next(item.reference.text for item in found.worst) == "aab"


def test_texts_whose_time_comes_first_are_read() -> None:
    """PaddleOCR's older readers and many of PyTorch give [T, 1, K]; the first step alone was looked at."""
    same, wrong = (text(*tops).transpose(1, 0, 2) for tops in ((0, 1, 0, 2, 0), (0, 1, 0, 0, 0)))
    found = measured(Sequence("out"), (same, same), (same, wrong))
    assert (found.kind, found.decides, found.values["texts"]) == ("text", True, 0.5)


def test_an_embedding_of_tokens_is_no_text() -> None:
    """One of its numbers is often the largest, but never by much."""
    tokens = np.random.default_rng(0).normal(0, 0.1, (1, 20, 64))
    tokens[..., 0] += 0.5
    found = measured(Sequence("out"), (tokens, tokens))
    assert (found.decides, found.replaces_snr) == (False, False)


def test_a_blank_that_shows_itself_makes_a_text() -> None:
    found = measured(Sequence("out"), (text(0, 1, 0, 2, 0), text(0, 1, 0, 2, 0)))
    assert (found.kind, found.decides) == ("text", True)
    found = measured(Sequence("out"), (text(1, 2, 3, 2, 1), text(1, 2, 3, 2, 2)))
    assert (found.kind, found.decides, found.verdict) == ("sequence", False, Severity.OK)


def test_rows_with_scores_are_shown_and_decide_nothing() -> None:
    rows = np.zeros((1, 600, 3))
    rows[0, 7] = [0.1, 0.9, 0]
    found = measured(ScoredRows("out"), (rows, rows * 0.1))
    assert found.values == pytest.approx({"kept": 0, "same_class": 1, "score_shift": 0.81})
    assert (found.decides, found.verdict) == (False, Severity.OK)
    assert not measured(ScoredRows("out"), (rows * 100, rows)).measured


def test_the_worst_images_are_kept_and_no_more() -> None:
    worst = WorstImages(most=2)
    for name, agreement, weight in [("a", 0.5, 0), ("b", 0.0, 1), ("c", 0.9, 9), ("d", 0.0, 5)]:
        if worst.would_keep(agreement, weight):
            worst.add(ShownImage(name, agreement, Sighting(), Sighting()), weight)
    assert [item.image for item in worst.sorted()] == ["d", "b"]
    assert not worst.would_keep(1.0, 99)


@pytest.mark.parametrize(
    ("task", "outputs"),
    [
        (Classifier("out"), {"out": scores(1)}),
        (Detector(Pair("boxes", "scores")), dict(zip(("boxes", "scores"), corners((0, 0, 1, 1, 0.9)), strict=True))),
        (Segmentation("out"), {"out": np.full((1, 2, 4, 4), 0.9)}),
        (Sequence("out"), {"out": text(0, 1)}),
        (ScoredRows("out"), {"out": np.full((1, 600, 2), 0.9)}),
    ],
)
def test_certainty_lies_within_0_and_1(task: Task, outputs: dict[str, NDArray[Any]]) -> None:
    assert 0.2 < task.certainty(outputs) <= 1.0
