"""Charts of the passport's page, as inline SVG and PNG that follow the page's light and dark colours."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from oakmill.conversion.passport.histogram import JointHistogram
from oakmill.conversion.passport.tasks import Seen, Sighting

THUMBNAIL = 260
"""The longer side of a picture on the page, in pixels."""
LABELS = 8
"""Boxes that get their name written; more would cover the picture."""

MASK_COLOURS = np.array(
    [(0, 0, 0, 0), (51, 120, 255, 150), (255, 120, 40, 150), (60, 180, 90, 150), (200, 70, 200, 150)], np.uint8
)


def spread(values: Sequence[float], *, decibel: bool = False, bins: int = 24) -> Markup:
    """How many images lie where: a histogram of shares of 0 to 1, or of decibels.

    An infinite SNR counts at the upper end, a NaN at the lower.
    """
    data = np.nan_to_num(np.array(values, np.float64), nan=0.0, posinf=100.0, neginf=-20.0)
    low, high = (math.floor(min(float(data.min(initial=0)), 0)), float(max(data.max(initial=1), 1)))
    counts, edges = np.histogram(data, bins=bins, range=(low, high))
    most = max(int(counts.max(initial=0)), 1)
    bars = Markup("").join(
        _bar(place, bins, int(count), most, f"{_axis(a, decibel=decibel)} to {_axis(b, decibel=decibel)}")
        for place, (count, a, b) in enumerate(zip(counts, edges[:-1], edges[1:], strict=True))
    )
    ends = (_axis(low, decibel=decibel), _axis(high, decibel=decibel))
    return Markup(
        '<svg class="spread" viewBox="0 0 240 130" role="img" aria-label="distribution over {n} images">{bars}'
        '<line class="axis" x1="0" x2="240" y1="112.5" y2="112.5"/>'
        '<text x="0" y="125">{low}</text><text x="240" y="125" text-anchor="end">{high}</text></svg>'
    ).format(n=len(values), bars=bars, low=ends[0], high=ends[1])


def _bar(place: int, bins: int, count: int, most: int, where: str) -> Markup:
    width = 240 / bins
    height = 106 * count / most if count else 0
    return Markup('<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"><title>{t}</title></rect>').format(
        x=place * width + 0.5, y=112 - height, w=width - 1, h=height, t=f"{where}: {count} images"
    )


def _axis(value: float, *, decibel: bool) -> str:
    return f"{value:.0f} dB" if decibel else f"{value:.0%}".replace("%", " %")


def heat(values: JointHistogram) -> Markup:
    """Float values to the right, converted ones upwards: what agrees lies on the diagonal. Darker is more often."""
    counts, low, high = values.occupied()
    shades = np.log1p(counts.T[::-1].astype(np.float64))
    cells = np.zeros((*shades.shape, 4), np.uint8)
    cells[..., :3] = (58, 123, 213)
    cells[..., 3] = np.where(shades > 0, 50 + 205 * shades / max(float(shades.max()), 1e-9), 0).astype(np.uint8)
    return Markup(
        '<svg class="heat" viewBox="0 0 200 184" role="img" aria-label="converted against float values">'
        '<rect class="frame" x="24" y="4" width="160" height="160"/>'
        '<line class="axis" x1="24" y1="164" x2="184" y2="4"/>'
        '<image x="24" y="4" width="160" height="160" preserveAspectRatio="none" href="{href}"/>'
        '<text x="24" y="176">{low}</text><text x="184" y="176" text-anchor="end">{high}</text>'
        '<text x="104" y="176" text-anchor="middle">float</text>'
        '<text x="17" y="84" text-anchor="middle" transform="rotate(-90 17 84)">converted</text></svg>'
    ).format(href=_png(cells), low=f"{low:.3g}", high=f"{high:.3g}")


def picture(pixels: NDArray[Any], sighting: Sighting) -> Markup:
    """A picture, small, with what a model says of it drawn in: boxes, a mask.

    Args:
        pixels: [H, W, 3] RGB or [H, W, 1] or [H, W] gray, uint8.
        sighting: what is drawn.
    """
    image = _thumbnail(pixels)
    width, height = image.size
    boxes = [seen for seen in sighting.seen if seen.box]
    drawn = Markup("").join(_box(seen, width, height, named=place < LABELS) for place, seen in enumerate(boxes))
    if sighting.mask is not None:
        drawn = _mask(sighting.mask, width, height) + drawn
    return Markup(
        '<svg class="picture" viewBox="0 0 {w} {h}" role="img">'
        '<image width="{w}" height="{h}" href="{href}"/>{drawn}</svg>'
    ).format(w=width, h=height, href=_jpeg(image), drawn=drawn)


def _thumbnail(pixels: NDArray[Any]) -> Image.Image:
    values = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(values, np.uint8)).convert("RGB")
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
    return image


def _box(seen: Seen, width: int, height: int, *, named: bool) -> Markup:
    x0, y0, x1, y1 = np.clip(seen.box or (0, 0, 0, 0), 0, 1) * (width, height, width, height)
    title = f"{seen.label} {seen.score:.2f}"
    shape = Markup(
        '<rect class="box {kind}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"><title>{t}</title></rect>'
    ).format(kind="" if seen.matched else "lone", x=x0, y=y0, w=max(x1 - x0, 1), h=max(y1 - y0, 1), t=title)
    if not named:
        return shape
    right = x0 > 0.6 * width  # there a name would leave the picture
    text = Markup('<text class="tag" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{t}</text>').format(
        x=min(x1, width) - 2 if right else x0 + 2, y=max(y0 - 2, 9), anchor="end" if right else "start", t=title
    )
    return shape + text


def _mask(mask: NDArray[np.uint8], width: int, height: int) -> Markup:
    places = np.where(mask > 0, 1 + (mask.astype(np.int64) - 1) % (len(MASK_COLOURS) - 1), 0)
    return Markup('<image width="{w}" height="{h}" preserveAspectRatio="none" href="{href}"/>').format(
        w=width, h=height, href=_png(MASK_COLOURS[places])
    )


def _png(pixels: NDArray[np.uint8]) -> str:
    return _data(Image.fromarray(pixels), "PNG", "png", optimize=True)


def _jpeg(image: Image.Image) -> str:
    return _data(image, "JPEG", "jpeg", quality=80)


def _data(image: Image.Image, form: str, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
