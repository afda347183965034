"""Charts of the passport's page, as inline SVG that follows the page's light and dark colours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from oakmill.conversion.passport import pixels
from oakmill.conversion.passport.histogram import ValuePairs
from oakmill.conversion.passport.tasks import Seen, Sighting

LABELS = 8
"""Boxes that get their name written; more would cover the image."""


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


def heat(values: ValuePairs) -> Markup:
    """Float values to the right, converted ones upwards: what agrees lies on the diagonal. Darker is more often."""
    return Markup(
        '<svg class="heat" viewBox="0 0 200 184" role="img" aria-label="converted against float values">'
        '<rect class="frame" x="24" y="4" width="160" height="160"/>'
        '<line class="axis" x1="24" y1="164" x2="184" y2="4"/>'
        '<image x="24" y="4" width="160" height="160" preserveAspectRatio="none" href="{href}"/>'
        '<text x="24" y="176">{low}</text><text x="184" y="176" text-anchor="end">{high}</text>'
        '<text x="104" y="176" text-anchor="middle">float</text>'
        '<text x="17" y="84" text-anchor="middle" transform="rotate(-90 17 84)">converted</text></svg>'
    ).format(href=values.drawing, low=f"{values.low:.3g}", high=f"{values.high:.3g}")


def picture(thumbnail: str, sighting: Sighting) -> Markup:
    """A thumbnail, with what a model says of it drawn in: boxes, a mask."""
    width, height = pixels.size(thumbnail)
    boxes = [seen for seen in sighting.seen if seen.box]
    drawn = Markup("").join(_box(seen, width, height, named=place < LABELS) for place, seen in enumerate(boxes))
    layers = Markup("").join(
        Markup('<image width="{w}" height="{h}" preserveAspectRatio="none" href="{href}"/>').format(
            w=width, h=height, href=layer
        )
        for layer in (thumbnail, sighting.mask)
        if layer
    )
    return Markup('<svg class="picture" viewBox="0 0 {w} {h}" role="img">{layers}{drawn}</svg>').format(
        w=width, h=height, layers=layers, drawn=drawn
    )


def _box(seen: Seen, width: int, height: int, *, named: bool) -> Markup:
    x0, y0, x1, y1 = np.clip(seen.box or (0, 0, 0, 0), 0, 1) * (width, height, width, height)
    title = f"{seen.label} {seen.score:.2f}"
    shape = Markup(
        '<rect class="box {kind}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"><title>{t}</title></rect>'
    ).format(kind="" if seen.matched else "lone", x=x0, y=y0, w=max(x1 - x0, 1), h=max(y1 - y0, 1), t=title)
    if not named:
        return shape
    right = x0 > 0.6 * width  # there a name would leave the image
    text = Markup('<text class="tag" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{t}</text>').format(
        x=min(x1, width) - 2 if right else x0 + 2, y=max(y0 - 2, 9), anchor="end" if right else "start", t=title
    )
    return shape + text
