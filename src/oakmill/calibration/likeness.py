"""Tells images that look alike from different ones, by small thumbnails of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS, COLUMNS = 8, 9
NEAR_BITS, NEAR_LEVELS = 4, 6.0
"""Of 64 bits of hash; mean difference of the 8 x 9 thumbnails, of 255. Frames of a film beside each other are nearer,
photos of different things are not."""

Floats = NDArray[np.float64]


def thumbnail(gray: NDArray[Any]) -> Floats:
    """A gray image [H, W] of 0 to 255 as 8 x 9 means."""
    small = Image.fromarray(np.ascontiguousarray(gray, np.float32)).resize((COLUMNS, ROWS), Image.Resampling.BOX)
    return np.asarray(small, np.float64)


class Album:
    """Thumbnails of images that are different from each other."""

    def __init__(self) -> None:
        self._thumbnails: list[Floats] = []
        self._hashes: list[int] = []

    def takes(self, seen: Floats) -> bool:
        """Take a thumbnail in; False, and it stays out, where it looks like one that is in.

        By difference hash, the signs of the slopes along its rows, and by the levels themselves.
        """
        found = int.from_bytes(np.packbits(np.diff(seen, axis=1) > 0).tobytes(), "big")
        near = (other for other, known in zip(self._thumbnails, self._hashes, strict=True) if _near(known, found))
        if any(float(np.abs(other - seen).mean()) < NEAR_LEVELS for other in near):
            return False
        self._thumbnails.append(seen)
        self._hashes.append(found)
        return True


def _near(first: int, second: int) -> bool:
    return (first ^ second).bit_count() <= NEAR_BITS
