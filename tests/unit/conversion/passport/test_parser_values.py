"""Values beside boxes: what is right, what a number format lost, and what a head says wrongly."""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numpy.typing import NDArray

from oakmill.conversion.passport import parser_values
from oakmill.conversion.passport.parser_values import NOBODY, Told, ValuesAgreement, ValuesFound
from oakmill.findings import Severity
from oakmill.heads.boxes import Boxes
from oakmill.heads.values import Candidates, Values

CORNERS = np.array([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
BOXES = Boxes(CORNERS, np.array([0.9, 0.8]), np.array([0, 1]))
POINTS = np.array([[[0.1, 0.1, 0.9], [0.4, 0.4, 0.9]], [[0.6, 0.6, 0.9], [0.9, 0.9, 0.1]]])


def row(told: Told, truth: Values, file: Values | None = None) -> ValuesAgreement:
    found = ValuesFound()
    found.add(BOXES, told, Candidates(BOXES, truth), Candidates(BOXES, truth if file is None else file))
    (agreement,) = found.agreement()
    return agreement


def said(agreement: ValuesAgreement) -> list[tuple[Severity, str]]:
    found = parser_values.findings([agreement], "YOLOExtendedParser", ["kpt_output1"])
    return [(finding.severity, finding.title) for finding in found]


def test_points_that_the_float_model_does_not_see_count_for_nobody() -> None:
    agreement = row(Told(keypoints=POINTS), Values(keypoints=POINTS))
    assert (agreement.compared, agreement.right, agreement.held, agreement.mean) == (3, 3, 3, 0)
    assert said(agreement) == []


def test_points_that_the_head_exchanges_are_an_error() -> None:
    agreement = row(Told(keypoints=POINTS[:, ::-1]), Values(keypoints=POINTS))
    assert (agreement.right, agreement.held) == (0, 3)
    assert said(agreement) == [(Severity.ERROR, "The vendor's parser gives other keypoints")]


def test_points_that_the_number_format_lost_are_a_warning() -> None:
    lost = POINTS + 0.2
    agreement = row(Told(keypoints=lost), Values(keypoints=POINTS), Values(keypoints=lost))
    assert said(agreement) == [(Severity.WARNING, "The file's keypoints are apart")]


def test_a_parser_that_tells_no_points_gives_none_that_is_right() -> None:
    """A head that names no keypoints is read without them, and an app has boxes alone."""
    assert row(Told(), Values(keypoints=POINTS)).right == 0
    assert row(Told(keypoints=POINTS[:, :1]), Values(keypoints=POINTS)).right == 0


def test_angles_are_the_files_own_and_half_a_turn_is_none() -> None:
    angles = np.array([0.1, 1.5])
    assert row(Told(), Values(angles=angles), Values(angles=angles + np.pi)).right == 2
    agreement = row(Told(), Values(angles=angles), Values(angles=np.array([0.1, 0.0])))
    assert (agreement.right, agreement.compared) == (1, 2)
    assert "which depthai's parser passes over" in agreement.words
    assert said(agreement) == [(Severity.WARNING, "The file's angles are apart")]


def masks() -> tuple[Values, NDArray[np.uint8]]:
    """Two prototypes, the left and the right half of each box in turn, and the mask of 32 x 32 that depthai paints."""
    stripes = np.where(np.arange(8) % 4 < 2, 1.0, -1.0) * np.ones((8, 1))
    values = Values(coefficients=np.eye(2), protos=np.stack([stripes, -stripes]))
    mask = np.full((32, 32), NOBODY, np.uint8)
    mask[:16, :8], mask[16:, 24:] = 0, 1
    return values, mask


def test_a_mask_of_another_box_is_an_error() -> None:
    values, mask = masks()
    agreement = row(Told(mask=mask), values)
    assert (agreement.compared, agreement.right, agreement.held) == (2, 2, 2)
    assert said(agreement) == []
    agreement = row(Told(mask=mask[:, ::-1].copy()), values)
    assert said(agreement) == [(Severity.ERROR, "The vendor's parser gives other masks")]
    assert row(Told(), values).right == 0


def test_a_mask_is_read_back_by_the_boxes_that_are_left() -> None:
    """The first of three boxes is no box: what is of it is of nobody, and the others move up."""
    mask = np.array([[0, 1, 2, 255]], np.uint8)
    packed = {"size": [1, 4], "bytes": base64.b64encode(zlib.compress(mask.tobytes())).decode()}
    told = Told.of([{"keypoints": []}, {"keypoints": []}], [1, 2], packed)
    assert told.mask is not None
    assert told.mask.tolist() == [[255, 0, 1, 255]]
    assert told.keypoints is None
