from __future__ import annotations

import numpy as np
import pytest

from oakmill.heads.families.base import apart, unfit


def test_another_class_is_told_though_corners_and_greatest_scores_agree() -> None:
    """The proof compared corners and greatest scores: classes that change places went unseen."""
    corners, scores = np.zeros((1, 4)), np.array([[0.9, 0.1]])
    assert apart({"corners": corners, "scores": scores}, {"corners": corners, "scores": scores}) == 0.0
    assert apart({"corners": corners, "scores": scores}, {"corners": corners, "scores": scores[:, ::-1]}) > 0.7


@pytest.mark.parametrize("found", [{}, {"scores": np.zeros((2, 2))}, {"scores": np.full((1, 2), np.nan)}])
def test_other_shapes_and_no_numbers_are_apart(found: dict[str, np.ndarray]) -> None:
    assert apart({"scores": np.zeros((1, 2))}, found) == np.inf


def test_the_nearest_sizes_are_told() -> None:
    assert unfit((320, 640), 32) == ""
    assert unfit((330, 640), 32) == "640 x 330 is no multiple of its stride 32: take 640 x 320 or 352"
    assert "take 32 x 32" in unfit((16, 20), 32)
