"""What a file of labels says, before it is known of which images: every reader's answer, and its counting of faults."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oakmill.calibration.labels.labels import BadLabels, Kind, Thing

LARGEST = 512 << 20
"""Bytes of a file of labels: COCO's training set, 118,287 images, has 448 MB."""
MOST_THINGS = 5_000
"""Things on one image."""
MOST_CLASSES = 65_536


@dataclass(frozen=True)
class Saying:
    """What is said of one image; see `ImageLabels`."""

    label: int | None = None
    things: tuple[Thing, ...] | None = None
    text: str | None = None
    mask: str | None = None


@dataclass(frozen=True)
class Said:
    """All that a file of labels says, by the images' names as it gives them.

    `sizes` are the images' width and height, where it says them. Where `empty_means_nothing`, an image of which nothing
    is said has nothing on it.
    """

    kind: Kind
    names: tuple[str, ...]
    images: Mapping[str, Saying]
    notes: tuple[str, ...] = ()
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    empty_means_nothing: bool = False


@dataclass
class LeftOut:
    """Counts what cannot be used, by the reason."""

    counts: Counter[str] = field(default_factory=Counter)

    def box(self, corners: Sequence[float]) -> tuple[float, float, float, float] | None:
        """Corners in parts of the image, held within it; None, and counted, where nothing of the box is left."""
        if not all(math.isfinite(value) for value in corners):
            self.counts["boxes hold what are no numbers, and are left out"] += 1
            return None
        x0, y0, x1, y1 = corners
        if x1 <= x0 or y1 <= y0:
            self.counts["boxes have no area, and are left out"] += 1
            return None
        low = max(x0, 0.0), max(y0, 0.0)
        high = min(x1, 1.0), min(y1, 1.0)
        if high[0] <= low[0] or high[1] <= low[1]:
            self.counts["boxes lie outside their image, and are left out"] += 1
            return None
        return (*low, *high)

    def unknown_class(self) -> None:
        """One of a class that the labels themselves do not list."""
        self.counts["boxes are of a class that the labels do not list, and are left out"] += 1

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each reason."""
        return tuple(f"{count} {words}" for words, count in self.counts.items())


def read_bytes(path: Path, largest: int = LARGEST) -> bytes:
    """A file's bytes.

    Raises:
        BadLabels: it is empty, too large, or cannot be read.
    """
    try:
        size = path.stat().st_size
        if not size:
            raise BadLabels(f"{path.name} is empty", subject=str(path))
        if size > largest:
            raise BadLabels(
                f"{path.name} has {size >> 20} MB, and labels of at most {largest >> 20} MB are read", subject=str(path)
            )
        return path.read_bytes()
    except OSError as error:
        raise BadLabels(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error


def read_text(path: Path, largest: int = LARGEST) -> str:
    """A file's text in UTF-8, with or without a mark of it. Raises: as `read_bytes`; also where it is no text."""
    try:
        return read_bytes(path, largest).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadLabels(f"{path.name} is no text in UTF-8", subject=str(path)) from error
