"""Labels as masks: for each image a .png whose pixels are the numbers of classes, 255 where nobody labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oakmill.calibration.labels.labels import BadLabels, Kind
from oakmill.calibration.labels.said import Said, Saying, read_text

MAX_PIXELS = 89_478_485
_NAMES = "classes.txt"
_REMEDY = "a mask is a .png of one channel, or with a palette, whose values are the numbers of classes"


def read(folder: Path) -> Said:
    """The masks in a folder and its sub-folders, each of the image with its name; names of classes in classes.txt.

    Raises:
        BadLabels: there are none, or one cannot be read.
    """
    images, sizes = {}, {}
    for path in sorted(folder.rglob("*.png")):
        name = path.relative_to(folder).as_posix()
        values = pixels(path)
        images[name], sizes[name] = Saying(mask=str(path)), (values.shape[1], values.shape[0])
    if not images:
        raise BadLabels(f"{folder.name} holds neither .txt nor .png files", subject=str(folder), remedy=_REMEDY)
    listed = next((place / _NAMES for place in (folder, folder.parent) if (place / _NAMES).is_file()), None)
    names = tuple(line.strip() for line in read_text(listed, 4 << 20).splitlines() if line.strip()) if listed else ()
    return Said(Kind.MASKS, names, images, sizes=sizes)


def pixels(path: Path) -> NDArray[np.int64]:
    """The class of each pixel, [H, W].

    Raises:
        BadLabels: it is no image of class numbers.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadLabels(f"{path.name} has more than {MAX_PIXELS} pixels", subject=str(path))
            if image.mode not in ("L", "P", "1", "I", "I;16"):
                said = f"{path.name} is an image in colours ({image.mode}), and no mask"
                raise BadLabels(said, subject=str(path), remedy=_REMEDY)
            return np.asarray(image).astype(np.int64)
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError) as error:
        raise BadLabels(f"{path.name} cannot be read as a mask: {error}", subject=str(path)) from error
