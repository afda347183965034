"""Labels as YOLO has them: for each image a .txt with a line for each box, `class x y width height` in parts of it.

Where a line has more numbers they are an outline (x, y pairs), whose box is taken: so does Ultralytics
(https://docs.ultralytics.com/datasets/detect/), whose keypoints behind a box are told by `kpt_shape` in its YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from oakmill.calibration.labels.labels import BadLabels, Kind, Thing
from oakmill.calibration.labels.said import MOST_CLASSES, MOST_THINGS, LeftOut, Said, Saying, read_text

LARGEST = 4 << 20
"""Bytes of one image's labels."""
_NAMES = ("classes.txt", "obj.names", "labels.txt", "names.txt")
_YAML = ("data.yaml", "dataset.yaml", "data.yml")
_REMEDY = "a line is `class x y width height`, of which all but the class are parts of the image"


def read(folder: Path) -> Said:
    """The boxes of all .txt files in a folder and its sub-folders.

    Class names come from data.yaml or classes.txt in the folder, or in the one that it lies in.

    Raises:
        BadLabels: a file is no such file, or none holds a box.
    """
    described = _described(folder)
    names, points = _names(folder, described), _points_of(described)
    left_out, images = LeftOut(), dict[str, Saying]()
    for path in files(folder):
        things = _things(path, len(names) or MOST_CLASSES, points, left_out)
        images[path.relative_to(folder).with_suffix("").as_posix() + ".txt"] = Saying(things=things)
    if not any(said.things for said in images.values()):
        why = f": {left_out.notes[0]}" if left_out.notes else ""
        raise BadLabels(f"{folder.name} holds no box that can be used{why}", subject=str(folder), remedy=_REMEDY)
    return Said(Kind.BOXES, names, images, left_out.notes, empty_means_nothing=True)


def files(folder: Path) -> list[Path]:
    """The files of labels in a folder and its sub-folders, sorted: all .txt but those of classes' names."""
    found = (path for path in folder.rglob("*.txt") if path.name not in _NAMES and not path.name.startswith("."))
    return sorted(found)


def _described(folder: Path) -> Mapping[str, Any]:
    for path in (place / name for place in (folder, folder.parent) for name in _YAML):
        if path.is_file():
            try:
                found = yaml.safe_load(read_text(path, LARGEST))
            except (yaml.YAMLError, RecursionError) as error:
                raise BadLabels(f"{path.name} is no YAML that can be read", subject=str(path)) from error
            return found if isinstance(found, Mapping) else {}
    return {}


def _names(folder: Path, described: Mapping[str, Any]) -> tuple[str, ...]:
    names = described.get("names")
    if isinstance(names, Mapping) and all(isinstance(key, int) and 0 <= key < MOST_CLASSES for key in names):
        return tuple(str(names.get(index, "")) for index in range(max(names, default=-1) + 1))
    if isinstance(names, Sequence) and not isinstance(names, str):
        return tuple(map(str, names))
    for path in (place / name for place in (folder, folder.parent) for name in _NAMES):
        if path.is_file():
            return tuple(line.strip() for line in read_text(path, LARGEST).splitlines() if line.strip())
    return ()


def _points_of(described: Mapping[str, Any]) -> tuple[int, int] | None:
    """How many keypoints follow a box, and of how many numbers each."""
    shape = described.get("kpt_shape")
    if not isinstance(shape, list) or len(shape) != 2 or not all(isinstance(size, int) for size in shape):
        return None
    return (shape[0], shape[1]) if shape[1] in (2, 3) else None


def _things(path: Path, classes: int, points: tuple[int, int] | None, left_out: LeftOut) -> tuple[Thing, ...]:
    text = read_text(path, LARGEST) if path.stat().st_size else ""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_THINGS:
        raise BadLabels(f"{path.name} has {len(lines)} boxes; at most {MOST_THINGS}", subject=str(path))
    found = (_thing(words, number, path, classes, points, left_out) for number, words in enumerate(lines, 1))
    return tuple(thing for thing in found if thing)


def _thing(
    words: list[str], number: int, path: Path, classes: int, points: tuple[int, int] | None, left_out: LeftOut
) -> Thing | None:
    try:
        label, values = float(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        label, values = -1.0, []
    if len(values) < 4 or label != int(label if abs(label) < MOST_CLASSES else -1):
        raise BadLabels(f"{path.name}, line {number}, is no box: {' '.join(words)[:60]}", subject=str(path),
                        remedy=_REMEDY)  # fmt: skip
    if not 0 <= label < classes:
        left_out.unknown_class()
        return None
    outline = len(values) > 5 and len(values) % 2 == 0 and points is None
    if outline:
        corners: Sequence[float] = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    else:
        x, y, width, height = values[:4]
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    box = left_out.box(corners)
    return Thing(int(label), box, points=_keypoints(values[4:], points)) if box else None


def _keypoints(values: list[float], points: tuple[int, int] | None) -> tuple[tuple[float, float, int], ...]:
    if points is None or len(values) != points[0] * points[1]:
        return ()
    rows = [values[first : first + points[1]] for first in range(0, len(values), points[1])]
    return tuple((row[0], row[1], int(row[2]) if len(row) > 2 else 2) for row in rows)
