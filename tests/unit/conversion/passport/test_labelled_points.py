"""Keypoints by labels: AP by OKS as COCO's own library has it; a detector of poses was judged by its boxes alone."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from oakmill.calibration.labels import ImageLabels, Kind, Labels, Thing
from oakmill.conversion.passport import choose_tasks
from oakmill.conversion.passport.detection import Detector
from oakmill.conversion.passport.labelled import Truth, judges_of, unused
from oakmill.conversion.passport.labelled import boxes as by_boxes
from oakmill.conversion.passport.labelled.points import MOST, Keypoints
from oakmill.heads.boxes import Floats
from oakmill.spec import Resize

WIDTH, HEIGHT = 200, 100
"""Of photos, which are stretched to the input."""
SIDE, CELLS = 128, 16
POINTS = 17


def detector(points: int = POINTS) -> Detector:
    """One of people with keypoints, as the camera's parser reads it."""
    metadata = {
        "yolo_outputs": ["boxes"], "keypoints_outputs": ["points"], "subtype": "yolov8", "n_classes": 1,
        "n_keypoints": points, "classes": ["person"], "iou_threshold": 0.99,
    }  # fmt: skip
    head = {"parser": "YOLOExtendedParser", "outputs": ["boxes", "points"], "metadata": metadata}
    (task,) = choose_tasks.of_image(said([], points), [head], (SIDE, SIDE))
    assert isinstance(task, Detector)
    return task


def said(people: list[tuple[float, Floats, Floats]], points: int = POINTS) -> dict[str, Any]:
    """Outputs that hold people: score, corners and keypoints [K, 2] in parts of the input; each has a cell."""
    boxes = np.zeros((1, 6, CELLS, CELLS), np.float32)
    keypoints = np.zeros((1, 3 * points, CELLS * CELLS), np.float32)
    for place, (score, corners, where) in enumerate(people):
        row, column = divmod(7 * place, CELLS)
        middle = np.array([column, row]) + 0.5
        cells = corners.reshape(2, 2) * CELLS
        boxes[0, :, row, column] = (*(middle - cells[0]), *(cells[1] - middle), score, score)
        keypoints[0, :, row * CELLS + column] = np.column_stack([where * SIDE, np.full(points, 3.0)]).ravel()
    return {"boxes": boxes, "points": keypoints}


def person(random: np.random.Generator, points: int = POINTS) -> Thing:
    low = random.uniform(0, 0.5, 2)
    high = low + random.uniform(0.2, 0.45, 2)
    where = random.uniform(low, high, (points, 2))
    seen = random.integers(0, 3, points)
    marks = tuple((float(x), float(y), int(v)) for (x, y), v in zip(where, seen, strict=True))
    crowd = bool(random.random() < 0.1)
    return Thing(0, (*map(float, low), *map(float, high)), crowd, marks, float(random.uniform(0.01, 0.1)))  # type: ignore[arg-type]


def where_of(thing: Thing) -> Floats:
    return np.array(thing.points)[:, :2]


def random_case(seed: int, points: int = POINTS) -> tuple[Labels, list[dict[str, Any]]]:
    """Four people on each image, some not found, some badly, and one besides."""
    random = np.random.default_rng(seed)
    images, outputs = {}, []
    for number in range(10):
        people = [person(random, points) for _ in range(4)]
        images[str(number)] = ImageLabels(f"{number}.png", (WIDTH, HEIGHT), things=tuple(people))
        found = [
            (
                float(random.uniform(0.1, 1)),
                np.array(item.box),
                np.array(item.points)[:, :2] + random.normal(0, off, (points, 2)),
            )
            for item, off in zip([*people[:3], person(random, points)], (0.005, 0.015, 0.03, 0.01), strict=True)
        ]
        outputs.append(said(found, points))
    return Labels(Kind.BOXES, ("person",), images, "labels.json"), outputs


def truth(given: Labels) -> Truth:
    return Truth(given, (SIDE, SIDE), Resize.STRETCH, {item.name: item for item in given.images.values()})


def of_the_library(given: Labels, outputs: list[dict[str, Any]]) -> tuple[float, float]:
    """AP and AP50 by OKS as pycocotools computes them from files."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    scale = np.array([WIDTH, HEIGHT])
    every, found = [], []
    for place, image in enumerate(given.images.values()):
        for thing in image.things or ():
            low, high = np.array(thing.box).reshape(2, 2) * scale
            marks = np.array(thing.points)
            every.append({
                "image_id": place, "category_id": 0, "iscrowd": int(thing.crowd), "bbox": [*low, *(high - low)],
                "area": thing.area * WIDTH * HEIGHT, "num_keypoints": int((marks[:, 2] > 0).sum()),
                "keypoints": np.column_stack([marks[:, :2] * scale, marks[:, 2]]).ravel().tolist(),
            })  # fmt: skip
        boxes, points = detector().with_keypoints(outputs[place], by_boxes.LOWEST, MOST)
        assert points is not None
        for score, where in zip(boxes.scores, points, strict=True):
            marks = np.column_stack([where[:, :2] * scale, np.ones(POINTS)])
            found.append(
                {"image_id": place, "category_id": 0, "score": float(score), "keypoints": marks.ravel().tolist()}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO()
        api.dataset = {
            "images": [{"id": place} for place in range(len(outputs))], "categories": [{"id": 0}],
            "annotations": [{"id": 1 + place, **item} for place, item in enumerate(every)],
        }  # fmt: skip
        api.createIndex()
        evaluation = COCOeval(api, api.loadRes(found), "keypoints")
        evaluation.params.areaRng = [[0, 1e10]] * 3
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


@pytest.mark.parametrize("seed", range(2))
def test_precision_by_keypoints_is_that_of_cocos_own_library(seed: int) -> None:
    given, outputs = random_case(seed)
    judge = Keypoints(truth(given), detector())
    for image, found in zip(given.images.values(), outputs, strict=True):
        judge.add(image.name, found, found)
    accuracy = judge.accuracy()
    assert accuracy is not None
    precision, at_half = of_the_library(given, outputs)
    assert [score.candidate for score in accuracy.scores] == pytest.approx([precision, at_half])
    assert 0.1 < precision < at_half < 0.95
    assert accuracy.drop == 0
    assert [score.words for score in accuracy.scores] == ["AP by OKS", "AP50 by OKS"]


def test_keypoints_that_moved_cost_what_boxes_do_not_show() -> None:
    given, outputs = random_case(3)
    moved = [{**item, "points": item["points"] + 4.0} for item in outputs]
    judges = judges_of([detector()], truth(given))
    for image, float_one, found in zip(given.images.values(), outputs, moved, strict=True):
        for judge in judges:
            judge.add(image.name, float_one, found)
    by_points, boxes = (judge.accuracy() for judge in judges)
    assert by_points is not None
    assert boxes is not None
    assert (by_points.name, boxes.name) == ("Keypoints", "Detection")
    assert by_points.drop > 0.05
    assert boxes.drop == 0


def test_other_things_than_people_have_points_that_are_all_alike() -> None:
    given, outputs = random_case(4, points=5)
    judge = Keypoints(truth(given), detector(5))
    for image, found in zip(given.images.values(), outputs, strict=True):
        judge.add(image.name, None, found)
    accuracy = judge.accuracy()
    assert accuracy is not None
    assert accuracy.scores[1].candidate > 0.3
    assert np.isnan(accuracy.scores[0].reference)


def test_labels_of_other_points_judge_nothing_and_say_why() -> None:
    given, _ = random_case(5)
    judge = Keypoints(truth(given), detector(5))
    judge.add("0.png", None, said([(0.9, np.array([0.1, 0.1, 0.5, 0.5]), np.full((5, 2), 0.3))], 5))
    assert judge.accuracy() is None
    assert "17" in unused(given, truth(given), [judge]).message


def test_a_detector_without_keypoints_is_judged_by_its_boxes() -> None:
    given, _ = random_case(6)
    task = detector()
    task.head = {}
    assert [type(judge) for judge in judges_of([task], truth(given))] == [by_boxes.Detections]
