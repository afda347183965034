"""Small images as text, for a document of plain data: thumbnails as JPEG, drawings as PNG."""

from __future__ import annotations

import base64
import io
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import StringConstraints

THUMBNAIL = 640
"""The longer side of a thumbnail, in pixels: what most models take, so that it bears to be looked at in full size."""

DataUrl = Annotated[str, StringConstraints(pattern=r"^(data:image/(png|jpeg);base64,[A-Za-z0-9+/]+={0,2})?$")]
"""An image as a `data:` URL, or nothing. A document that comes from elsewhere can hold no other URL."""


def png(pixels: NDArray[np.uint8]) -> str:
    """[H, W, 4] RGBA as a data URL."""
    return _data(Image.fromarray(pixels), "PNG", "png", optimize=True)


def thumbnail(pixels: NDArray[Any]) -> str:
    """[H, W, 3] RGB, [H, W, 1] or [H, W] gray, uint8, made small, as a data URL."""
    values = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(values, np.uint8)).convert("RGB")
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
    return _data(image, "JPEG", "jpeg", quality=80)


def size(url: str) -> tuple[int, int]:
    """Width and height of an image in a data URL, whose beginning alone is read; 1 and 1 of what is no image."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
            return image.size
    except OSError:
        return 1, 1


def _data(image: Image.Image, form: str, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
