"""Charts of the passport's page, as inline SVG that follows the page's light and dark colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from oakmill.conversion.passport.histogram import ValuePairs
from oakmill.conversion.passport.ladder import Rung
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


def picture(image: Markup, size: tuple[int, int], sighting: Sighting, words: str = "") -> Markup:
    """An image (SVG of that size) with what a model says of it drawn in: boxes, a mask. `words` say what it is."""
    width, height = size
    boxes = [seen for seen in sighting.seen if seen.box]
    drawn = Markup("").join(_box(seen, width, height, named=place < LABELS) for place, seen in enumerate(boxes))
    mask = layer(sighting.mask, size) if sighting.mask else ""
    unit = max(width, height) / 260  # of lines and letters, whatever the image's size
    return Markup(
        '<svg class="picture" viewBox="0 0 {w} {h}" role="img" aria-label="{words}">{image}{mask}'
        '<g stroke-width="{line:.2f}" font-size="{letters:.1f}">{drawn}</g></svg>'
    ).format(w=width, h=height, image=image, mask=mask, drawn=drawn, words=words, line=1.6 * unit, letters=9.5 * unit)


def layer(href: str, size: tuple[int, int], name: str = "") -> Markup:
    """An image as SVG of that size; by its `name` it can be used again."""
    known = Markup(' id="{name}"').format(name=name) if name else ""
    return Markup('<image{known} width="{w}" height="{h}" preserveAspectRatio="none" href="{href}"/>').format(
        known=known, w=size[0], h=size[1], href=href
    )


def _box(seen: Seen, width: int, height: int, *, named: bool) -> Markup:
    x0, y0, x1, y1 = np.clip(seen.box or (0, 0, 0, 0), 0, 1) * (width, height, width, height)
    title = f"{seen.label} {seen.score:.2f}"
    shape = Markup(
        '<rect class="box {kind}" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"><title>{t}</title></rect>'
    ).format(kind="" if seen.matched else "lone", x=x0, y=y0, w=max(x1 - x0, 1), h=max(y1 - y0, 1), t=title)
    if not named:
        return shape
    right, unit = x0 > 0.6 * width, max(width, height) / 260  # at the right a name would leave the image
    text = Markup('<text class="tag" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{t}</text>').format(
        x=min(x1, width) - 2 * unit if right else x0 + 2 * unit,
        y=max(y0 - 2 * unit, 9 * unit),
        anchor="end" if right else "start",
        t=title,
    )
    return shape + text


CURVE = (360.0, 150.0)
"""Width and height of the search's chart."""


def curve(points: Sequence[Mapping[str, float]], kept: int) -> Markup:
    """The plans of a search, size to the right, agreement upwards; filled is the one that keeps so many tensors."""
    if len(points) < 2:
        return Markup("")
    sizes, levels = ([float(point[key]) for point in points] for key in ("activations_mb", "agreement_db"))
    left, low = min(sizes), min(levels)
    wide, high = max(sizes) - left or 1.0, max(levels) - low or 1.0
    places = [
        (round((size - left) / wide * CURVE[0], 1), round(CURVE[1] - (level - low) / high * CURVE[1], 1))
        for size, level in zip(sizes, levels, strict=True)
    ]
    dots = Markup("").join(_dot(place, point, kept) for place, point in zip(places, points, strict=True))
    return Markup(
        '<svg class="curve" viewBox="-46 -14 440 186" role="img" aria-label="agreement against size, {n} plans">'
        '<line class="axis" x1="0" y1="150" x2="360" y2="150"/><line class="axis" x1="0" y1="0" x2="0" y2="150"/>'
        '<polyline points="{line}"/>{dots}<text x="0" y="166">{small:.2f} MB</text>'
        '<text x="360" y="166" text-anchor="end">{large:.2f} MB of activations</text>'
        '<text x="-6" y="152" text-anchor="end">{low:.1f}</text>'
        '<text x="-6" y="6" text-anchor="end">{top:.1f} dB</text></svg>'
    ).format(
        n=len(points), line=" ".join(f"{x},{y}" for x, y in places), dots=dots,
        small=left, large=max(sizes), low=low, top=max(levels),
    )  # fmt: skip


def _dot(place: tuple[float, float], point: Mapping[str, float], kept: int) -> Markup:
    words = f"{point['tensors']} tensors in 16 bits: {point['activations_mb']:.2f} MB, {point['agreement_db']:.1f} dB"
    return Markup('<circle class="{kind}" cx="{x}" cy="{y}" r="4"><title>{words}</title></circle>').format(
        kind="chosen" if point["tensors"] == kept else "", x=place[0], y=place[1], words=words
    )


def steps(rungs: Sequence[Rung]) -> Markup:
    """The number formats that were tried, one beside the other: what is kept of the metric upwards, with its interval.

    Filled is the one that was taken; the dashed line is the float model. Below each stand its size, and its expected
    time where one is known. Nothing where fewer than two were measured.
    """
    known = [rung for rung in rungs if math.isfinite(rung.kept) and rung.size]
    if len(known) < 2:
        return Markup("")
    whole = known[0].kept + known[0].lost
    ends = [whole, *(value for rung in known for value in _ends(rung))]
    low, high = min(ends), max(ends)

    def above(value: float) -> float:
        return round(CURVE[1] * (high - value) / ((high - low) or 1), 1)

    drawn = Markup("").join(
        _rung(rung, rungs.index(rung) + 1, (place + 0.5) * CURVE[0] / len(known), above)
        for place, rung in enumerate(known)
    )
    return Markup(
        '<svg class="curve" viewBox="-46 -14 440 200" role="img" aria-label="accuracy, size and time of {n} formats">'
        '<line class="axis" x1="0" y1="150" x2="360" y2="150"/><line class="axis" x1="0" y1="0" x2="0" y2="150"/>'
        '<line class="axis" stroke-dasharray="4 4" x1="0" y1="{float}" x2="360" y2="{float}"/>'
        '<text x="364" y="{beside}">float</text>{drawn}'
        '<text x="-6" y="152" text-anchor="end">{low:.3f}</text><text x="-6" y="6" text-anchor="end">{top:.3f}</text>'
        "</svg>"
    ).format(n=len(known), drawn=drawn, float=above(whole), beside=above(whole) + 3, low=low, top=high)


def _rung(rung: Rung, number: int, x: float, above: Callable[[float], float]) -> Markup:
    bottom, top = map(above, _ends(rung))
    spent = f"≈ {rung.milliseconds:.2g} ms" if math.isfinite(rung.milliseconds) else ""
    return Markup(
        '<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
        '<circle class="{kind}" cx="{x:.1f}" cy="{y}" r="4"><title>{words}</title></circle>'
        '<text x="{x:.1f}" y="162" text-anchor="middle">{number}. {size:.2f} MB</text>'
        '<text x="{x:.1f}" y="173" text-anchor="middle">{spent}</text>'
    ).format(
        x=x, y=above(rung.kept), top=top, bottom=bottom, kind="chosen" if rung.fit else "", number=number,
        size=rung.size / 1e6, spent=spent, words=f"{rung.precision}: {rung.measured}",
    )  # fmt: skip


def _ends(rung: Rung) -> tuple[float, float]:
    """The ends of the interval of what is kept: those of the drop, on what the float model has."""
    if not (math.isfinite(rung.lost_low) and math.isfinite(rung.lost_high)):
        return rung.kept, rung.kept
    whole = rung.kept + rung.lost
    return whole - rung.lost_high, whole - rung.lost_low
