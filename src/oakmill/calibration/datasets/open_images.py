"""Chooses images of Open Images V7 by its own published annotations: the same files and seed, the same images.

The addresses are those that Open Images' download page links (https://storage.googleapis.com/openimages/web/
download_v7.html): V7 did not publish the boxes of validation and test anew, they stand under v5, and the images'
owners and licences under 2018_04. The images lie in the bucket of the Common Visual Data Foundation
(https://github.com/cvdfoundation/open-images-dataset), with at most 1024 pixels on the longer side.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oakmill.calibration.datasets.catalog import SEED, NamedSet
from oakmill.calibration.datasets.fetch import FetchFailed

CLASSES_FILE = "v7/oidv7-class-descriptions-boxable.csv"
BOXES_FILE = "v5/{split}-annotations-bbox.csv"
IMAGES_FILE = "2018_04/{split}/{split}-images-with-rotation.csv"
SPLITS = ("validation", "test")  # 41,620 and 125,436 images; train's files are gigabytes
SPARE = 1.1  # some images are no longer there: with fewer candidates than this, the next split is read too

LICENCE_NOTE = (
    "Photos of Open Images V7, each by its author under the licence named beside it (CC BY 2.0 as listed; Open Images "
    "does not vouch for it). Whoever passes them on names the authors: they stand in the set's set.json. The "
    "annotations are Google's, CC BY 4.0."
)


class AnnotationsUnusable(FetchFailed):
    """A file of Open Images' annotations is not what it should be; `subject` is its path."""


Read = Callable[[str], Path]
"""Gives a published file, by its name below the source's address, as a file on disk."""

_ID = re.compile(r"[0-9a-f]{16}")
_UPRIGHT = frozenset({"", "0", "0.0"})


@dataclass(frozen=True)
class Photo:
    """One image of Open Images: where it lies in the bucket, and whose it is."""

    split: str
    id: str
    original: str
    landing: str
    licence: str
    author: str
    author_page: str
    title: str

    @property
    def key(self) -> str:
        """Its path in the bucket."""
        return f"{self.split}/{self.id}.jpg"


def candidates(wanted: NamedSet, read: Read) -> tuple[Photo, ...]:
    """All images that fit a set, in the order in which they are taken.

    An image fits if it holds a box of one of the classes that shows a real thing from outside: boxes on
    drawings and from the inside of things (IsDepiction, IsInside) do not count, groups do. Images that lie
    on their side or have no licence are left out.

    Raises:
        AnnotationsUnusable: a file is not of the form known.
        FetchFailed: there are not images enough.
    """
    found: list[Photo] = []
    labels = _labels(wanted, read) if wanted.origin == "boxes" else None
    for split in SPLITS:
        ids = None if labels is None else _boxed(read(BOXES_FILE.format(split=split)), labels)
        found += _photos(read(IMAGES_FILE.format(split=split)), split, ids)
        if len(found) >= wanted.count * SPARE:
            break
    if len(found) < wanted.count:
        raise FetchFailed(f"Open Images has {len(found)} images for {wanted.name}, and {wanted.count} are needed")
    found.sort(key=lambda photo: photo.key)
    return tuple(found[index] for index in np.random.RandomState(SEED).permutation(len(found)))


def _labels(wanted: NamedSet, read: Read) -> frozenset[str]:
    """The identifiers of a set's classes."""
    path = read(CLASSES_FILE)
    with _opened(path) as lines:  # with a header line in V7, without one before
        known = {row[1]: row[0] for row in csv.reader(lines) if len(row) > 1 and row[0].startswith("/m/")}
    missing = [name for name in wanted.classes if name not in known]
    if missing:
        raise _unusable(path, f"it does not know the classes {', '.join(missing)}")
    return frozenset(known[name] for name in wanted.classes)


def _boxed(path: Path, labels: frozenset[str]) -> frozenset[str]:
    """The images with a box of one of the labels."""
    ids = set()
    columns = ("ImageID", "LabelName", "Confidence", "IsDepiction", "IsInside")
    for image, label, confidence, depiction, inside in _columns(path, columns):
        if label in labels and "1" not in (depiction, inside) and confidence in ("1", "1.0"):
            ids.add(image)
    return frozenset(ids)


def _photos(path: Path, split: str, ids: frozenset[str] | None) -> Iterator[Photo]:
    columns = ("ImageID", "OriginalURL", "OriginalLandingURL", "License", "Author", "AuthorProfileURL", "Title")
    for image, original, landing, licence, author, page, title, rotation in _columns(path, (*columns, "Rotation")):
        if (ids is None or image in ids) and licence and rotation in _UPRIGHT and _ID.fullmatch(image):
            yield Photo(split, image, original, landing, licence, author, page, title)


def _columns(path: Path, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The named columns of each row."""
    with _opened(path) as lines:
        rows = csv.reader(lines)
        header = next(rows, [])
        if not set(names) <= set(header):
            missing = ", ".join(sorted(set(names) - set(header)))
            raise _unusable(path, f"it has no column {missing}")
        places = [header.index(name) for name in names]
        for row in rows:
            if len(row) == len(header):
                yield tuple(row[place] for place in places)


@contextmanager
def _opened(path: Path) -> Iterator[Iterable[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, str(error)) from error


def _unusable(path: Path, why: str) -> AnnotationsUnusable:
    return AnnotationsUnusable(f"{path.name} is not the file it should be: {why}", subject=str(path))
