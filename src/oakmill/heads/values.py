"""What detectors say of each box besides: keypoints, the coefficients of its mask, the angle by which it is turned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oakmill.heads.boxes import Boxes, Floats
from oakmill.heads.decoders import Outputs, Size, sigmoid

OF_POINT = 3
"""Numbers of a keypoint in an output that the camera's parser reads: x, y in pixels, visibility before its Sigmoid."""


@dataclass(frozen=True)
class Values:
    """Of the candidates of one image, a row for each; None of what their task has not.

    `keypoints` [n, K, 3] are x and y in parts of the image and how visible each is, of 0 to 1; `coefficients` [n, P]
    weigh the `protos` [P, h, w], whose sum is above 0 within a mask; `angles` [n] are in radians.
    """

    keypoints: Floats | None = None
    coefficients: Floats | None = None
    protos: Floats | None = None
    angles: Floats | None = None


NONE = Values()


@dataclass(frozen=True)
class Candidates:
    """All boxes of one image, before any suppression, and what is said of each."""

    boxes: Boxes
    values: Values = NONE


def of_reading(reading: Mapping[str, Any]) -> Values:
    """What a family's reading of the source's own outputs has of them."""
    words = ("keypoints", "coefficients", "protos", "angles")
    return Values(**{word: np.asarray(reading[word], np.float64) for word in words if word in reading})


def of_points(rows: Floats, dims: int, size: Size) -> Floats:
    """Keypoints [n, K, 3] of rows [n, K dims], in pixels; of those of two numbers all are visible."""
    points = rows.reshape(len(rows), -1, dims)
    seen = points[..., 2:] if dims == OF_POINT else np.ones((*points.shape[:2], 1))
    found: Floats = np.concatenate([points[..., :2] / np.array(size[::-1], np.float64), seen], 2)
    return found


def of_head(head: Mapping[str, Any], outputs: Outputs, size: Size) -> Values:
    """What the outputs that a head names say, cell by cell of one grid after the other; nothing of other forms."""
    metadata = head.get("metadata") or {}
    points = _rows(metadata.get("keypoints_outputs"), outputs)
    coefficients = _rows(metadata.get("mask_outputs"), outputs)
    angles = _rows(metadata.get("angles_outputs"), outputs)
    protos = outputs.get(str(metadata.get("protos_outputs")))
    if points is not None and points.shape[1] % OF_POINT == 0:
        points = of_points(points, OF_POINT, size)
        points[..., 2] = sigmoid(points[..., 2])
    fits = coefficients is not None and protos is not None and protos.shape[:2] == (1, coefficients.shape[1])
    return Values(
        keypoints=points if points is not None and points.ndim == OF_POINT else None,
        coefficients=coefficients if fits else None,
        protos=protos[0].astype(np.float64) if fits and protos is not None else None,
        angles=angles[:, 0] if angles is not None and angles.shape[1] == 1 else None,
    )


def _rows(names: Any, outputs: Outputs) -> Floats | None:
    """Outputs [1, E, cells], or [1, E, H, W], as rows [n, E], one behind the other; None where there is another."""
    listed = names if isinstance(names, list | tuple) else ()
    found = [outputs.get(name) if isinstance(name, str) else None for name in listed]
    rows = [item[0].reshape(item.shape[1], -1).T for item in found if item is not None and item.ndim in (3, 4)]
    if not rows or len(rows) < len(found) or len({item.shape[1] for item in rows}) > 1:
        return None
    return np.concatenate(rows).astype(np.float64)
