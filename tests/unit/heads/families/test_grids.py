from __future__ import annotations

import numpy as np
import pytest

from oakmill.heads.families.base import NOTHING, Evidence
from oakmill.heads.families.grids import Decoded, OnGrids, Seen, apart, strides_of

NONE = np.zeros((1, 0))


def test_another_class_is_told_though_corners_and_greatest_scores_agree() -> None:
    """The proof compared corners and greatest scores: classes that change places went unseen."""
    corners, scores = np.zeros((1, 4)), np.array([[0.9, 0.1]])
    assert apart(Seen(corners, scores, NONE), Seen(corners, scores, NONE)) == 0.0
    assert apart(Seen(corners, scores, NONE), Seen(corners, scores[:, ::-1], NONE)) > 0.7


@pytest.mark.parametrize("scores", [np.zeros((2, 2)), np.full((1, 2), np.nan)])
def test_other_shapes_and_no_numbers_are_apart(scores: np.ndarray) -> None:
    corners = np.zeros((1, 4))
    assert apart(Seen(corners, np.zeros((1, 2)), NONE), Seen(corners, scores, NONE)) == np.inf


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((320, 640), ""),
        ((330, 640), "640 x 330 is no multiple of its stride 32: take 640 x 320 or 352"),
        ((16, 20), "take 32 x 32"),
    ],
)
def test_the_nearest_sizes_are_told(size: tuple[int, int], words: str) -> None:
    found = OnGrids(Decoded("output0", 3), (), (8, 16, 32), Evidence({}, size), "yolov8")
    assert words in found.problem()
    assert bool(words) == bool(found.problem())


def test_strides_are_the_graphs_or_halved_from_the_exporters_greatest() -> None:
    said = Evidence({"author": "Ultralytics", "task": "detect", "stride": "64"})
    assert strides_of([4, 8, 16], said) == (4, 8, 16)
    assert strides_of([0, 0, 0, 0], said) == (8, 16, 32, 64)
    assert strides_of([0, 16, 8], NOTHING) == (8, 16, 32)
