"""Overlap, suppression and matching of boxes, by numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from oakmill.heads.boxes import Boxes, match, overlap, suppress


def boxes(*rows: tuple[float, float, float, float, float, int]) -> Boxes:
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Boxes(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def test_overlap_is_intersection_over_union() -> None:
    a = np.array([[0, 0, 2, 2.0]])
    b = np.array([[0, 0, 2, 2.0], [1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]])
    assert overlap(a, b)[0] == pytest.approx([1, 1 / 3, 0, 0])


def test_doubles_of_a_class_are_suppressed_and_the_highest_stays() -> None:
    found = suppress(boxes((0, 0, 10, 10, 0.5, 1), (0, 0, 10, 9, 0.9, 1), (0, 0, 10, 10, 0.4, 2)), iou=0.5)
    assert found.scores.tolist() == [0.9, 0.4]
    assert len(suppress(boxes(*[(i, 0, i + 0.5, 1, 0.5, 0) for i in range(9)]), iou=0.5, most=3)) == 3


def test_each_box_is_matched_once_and_within_its_class() -> None:
    reference = boxes((0, 0, 10, 10, 0.9, 1), (0, 0, 10, 9, 0.8, 1), (20, 20, 30, 30, 0.7, 2))
    candidate = boxes((0, 0, 10, 10, 0.9, 1), (20, 20, 30, 30, 0.7, 3))
    found = match(reference, candidate)
    assert (found.reference.tolist(), found.candidate.tolist()) == ([0], [0])
    assert len(match(reference, boxes()).iou) == 0
    assert len(match(boxes(), reference).iou) == 0
