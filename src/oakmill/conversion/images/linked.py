"""A folder of some of a set's files, as links, with the set's labels: to test on these and no others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oakmill.calibration import label_names
from oakmill.calibration.datasets import Dataset
from oakmill.calibration.labels import labels


def linked(found: Dataset, files: Sequence[Path], into: Path) -> Path:
    """Link the files below a folder that is made.

    Args:
        found: the set, of which the files are.
        files: some of its files.
        into: a folder for it.
    """
    beside = [found.folder.parent / name for name in (labels.FILE, labels.MASKS)]
    beside = [path for path in beside if found.folder.name == labels.FILES and path.exists()]
    folder = into / found.name / (labels.FILES if beside else "")
    for path in files:
        _link(folder / path.relative_to(found.folder), path)
    for path in beside:
        _link(folder.parent / path.name, path)
    lies = label_names.given(found.folder) if not beside else None
    for path in (lies, *(lies.parent / name for name in label_names.NAMES)) if lies else ():
        if path.exists():
            _link(folder / path.relative_to(found.folder), path)
    return folder


def _link(link: Path, path: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(path.absolute())
