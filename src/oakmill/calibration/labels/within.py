"""Reads the labels of a set's images, whether they are kept beside it or lie among the images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oakmill.calibration.label_names import given
from oakmill.calibration.labels.labels import Labels, beside
from oakmill.calibration.labels.read import Pictured, read_labels
from oakmill.files import file_sha256


def labels_of(folder: Path, images: Sequence[Path]) -> Labels | None:
    """The labels of a set's images, which lie in its folder; None where there are none.

    Raises:
        BadLabels: they are damaged, of no known form, or of none of the images.
    """
    kept = beside(folder)
    lies = given(folder) if kept is None else None
    if lies is None:
        return kept
    return read_labels(
        str(lies), [Pictured(path.relative_to(folder).as_posix(), file_sha256(path), path) for path in images]
    )
