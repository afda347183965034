"""The task's own metric by labels: as COCO's own library has it, with intervals, on what the model sees of an image."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oakmill.calibration.labels import ImageLabels, Kind, Labels, Thing
from oakmill.conversion.passport.classification import Classifier
from oakmill.conversion.passport.detection import Detector
from oakmill.conversion.passport.labelled import Accuracy, Truth, judges_of, unused
from oakmill.conversion.passport.labelled import boxes as by_boxes
from oakmill.conversion.passport.segmentation import Segmentation
from oakmill.conversion.passport.sequence import Sequence as StepByStep
from oakmill.heads.boxes import Boxes
from oakmill.heads.decoders import Found, Rows
from oakmill.spec import Resize

SIDE = 100


def labels(images: list[ImageLabels], kind: Kind = Kind.BOXES, names: tuple[str, ...] = ()) -> Labels:
    return Labels(kind, names, {str(place): item for place, item in enumerate(images)}, "labels.json")


def truth(given: Labels, resize: Resize = Resize.STRETCH, size: tuple[int, int] = (SIDE, SIDE)) -> Truth:
    return Truth(given, size, resize, {item.name: item for item in given.images.values()})


def rows(boxes: Sequence[tuple[float, float, Sequence[float]]]) -> dict[str, Any]:
    """An SSD's rows: of each box its class, score and corners."""
    found = np.full((1, 1, 120, 7), -1.0, np.float32)
    for place, (label, score, corners) in enumerate(boxes):
        found[0, 0, place] = (0, label, score, *corners)
    return {"out": found}


def detector(names: tuple[str, ...] = ()) -> Detector:
    return Detector(Found("out"), names, iou=0.99)


def random_case(seed: int) -> tuple[Labels, list[dict[str, Any]]]:
    """Things of three classes, some of them crowds, and boxes about them, with others besides."""
    random = np.random.default_rng(seed)
    images, outputs = [], []
    for number in range(12):
        low = random.uniform(0, 0.6, (5, 2))
        corners = np.concatenate([low, low + random.uniform(0.1, 0.4, (5, 2))], axis=1)
        things = [
            Thing(int(random.integers(3)), tuple(map(float, box)), crowd=bool(random.random() < 0.15))  # type: ignore[arg-type]
            for box in corners
        ]
        images.append(ImageLabels(f"{number}.png", (SIDE, SIDE), things=tuple(things)))
        found = [
            (thing.label, float(random.random()), tuple(np.array(thing.box) + random.normal(0, 0.02, 4)))
            for thing in things
            for _ in range(int(random.integers(3)))
        ]
        found += [
            (int(random.integers(3)), float(random.random()), tuple(random.uniform(0, 0.5, 2)) * 2) for _ in range(4)
        ]
        found = [(label, score, (*c[:2], c[2] + 0.2, c[3] + 0.2) if c[2] <= c[0] else c) for label, score, c in found]
        outputs.append(rows(found))
    return labels(images), outputs


def of_the_library(given: Labels, task: Detector, outputs: list[dict[str, Any]]) -> tuple[float, float]:
    """AP and AP50 as pycocotools computes them from files."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def plain(corners: Any) -> dict[str, Any]:
        x0, y0, x1, y1 = (float(value) * SIDE for value in corners)
        return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}

    every = [
        {"image_id": place, "category_id": thing.label, "iscrowd": int(thing.crowd), **plain(thing.box)}
        for place, image in enumerate(given.images.values())
        for thing in image.things or ()
    ]
    detections = []
    for place, found in enumerate(outputs):
        boxes = task.boxes(found, by_boxes.LOWEST, by_boxes.MOST)
        for corners, score, label in zip(boxes.corners, boxes.scores, boxes.labels, strict=True):
            detections.append({"image_id": place, "category_id": int(label), "score": float(score), **plain(corners)})
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO()
        api.dataset = {
            "images": [{"id": place} for place in range(len(given.images))],
            "categories": [{"id": number} for number in range(3)],
            "annotations": [{"id": 1 + place, **item} for place, item in enumerate(every)],
        }
        api.createIndex()
        evaluation = COCOeval(api, api.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_that_of_cocos_own_library(seed: int) -> None:
    """Precision is added up here, as a bootstrap counts images more than once; once each, it has to be the same."""
    given, outputs = random_case(seed)
    judge = by_boxes.Detections(truth(given), detector())
    for image, found in zip(given.images.values(), outputs, strict=True):
        judge.add(image.name, found, found)
    accuracy = judge.accuracy()
    assert accuracy is not None
    precision, at_half = of_the_library(given, detector(), outputs)
    assert [score.candidate for score in accuracy.scores] == pytest.approx([precision, at_half])
    assert 0.05 < precision < at_half < 0.95
    assert accuracy.drop == 0
    assert accuracy.scores[0].drop_interval == (0, 0)


def test_an_interval_is_of_both_models_on_the_same_images() -> None:
    """25 images pretended to tell a point: where single images decide, the interval says so."""
    images = [ImageLabels(f"{n}", (SIDE, SIDE), label=n % 3) for n in range(25)]
    judge = judges_of([Classifier("scores")], truth(labels(images, Kind.CLASSES)))[0]
    for place, image in enumerate(images):
        right, wrong = np.eye(3)[None, place % 3], np.eye(3)[None, (place + 1) % 3]
        judge.add(image.name, {"scores": right}, {"scores": wrong if place in (3, 9) else right})
    accuracy = judge.accuracy()
    assert accuracy is not None
    (score,) = accuracy.scores
    assert (score.reference, score.candidate, round(score.drop, 6)) == (1.0, 0.92, 0.08)
    low, high = score.drop_interval
    assert 0 <= low < 0.02
    assert 0.15 < high < 0.25
    assert score.reference_interval == (0.88, 1.0)
    assert judge.accuracy() == accuracy


def test_where_no_image_changed_the_interval_is_no_point() -> None:
    """48 photos on which both models were right alike had a drop of 0.0, from 0.0 to 0.0 points: they cannot know."""
    images = [ImageLabels(f"{n}", (SIDE, SIDE), label=0) for n in range(48)]
    judge = judges_of([Classifier("scores")], truth(labels(images, Kind.CLASSES)))[0]
    for image in images:
        same = {"scores": np.eye(3)[None, 0]}
        judge.add(image.name, same, same)
    accuracy = judge.accuracy()
    assert accuracy is not None
    assert accuracy.headline.drop_interval == (-3 / 48, 3 / 48)
    assert "0.0 points (95 %: -6.2 to +6.2)" in accuracy.headline.text


def test_top_five_and_ties_and_what_is_no_number() -> None:
    images = [ImageLabels(name, (SIDE, SIDE), label=4) for name in "abc"]
    judge = judges_of([Classifier("scores")], truth(labels(images, Kind.CLASSES)))[0]
    found = [np.arange(8.0)[::-1], np.zeros(8), np.full(8, np.nan)]
    for name, scores in zip("abc", found, strict=True):
        judge.add(name, None, {"scores": scores[None]})
    accuracy = judge.accuracy()
    assert accuracy is not None
    assert [score.candidate for score in accuracy.scores] == [0, pytest.approx(2 / 3)]
    assert np.isnan(accuracy.drop)


def mapped(names: tuple[str, ...], own: tuple[str, ...], label: int = 1) -> tuple[dict[int, int], str]:
    given = labels([ImageLabels("a", (1, 1), label=label)], Kind.CLASSES, names)
    found = truth(given).class_map(own, 3)
    return dict(found.to_model), found.words


def test_classes_are_matched_by_name_where_both_have_names() -> None:
    """A set's cat is class 0 and the model's is class 15: by number each photo of a cat is an airplane."""
    assert mapped(("cat", "dog"), ("dog", "cat", "cow")) == ({1: 0}, "classes are matched by name")
    assert mapped(("", "great_white_shark"), ("x", "y", "Great white shark, man-eater"))[0] == {1: 2}
    known, words = mapped(("cat", "unicorn"), ("dog", "cat", "cow"))
    assert not known
    assert words == "classes are matched by name; the model does not know unicorn, which do not count"


@pytest.mark.parametrize("own", [(), ("0", "1", "2"), ("class 0", "class 1", "class 2")])
def test_a_model_that_numbers_its_classes_is_matched_by_number(own: tuple[str, ...]) -> None:
    """squeezenet's archive calls its classes class 0, class 1: they are no names, and 500 labels judged nothing."""
    known, words = mapped(("tench", "goldfish"), own)
    assert known == {1: 1}
    assert words == "classes are matched by number, as the model names no classes"


@pytest.mark.parametrize(
    ("resize", "corners"),
    [
        (Resize.STRETCH, (0.5, 0.5, 0.75, 1)),
        (Resize.CROP, (0.5, 0.5, 1, 1)),
        (Resize.PAD, (0.5, 0.5, 0.75, 0.75)),
    ],
)
def test_a_box_lies_where_the_resized_image_has_it(resize: Resize, corners: tuple[float, ...]) -> None:
    image = ImageLabels("a", (200, 100), things=(Thing(0, (0.5, 0.5, 0.75, 1.0)),))
    found = truth(labels([image]), resize).corners(image, image.things or ())
    assert found[0] == pytest.approx(corners)


def test_what_a_crop_cuts_away_is_not_missed() -> None:
    """A photo's left third was cropped, and all that stood there counted as not found."""
    things = (Thing(0, (0.0, 0.0, 0.1, 0.5)), Thing(0, (0.4, 0.4, 0.6, 0.8)))
    image = ImageLabels("a", (300, 100), things=things)
    judge = by_boxes.Detections(truth(labels([image]), Resize.CROP), detector())
    judge.add("a", None, rows([(0, 0.9, (0.2, 0.4, 0.8, 0.8))]))
    accuracy = judge.accuracy()
    assert accuracy is not None
    assert accuracy.headline.candidate == pytest.approx(1)
    assert "1 things lie outside" in accuracy.note


def test_labels_that_judge_nothing_say_why() -> None:
    given = labels([ImageLabels("a", (1, 1), label=0)], Kind.CLASSES)
    found = unused(given, truth(given), judges_of([detector()], truth(given)))
    assert found.code == "labels_unused"
    assert "no output is recognised as that of a classifier" in found.message
    assert "none of the images that test is labelled" in unused(given, None, ()).message


def test_boxes_of_no_class_that_is_labelled_do_not_count() -> None:
    image = ImageLabels("a", (SIDE, SIDE), things=(Thing(0, (0.1, 0.1, 0.5, 0.5)),))
    judge = by_boxes.Detections(truth(labels([image])), detector())
    judge.add("a", None, rows([(2, 0.9, (0.6, 0.6, 0.9, 0.9)), (0, 0.5, (0.1, 0.1, 0.5, 0.5))]))
    judge.add("of which nobody says anything", None, rows([(0, 0.9, (0.1, 0.1, 0.5, 0.5))]))
    accuracy = judge.accuracy()
    assert isinstance(accuracy, Accuracy)
    assert accuracy.headline.candidate == pytest.approx(1)
    assert accuracy.images == 1


def test_a_detector_of_one_class_is_not_blamed_for_the_others() -> None:
    """A detector of persons on COCO's labels, whose classes had no names, missed all chairs by number."""
    things = (Thing(0, (0.1, 0.1, 0.5, 0.5)), Thing(56, (0.6, 0.6, 0.9, 0.9)))
    image = ImageLabels("a", (SIDE, SIDE), things=things)
    judge = by_boxes.Detections(truth(labels([image])), detector(("class 0",)))
    judge.add("a", None, rows([(0, 0.9, (0.1, 0.1, 0.5, 0.5))]))
    accuracy = judge.accuracy()
    assert accuracy is not None
    assert accuracy.headline.candidate == pytest.approx(1)
    assert "the model does not know class 56, which do not count" in accuracy.note


def test_a_detector_that_names_no_class_is_judged_by_those_that_it_has() -> None:
    """A person detector with its own outputs had an AP of 0.005: it was blamed for 70 classes that it does not know."""
    things = (Thing(0, (0.2, 0.2, 0.6, 0.6)), Thing(1, (0.1, 0.1, 0.3, 0.3)))
    image = ImageLabels("a", (SIDE, SIDE), things=things)
    decoder = Rows("out", (SIDE, SIDE), objectness=True, form="parts")
    judge = by_boxes.Detections(truth(labels([image])), Detector(decoder))
    row = np.array([[[0.4, 0.4, 0.4, 0.4, 1.0, 0.9]]], np.float32)
    judge.add("a", {"out": row}, {"out": row})
    found = judge.accuracy()
    assert found is not None
    assert found.headline.candidate == pytest.approx(1.0)
    assert "does not know" in found.note


def test_nothing_found_is_nothing_and_no_crash() -> None:
    image = ImageLabels("a", (SIDE, SIDE), things=(Thing(0, (0.1, 0.1, 0.5, 0.5)),))
    judge = by_boxes.Detections(truth(labels([image])), detector())
    judge.add("a", rows([]), rows([]))
    accuracy = judge.accuracy()
    assert accuracy is not None
    assert (accuracy.headline.reference, accuracy.headline.candidate) == (0, 0)
    assert by_boxes.match([], Boxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))) is None


def masked(tmp_path: Path, mask: list[list[int]], size: tuple[int, int]) -> ImageLabels:
    path = tmp_path / "mask.png"
    Image.fromarray(np.array(mask, np.uint8)).save(path)
    return ImageLabels("a", size, mask=str(path))


def test_pixels_are_compared_where_the_model_sees_them(tmp_path: Path) -> None:
    """A wide photo is cropped to a square: the mask's outer columns are not seen, and 255 counts for nobody."""
    mask = [[9, 0, 1, 9], [9, 0, 255, 9]]
    given = labels([masked(tmp_path, mask, (4, 2))], Kind.MASKS)
    judge = judges_of([Segmentation("out")], truth(given, Resize.CROP))[0]
    scores = np.zeros((1, 2, 4, 4), np.float32)
    scores[0, 1, :, 2:] = 1  # each pixel of the mask is two by two of the output
    wrong = scores.copy()
    wrong[0, 1, 0, 0] = 2
    judge.add("a", {"out": scores}, {"out": wrong})
    accuracy = judge.accuracy()
    assert accuracy is not None
    mean, pixels = accuracy.scores
    assert (mean.reference, pixels.reference) == (1, 1)
    assert pixels.candidate == pytest.approx(11 / 12)
    assert mean.candidate == pytest.approx((7 / 8 + 4 / 5) / 2)


def test_black_beside_a_padded_image_is_no_class(tmp_path: Path) -> None:
    given = labels([masked(tmp_path, [[1, 1]], (2, 1))], Kind.MASKS, ("floor", "wall"))
    judge = judges_of([Segmentation("out", ("wall", "floor"))], truth(given, Resize.PAD))[0]
    scores = np.zeros((1, 2, 4, 4), np.float32)
    scores[0, 1] = 1
    scores[0, 1, 1:3] = -1
    judge.add("a", None, {"out": scores})
    accuracy = judge.accuracy()
    assert accuracy is not None
    assert [score.candidate for score in accuracy.scores] == [1, 1]
    assert "matched by name" in accuracy.note


def test_texts_are_read_as_ctc_writes_them() -> None:
    images = [ImageLabels("a", (1, 1), text="ab"), ImageLabels("b", (1, 1), text="AAB")]
    judge = judges_of([StepByStep("out", ("-", "A", "B"), blank=0)], truth(labels(images, Kind.TEXTS)))[0]
    steps = {"a": [1, 1, 0, 2, 2, 0], "b": [1, 1, 2, 0, 0, 0]}
    for name, tops in steps.items():
        judge.add(name, None, {"out": np.eye(3, dtype=np.float32)[tops][None]})
    accuracy = judge.accuracy()
    assert accuracy is not None
    assert accuracy.headline.candidate == 0.5
    unread = truth(labels(images, Kind.TEXTS))
    assert not judges_of([StepByStep("out", (), blank=0)], unread)
