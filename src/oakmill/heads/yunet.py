"""Decodes YuNet of 2022 and before: a box and five points as offsets from anchors, two scores, and an overlap.

Formulas: OpenCV's model zoo, face_detection_yunet of 2022 (yunet.py), and depthai-nodes 0.7.0
(node/parsers/utils/yunet.py), whose parser reads these outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oakmill.heads.boxes import Boxes, Floats
from oakmill.heads.decoders import Outputs, Size

SIDES = {8: (10, 16, 24), 16: (32, 48), 32: (64, 96), 64: (128, 192, 256)}
"""Sides of the anchors in pixels, by stride."""
VARIANCES = (0.1, 0.2)
"""By which offsets are multiplied, those of the centre by the first; logarithms of width and height by either."""
COLUMNS = {"loc": 14, "conf": 2, "iou": 1}
"""Of its outputs, as their parser calls them: a box and five points; nothing and a face; the overlap with a face."""


def count(size: Size) -> int:
    """How many anchors there are."""
    return sum(len(sides) * (size[0] // stride) * (size[1] // stride) for stride, sides in SIDES.items())


def anchors(size: Size) -> Floats:
    """Centre and side of each anchor [n, 3] in pixels; a cell that reaches beyond the image has none."""
    found = []
    for stride, sides in SIDES.items():
        grid = np.stack(np.meshgrid(np.arange(size[1] // stride), np.arange(size[0] // stride)), -1).reshape(-1, 1, 2)
        centres = np.broadcast_to((grid + 0.5) * stride, (len(grid), len(sides), 2))
        each = np.broadcast_to(np.array(sides, np.float64)[None, :, None], (len(grid), len(sides), 1))
        found.append(np.concatenate([centres, each], 2).reshape(-1, 3))
    return np.concatenate(found)


@dataclass(frozen=True)
class YuNet:
    """Reads the three outputs, in the order of COLUMNS."""

    outputs: tuple[str, str, str]
    size: Size

    @classmethod
    def of(cls, names: Sequence[str], size: Size) -> YuNet | None:
        """The outputs that have its parser's words in their names; None where not each word is in one."""
        found = [next((name for name in names if word in name), None) for word in COLUMNS]
        loc, conf, iou = found
        return cls((loc, conf, iou), size) if loc and conf and iou else None

    @property
    def words(self) -> str:
        """What it takes them for."""
        return "boxes, scores and overlaps of faces (YuNet of 2022)"

    def settled(self, outputs: Outputs) -> YuNet:
        """Nothing is left to tell."""
        return self

    def decode(self, outputs: Outputs) -> Boxes:
        """The boxes of all anchors; the score is the root of a face's and of the overlap."""
        loc, conf, iou = (outputs[name].astype(np.float64).reshape(-1, columns)
                          for name, columns in zip(self.outputs, COLUMNS.values(), strict=True))  # fmt: skip
        places = anchors(self.size)
        centres, sides = places[:, :2], places[:, 2:]
        middle = centres + loc[:, :2] * VARIANCES[0] * sides
        half = sides * np.exp(np.minimum(loc[:, 2:4] * VARIANCES, 20.0)) / 2
        corners = np.concatenate([middle - half, middle + half], 1) / np.tile(self.size[::-1], 2)
        scores = np.sqrt(conf[:, 1].clip(0) * iou[:, 0].clip(0, 1))
        return Boxes(corners, scores, np.zeros(len(scores), np.int64), classes=1)
