"""A small square image of what a model does, with what it sees drawn in: its face in a hub's lists."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

from PIL import Image, ImageDraw

from oakmill.conversion.images.samples import GENERATED
from oakmill.conversion.passport import report
from oakmill.conversion.passport.report import Passport
from oakmill.conversion.passport.tasks import ShownImage
from oakmill.files import atomic_write

SIDE = 112
"""Of the image, in pixels: twice what lists show, for fine screens."""
ENDING = ".face.jpg"
BOX = (53, 220, 120)
BOXES = 6


def write(folder: Path) -> Path | None:
    """The face beside the one passport.json in a folder; None where it shows no image."""
    found = sorted(folder.glob("*.passport.json"))
    if len(found) != 1:
        return None
    drawn = draw(report.read(json.loads(found[0].read_bytes())))
    if drawn is None:
        return None
    path = folder / f"{found[0].name.removesuffix('.passport.json')}{ENDING}"
    atomic_write(path, drawn)
    return path


def draw(passport: Passport) -> bytes | None:
    """The JPEG, of the image that shows best what the model does; generated shapes show nothing of that."""
    if passport.images.source == GENERATED:
        return None
    shown = next((item for item in passport.best if item.image in passport.thumbnails), None)
    if shown is None:
        return None
    image = _overlaid(_opened(passport.thumbnails[shown.image]).convert("RGB"), shown)
    side, (width, height) = min(image.size), image.size
    left, top = _corner(shown, width, height, side)
    small = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, (left, top, left + side, top + side))
    _boxes(small, shown, (width / side, height / side), (left / side, top / side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=82, optimize=True)
    return buffer.getvalue()


def _opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def _overlaid(image: Image.Image, shown: ShownImage) -> Image.Image:
    """With the mask of what the converted model says."""
    if not shown.candidate.mask:
        return image
    mask = _opened(shown.candidate.mask).convert("RGBA").resize(image.size, Image.Resampling.NEAREST)
    return Image.alpha_composite(image.convert("RGBA"), mask).convert("RGB")


def _corner(shown: ShownImage, width: int, height: int, side: int) -> tuple[float, float]:
    """Where the square begins: with the surest box in its middle, as far as the image reaches."""
    first = next((seen.box for seen in shown.candidate.seen if seen.box), (0.0, 0.0, 1.0, 1.0))
    across, down = (first[0] + first[2]) / 2 * width, (first[1] + first[3]) / 2 * height
    return min(max(across - side / 2, 0), width - side), min(max(down - side / 2, 0), height - side)


def _boxes(small: Image.Image, shown: ShownImage, scale: tuple[float, float], moved: tuple[float, float]) -> None:
    draw = ImageDraw.Draw(small)
    for box in [seen.box for seen in shown.candidate.seen if seen.box][:BOXES]:
        x0, x1 = (SIDE * (value * scale[0] - moved[0]) for value in (box[0], box[2]))
        y0, y1 = (SIDE * (value * scale[1] - moved[1]) for value in (box[1], box[3]))
        if x1 > x0 and y1 > y0:
            draw.rectangle((x0, y0, x1, y1), outline=BOX, width=3)
