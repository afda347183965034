"""Reads labels in the forms that people have them, and finds the image that each speaks of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from oakmill.calibration.images import FORMATS
from oakmill.calibration.labels import coco, masks, table, yolo
from oakmill.calibration.labels.labels import BadLabels, ImageLabels, Kind, Labels
from oakmill.calibration.labels.said import Said

FOLDERS = "folders"
"""Given in place of a file: each image's class is the name of the folder that it lies in."""
REMEDY = (
    "known are COCO's JSON, a folder of YOLO's .txt, a .csv with the columns file and class (or text), a folder of "
    "masks (.png), and the word folders"
)
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Pictured:
    """An image of a set: its name as labels may call it, its bytes' sha256, and where it lies."""

    name: str
    sha256: str
    path: Path


def read_labels(given: str, images: Sequence[Pictured], known: Iterable[str] = ()) -> Labels:
    """Read labels of these images.

    Args:
        given: the path of a file or folder, or the word `folders`.
        images: those of the set.
        known: names of images that were left out of the set, of which nothing is told.

    Raises:
        BadLabels: it is of no known form, damaged, or speaks of none of the images.
    """
    path = Path(given).expanduser()
    found = _said(given, path, images)
    sizes = {item.name: _size(item.path) for item in images}
    labelled, notes = _matched(found, images, sizes, {_stem(name) for name in known})
    if not labelled:
        raise BadLabels(
            f"{path.name} labels none of the {len(images)} images" + (f": {notes[0]}" if notes else ""),
            subject=str(path),
            remedy="labels name an image by its file's name, or its path within the set",
        )
    return Labels(found.kind, found.names, labelled, path.name, (*found.notes, *notes))


def _said(given: str, path: Path, images: Sequence[Pictured]) -> Said:
    if given == FOLDERS and not path.is_file():
        return table.of_folders([item.name for item in images])
    if not path.exists():
        raise BadLabels(f"{given} does not exist", subject=given, remedy=REMEDY)
    if path.is_dir():
        return yolo.read(path) if yolo.files(path) else masks.read(path)
    reader = {".json": coco.read, ".csv": table.read, ".tsv": table.read}.get(path.suffix.lower())
    if reader is None:
        raise BadLabels(f"{path.name} holds no labels, by its name", subject=given, remedy=REMEDY)
    return reader(path)


def _size(path: Path) -> tuple[int, int]:
    """Width and height, upright. Raises BadLabels: it is no image."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            turned = image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
            return (image.height, image.width) if turned else (image.width, image.height)
    except (OSError, SyntaxError, ValueError, TypeError) as error:
        raise BadLabels(f"{path.name} is no image, and cannot be labelled", subject=str(path)) from error


def _matched(
    found: Said, images: Sequence[Pictured], sizes: Mapping[str, tuple[int, int]], known: set[str]
) -> tuple[dict[str, ImageLabels], tuple[str, ...]]:
    """Labels by the image's digest, and what could not be matched, in sentences."""
    keys = _Keys(images)
    labelled: dict[str, ImageLabels] = {}
    left_out: Counter[str] = Counter()
    for name, said in found.images.items():
        image = keys.of(name)
        if image is None:
            left_out[_UNKNOWN] += _stem(name) not in known
            continue
        size = sizes[image.name]
        if found.kind in (Kind.BOXES, Kind.MASKS) and not _proportional(found.sizes.get(name), size):
            left_out[_OTHER_SIZE] += 1
            continue
        labelled[image.sha256] = ImageLabels(image.name, size, said.label, said.things, said.text, said.mask)
    if found.empty_means_nothing:
        rest = [item for item in images if item.sha256 not in labelled]
        labelled |= {item.sha256: ImageLabels(item.name, sizes[item.name], things=()) for item in rest}
        left_out[_EMPTY] = len(rest)
    else:
        left_out[_UNLABELLED] = len(images) - len(labelled)
    return labelled, tuple(f"{count} {words}" for words, count in left_out.items() if count)


_UNKNOWN = "labels are of images that are not in the set, and are left out"
_OTHER_SIZE = "images have other proportions than their labels say, and count as not labelled"
_EMPTY = "images have no file of labels, and count as images with nothing on them"
_UNLABELLED = "images are not labelled, and are not judged"


class _Keys:
    """Images by the names that labels give: the path within the set, the file's name alone, that without its ending."""

    def __init__(self, images: Sequence[Pictured]) -> None:
        self._levels: tuple[tuple[Callable[[str], str], dict[str, Pictured]], ...] = tuple(
            (key, _unique(images, key)) for key in (_whole, _base, _stem)
        )

    def of(self, name: str) -> Pictured | None:
        """The one image that is meant, if there is one."""
        return next((level[key(name)] for key, level in self._levels if key(name) in level), None)


def _whole(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _base(name: str) -> str:
    return _whole(name).rpartition("/")[2]


def _stem(name: str) -> str:
    base = _base(name)
    return base.rpartition(".")[0] or base


def _unique(images: Sequence[Pictured], key: Callable[[str], str]) -> dict[str, Pictured]:
    counts = Counter(key(item.name) for item in images)
    return {key(item.name): item for item in images if counts[key(item.name)] == 1}


def _proportional(labelled: tuple[int, int] | None, size: tuple[int, int]) -> bool:
    """Whether an image was labelled in its own proportions, to a pixel; unknown is taken for yes."""
    if labelled is None:
        return True
    return abs(labelled[0] * size[1] - labelled[1] * size[0]) <= max(*labelled, *size)
