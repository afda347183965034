"""Labels as Oakmill keeps them: beside a set's images, each known by the image's content and not by its name."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from oakmill.errors import SourceError
from oakmill.files import atomic_write, file_sha256

FILE = "labels.json"
FILES = "files"
"""The folder of a set's images, beside which its labels lie."""
MASKS = "masks"
IGNORED = 255
"""The value of a mask's pixels that nobody labelled, as in Pascal VOC and Cityscapes."""


class BadLabels(SourceError):
    """A file of labels cannot be used."""


class Kind(StrEnum):
    """What a set of labels says of each image."""

    CLASSES = "classes"
    BOXES = "boxes"
    MASKS = "masks"
    TEXTS = "texts"

    @property
    def reader(self) -> str:
        """What answers such a question, in words."""
        return {"classes": "a classifier", "boxes": "a detector", "masks": "a segmentation", "texts": "a reader"}[self]


@dataclass(frozen=True)
class Thing:
    """One thing on an image: the index of its class, and its box as x0, y0, x1, y1 in parts of the image, upright.

    `crowd` is a region of many that may be found or not, as COCO has them. `points` are keypoints as x, y in parts of
    the image and whether labelled (0: not, 1: hidden, 2: visible). `area` is that of the outline, as a part of the
    image's; 0 where only the box is known.
    """

    label: int
    box: tuple[float, float, float, float]
    crowd: bool = False
    points: tuple[tuple[float, float, int], ...] = ()
    area: float = 0.0


@dataclass(frozen=True)
class ImageLabels:
    """What is said of one image of `size`, its width and height in pixels as it is seen upright.

    One of them is said: the index of its class, things (none is an image of nothing), a text, or the file of its mask.
    """

    name: str
    size: tuple[int, int]
    label: int | None = None
    things: tuple[Thing, ...] | None = None
    text: str | None = None
    mask: str | None = None


@dataclass(frozen=True)
class Labels:
    """The labels of a set: classes by index (empty names are unknown), and images by the sha256 of their bytes.

    `source` says where they are from; `notes` are sentences on what was left out, and why.
    """

    kind: Kind
    names: tuple[str, ...]
    images: Mapping[str, ImageLabels] = field(repr=False)
    source: str = ""
    notes: tuple[str, ...] = ()
    format: Literal[1] = 1

    @property
    def sha256(self) -> str:
        """A digest over all that is said, wherever it lies."""
        return hashlib.sha256(_form().dump_json(self._with_masks_in(Path()))).hexdigest()

    def _with_masks_in(self, folder: Path) -> Labels:
        """The same, each mask looked for in this folder."""
        images = {
            digest: replace(item, mask=str(folder / Path(item.mask).name)) if item.mask else item
            for digest, item in self.images.items()
        }
        return replace(self, images=images)

    @property
    def words(self) -> str:
        """How much is labelled, in words."""
        things = [thing for item in self.images.values() for thing in item.things or ()]
        if self.kind is Kind.BOXES:
            classes = len({thing.label for thing in things})
            return f"{len(things)} boxes of {classes} classes on {len(self.images)} images"
        return f"{self.kind} of {len(self.images)} images"

    def write(self, folder: Path) -> None:
        """Write them into a set's folder, with copies of the masks, each called by its own digest."""
        images = dict(self.images)
        for digest, item in self.images.items():
            if item.mask:
                (folder / MASKS).mkdir(exist_ok=True)
                kept = f"{file_sha256(Path(item.mask))}.png"
                shutil.copyfile(item.mask, folder / MASKS / kept)
                images[digest] = replace(item, mask=kept)
        atomic_write(folder / FILE, _form().dump_json(replace(self, images=images)).decode())


def beside(files: Path) -> Labels | None:
    """The labels of the set whose images lie in this folder; None where it is no set's, or has none.

    Raises:
        BadLabels: they are damaged.
    """
    path = files.parent / FILE
    if files.name != FILES or not path.is_file():
        return None
    try:
        return _form().validate_json(path.read_bytes())._with_masks_in(files.parent / MASKS)
    except (OSError, ValidationError) as error:
        raise BadLabels(f"{path} is damaged: {str(error).splitlines()[0]}", subject=str(path)) from error


@lru_cache
def _form() -> TypeAdapter[Labels]:
    return TypeAdapter(Labels)
