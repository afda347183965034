"""Each decoder gives back boxes that were written in its own form, by the inverse of its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oakmill.heads.boxes import Boxes
from oakmill.heads.decoders import Found, Pair, Rows, YoloGrid, cells_of, unreadable

SIZE = (64, 96)
"""Height and width."""
CORNERS = np.array([16.0, 24.0, 40.0, 44.0])
"""x0, y0, x1, y1 in pixels: the centre (28, 34) lies in cell (3, 4) of stride 8."""
LABEL, CLASSES, SCORE = 2, 4, 0.8


def best(found: Boxes) -> tuple[list[float], float, int]:
    top = int(found.scores.argmax())
    return (found.corners[top] * [96, 64, 96, 64]).round(3).tolist(), float(found.scores[top]), int(found.labels[top])


def heads(anchors: int = 1) -> list[NDArray[Any]]:
    return [np.zeros((1, anchors * (5 + CLASSES), SIZE[0] // s, SIZE[1] // s), np.float32) for s in (8, 16, 32)]


def grid(subtype: str, anchors: tuple[Any, ...] = ()) -> YoloGrid:
    return YoloGrid(("a", "b", "c"), subtype, CLASSES, SIZE, anchors)


def named(arrays: list[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return dict(zip("abc", arrays, strict=True))


def logit(value: float) -> float:
    return float(np.log(value / (1 - value)))


def test_distances_to_the_sides_as_yolov8_heads_give_them() -> None:
    values = heads()
    values[0][0, :4, 4, 3] = [3.5 - 2, 4.5 - 3, 5 - 3.5, 5.5 - 4.5]
    values[0][0, 4, 4, 3] = SCORE
    values[0][0, 5 + LABEL, 4, 3] = SCORE
    corners, score, label = best(grid("yolov8").decode(named(values)))
    assert corners == CORNERS.tolist()
    assert score == pytest.approx(SCORE)
    assert label == LABEL


def test_anchors_as_yolov5_heads_give_them() -> None:
    anchors = ([[12, 10], [24, 20], [48, 40]],) * 3
    values = heads(3)
    first = 1 * (5 + CLASSES)
    values[0][0, first : first + 4, 4, 3] = [(0.5 + 0.5) / 2, (0.25 + 0.5) / 2, 0.5, 0.5]
    values[0][0, first + 4, 4, 3] = 0.9
    values[0][0, first + 5 + LABEL, 4, 3] = SCORE
    corners, score, label = best(grid("yolov5", anchors).decode(named(values)))
    assert corners == CORNERS.tolist()
    assert score == pytest.approx(0.9 * SCORE)
    assert label == LABEL


def test_logits_and_anchors_as_yolov3_heads_give_them() -> None:
    anchors = ([[12, 10]],) * 3
    values = [array - 20 for array in heads()]
    values[0][0, :4, 4, 3] = [logit(0.5), logit(0.25), np.log(2), np.log(2)]
    values[0][0, 4, 4, 3] = logit(0.9)
    values[0][0, 5 + LABEL, 4, 3] = logit(SCORE)
    corners, score, label = best(grid("yolov3", anchors).decode(named(values)))
    assert corners == CORNERS.tolist()
    assert score == pytest.approx(0.9 * SCORE, rel=1e-5)
    assert label == LABEL


@pytest.mark.parametrize("subtype", ["yolov6", "yolov6r1"])
def test_offsets_and_logarithms_as_yolox_heads_give_them(subtype: str) -> None:
    """They were read as boxes in pixels, or as distances: depthai 3.12's own parser, asked, decodes both words so."""
    values = heads()
    values[0][0, :, 4, 3] = [0.5, 0.25, np.log(24 / 8), np.log(20 / 8), 0.9, 0, 0, SCORE, 0]
    corners, score, label = best(grid(subtype).decode(named(values)))
    assert corners == CORNERS.tolist()
    assert score == pytest.approx(SCORE)
    assert label == LABEL


def raw_rows(random: np.random.Generator) -> NDArray[np.float32]:
    rows = random.normal(0, 0.5, (1, cells_of(SIZE), 5 + CLASSES)).astype(np.float32)
    rows[..., 4:] = 0.01
    cell = 4 * (SIZE[1] // 8) + 3
    rows[0, cell, :4] = [0.5, 0.25, np.log(24 / 8), np.log(20 / 8)]
    rows[0, cell, 4], rows[0, cell, 5 + LABEL] = 0.9, SCORE
    return rows


def test_rows_relative_to_cells_as_yolox_gives_them_are_told_by_their_values() -> None:
    outputs = {"rows": raw_rows(np.random.default_rng(0))}
    decoder = Rows("rows", SIZE, objectness=True).settled(outputs)
    assert decoder.form == "cells"
    corners, score, label = best(decoder.decode(outputs))
    assert corners == CORNERS.tolist()
    assert score == pytest.approx(0.9 * SCORE)
    assert label == LABEL


@pytest.mark.parametrize(("form", "unit"), [("pixels", 1.0), ("parts", 1 / 96)])
@pytest.mark.parametrize("transposed", [False, True])
def test_decoded_rows_are_told_from_raw_ones(form: str, unit: float, transposed: bool) -> None:
    centres = [
        ((x + 0.5) * s, (y + 0.5) * s) for s in (8, 16, 32) for y in range(SIZE[0] // s) for x in range(SIZE[1] // s)
    ]
    rows = np.zeros((1, cells_of(SIZE), 4 + CLASSES), np.float32)
    rows[0, :, :2] = np.array(centres)
    rows[0, 51, :4] = [28, 34, 24, 20]
    rows[0, :, :4] *= np.array([1, 96 / 64, 1, 96 / 64]) * unit if form == "parts" else 1
    rows[0, 51, 4 + LABEL] = SCORE
    outputs = {"rows": rows.transpose(0, 2, 1) if transposed else rows}
    decoder = Rows("rows", SIZE, objectness=False, transposed=transposed).settled(outputs)
    assert decoder.form == form
    corners, score, label = best(decoder.decode(outputs))
    assert corners == pytest.approx(CORNERS.tolist(), abs=1e-3)
    assert score == pytest.approx(SCORE)
    assert label == LABEL


@pytest.mark.parametrize("unit", [(1, 1, 1, 1), (96, 64, 96, 64)])
def test_corners_and_scores_in_two_outputs(unit: tuple[int, ...]) -> None:
    parts = CORNERS / [96, 64, 96, 64]
    corners = np.stack([np.zeros(4), parts])[None] * unit
    scores = np.array([[[0.99, 0.01], [0.2, SCORE]]])
    outputs = {"boxes": corners, "scores": scores}
    found, score, label = best(Pair("boxes", "scores", SIZE).settled(outputs).decode(outputs))
    assert found == CORNERS.tolist()
    assert score == SCORE
    assert label == 1


def centres_of_cells() -> NDArray[Any]:
    return np.array(
        [((x + 0.5) * s, (y + 0.5) * s) for s in (8, 16, 32) for y in range(SIZE[0] // s) for x in range(SIZE[1] // s)]
    )


@pytest.mark.parametrize("form", ["corners", "centres"])
def test_a_yolo_that_was_cut_before_its_concat_is_a_transposed_pair(form: str) -> None:
    """[1, 4, N] and [1, K, N]: it was judged by its SNR, red, though its boxes agreed."""
    middles, half = centres_of_cells(), 4.0
    boxes = np.concatenate([middles - half, middles + half] if form == "corners" else [middles, middles * 0 + 8], 1)
    boxes[51] = CORNERS if form == "corners" else [28, 34, 24, 20]
    scores = np.full((len(boxes), CLASSES), 0.01)
    scores[51, LABEL] = SCORE
    outputs = {"boxes": boxes.T[None], "scores": scores.T[None]}
    decoder = Pair("boxes", "scores", SIZE, transposed=True).settled(outputs)
    assert (decoder.centres, decoder.background, decoder.pixels) == (form == "centres", False, True)
    assert best(decoder.decode(outputs)) == (CORNERS.tolist(), SCORE, LABEL)
    assert unreadable(decoder, outputs) == ""


def test_offsets_from_anchors_are_no_corners() -> None:
    """A face detector that is cut before its anchors are applied was compared by boxes that are none."""
    random = np.random.default_rng(0)
    outputs = {"boxes": random.normal(0, 1, (1, 400, 4)), "scores": random.uniform(0, 1, (1, 400, 1))}
    decoder = Pair("boxes", "scores", SIZE).settled(outputs)
    assert "relative to anchors" in unreadable(decoder, outputs)


def test_keypoints_behind_one_score_are_a_pose() -> None:
    """YOLOv8-pose was read as a detector of 52 classes: "what would be scores reaches from 10.5 to 489"."""
    rows = np.zeros((1, 5 + 51, cells_of(SIZE)), np.float32)
    rows[0, :2] = centres_of_cells().T
    rows[0, 5:] = 50
    rows[0, :5, 51] = [28, 34, 24, 20, SCORE]
    decoder = Rows("rows", SIZE, objectness=False, transposed=True).settled({"rows": rows})
    assert (decoder.classes, decoder.form) == (1, "pixels")
    corners, score, label = best(decoder.decode({"rows": rows}))
    assert (corners, label) == (CORNERS.tolist(), 0)
    assert score == pytest.approx(SCORE)
    assert unreadable(decoder, {"rows": rows}) == ""


def test_an_angle_behind_the_scores_makes_no_pose() -> None:
    """Boxes that are turned, of 15 classes and an angle, were read as one class and five keypoints."""
    rows = np.zeros((1, 4 + 15 + 1, cells_of(SIZE)), np.float32)
    rows[0, :2] = centres_of_cells().T
    rows[0, -1] = 2.3
    decoder = Rows("rows", SIZE, objectness=False, transposed=True).settled({"rows": rows})
    assert decoder.classes is None
    assert "what would be scores" in unreadable(decoder, {"rows": rows})


def test_finished_detections_end_where_they_are_marked() -> None:
    rows = np.zeros((1, 1, 3, 7), np.float32)
    rows[0, 0, 0] = [0, LABEL, SCORE, *(CORNERS / [96, 64, 96, 64])]
    rows[0, 0, 1, 0] = -1
    rows[0, 0, 2] = [0, 1, 0.99, 0, 0, 1, 1]
    corners, score, label = best(Found("out").decode({"out": rows}))
    assert corners == pytest.approx(CORNERS.tolist(), abs=1e-3)
    assert score == pytest.approx(SCORE)
    assert label == LABEL


def test_a_broken_model_does_not_overflow() -> None:
    rows = np.full((1, cells_of(SIZE), 5 + CLASSES), 1e9, np.float32)
    assert np.isfinite(Rows("rows", SIZE, objectness=True, form="cells").decode({"rows": rows}).corners).all()
    wild = [array - 1e9 for array in heads()]
    assert np.isfinite(grid("yolov3", ([[1, 1]],) * 3).decode(named(wild)).scores).all()
