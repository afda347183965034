"""Takes out of a set the images that a file's own passport names, which did not calibrate it, with their labels."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from oakmill.calibration.samples import SUFFIXES
from oakmill.conversion.events import Progress

BESIDE = ("labels.json", "set.json")
"""What lies beside the folder of a set that Oakmill keeps, and says what is on its images."""


def chosen(folder: Path, names: Sequence[str], into: Path, progress: Progress) -> Path:
    """A folder of these images alone, with all that is no image; the whole folder where none of them is in it.

    Args:
        folder: the set's images.
        names: of images, relative to it.
        into: a folder that is made.
        progress: is told how many were found.
    """
    wanted = [name for name in names if (folder / name).is_file()]
    if not wanted:
        progress.warn("the images of the file's own passport are not among these, so all of them may be taken")
        return folder
    if len(wanted) < len(names):
        progress.warn(f"{len(names) - len(wanted)} of the {len(names)} images of the file's own passport are gone")
    target, kept = into / folder.name, set(wanted)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and (name in kept or path.suffix.lower() not in SUFFIXES):
            _copy(path, target / name)
    for name in BESIDE:
        if (folder.parent / name).is_file():
            _copy(folder.parent / name, into / name)
    return target


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
