"""What labels are called that lie among images, in a folder or a zip."""

from __future__ import annotations

from pathlib import Path, PurePath

FOLDER = "labels"
"""A folder of YOLO's .txt, or of masks; none of what is in it is an image of the set."""
FILES = ("labels.json", "annotations.json", "_annotations.coco.json", "labels.csv", "classes.csv")
NAMES = ("classes.txt", "data.yaml")
"""What names the classes of YOLO's labels, where it lies beside their folder."""
_KINDS = (".txt", ".png")


def is_label(name: PurePath) -> bool:
    """Whether a file within a set says something of its images."""
    return name.name in (*FILES, *NAMES) or (is_apart(name) and name.suffix.lower() in _KINDS)


def is_apart(name: PurePath) -> bool:
    """Whether a file lies where labels do, and is no image of the set."""
    return FOLDER in name.parts[:-1]


def given(folder: Path) -> Path | None:
    """The file or folder of labels that is nearest to the top; None where nothing is called so."""
    found = [path for name in FILES for path in folder.rglob(name) if path.is_file()]
    found += [path for path in folder.rglob(FOLDER) if path.is_dir()]
    return min(found, key=lambda path: (len(path.parts), path.as_posix()), default=None)
