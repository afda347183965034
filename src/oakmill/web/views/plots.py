"""Plots of instances as inline SVG: accuracy against size with a dot for each, and bars side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from oakmill.registry.tables import Instance, InstanceStatus, Origin
from oakmill.web.views import filters

WIDTH, HEIGHT = 420.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 14.0, 36.0
RADIUS = 6.0
LETTER, LINE = 6.2, 12.0
"""What a label takes at most: a letter's width, and a line's height."""
LOGARITHMIC = 12.0
"""The ratio of sizes from which on the axis shows their magnitudes."""
MOST = 400
"""Dots of one chart: more say no more."""
SHAPES = {"RVC2": "circle", "RVC3": "square", "RVC4": "diamond"}


@dataclass(frozen=True)
class Dot:
    """One instance on a plot: where it leads to, what it is called, its size in bytes and its accuracy."""

    instance: Instance
    size: float
    value: float
    text: str

    @property
    def label(self) -> str:
        """What stands beside it."""
        return filters.precision(self.instance.precision or "") or self.instance.model_type

    @property
    def words(self) -> str:
        """All of it, for whoever points at it."""
        row = self.instance
        verdict = f", {row.verdict}" if row.verdict else ""
        return f"{row.name}: {row.model_type} {self.label}, {self.text}, {filters.size(row.size)}{verdict}"


@dataclass(frozen=True)
class Plot:
    """Instances that are measured by one number: its words, by what methods, and the drawing."""

    words: str
    methods: tuple[str, ...]
    platforms: tuple[str, ...]
    count: int
    drawing: Markup


def accuracy_against_size(rows: Iterable[Instance]) -> list[Plot]:
    """A plot for each number that instances are measured by, the most usual first; none of fewer than two dots."""
    by_key: dict[str, list[Dot]] = {}
    for row in rows:
        if dot := _dot(row):
            by_key.setdefault(str(row.facts["accuracy"]["key"]), []).append(dot)
    found = sorted((dots for dots in by_key.values() if len(dots) > 1), key=len, reverse=True)
    return [_plot(dots[:MOST]) for dots in found]


def measured(row: Instance) -> dict[str, Any]:
    """The number that stands for an instance's passport; nothing of one that has none."""
    found = row.facts.get("accuracy")
    return found if isinstance(found, dict) and isinstance(found.get("value"), int | float) else {}


def mark(platform: str) -> Markup:
    """The sign of a platform, for a legend."""
    sign = _sign(platform, 5, 5, 5)
    return Markup('<svg viewBox="-1 -1 12 12" aria-hidden="true">{}</svg>').format(sign)


def _dot(row: Instance) -> Dot | None:
    is_made = row.origin == Origin.CONVERTED and row.status == InstanceStatus.AVAILABLE
    found = measured(row)
    if not is_made or not found or not row.size:
        return None
    return Dot(row, float(row.size), float(found["value"]), str(found.get("text", "")))


def _plot(dots: Sequence[Dot]) -> Plot:
    facts = [measured(dot.instance) for dot in dots]
    methods = tuple(name for name, _ in Counter(str(item.get("method", "")) for item in facts).most_common())
    platforms = tuple(sorted({dot.instance.model_type for dot in dots}))
    return Plot(str(facts[0]["words"]), methods, platforms, len(dots), _drawing(dots, facts))


def _drawing(dots: Sequence[Dot], facts: Sequence[dict[str, Any]]) -> Markup:
    unit = str(facts[0].get("unit", "%"))
    whole = max((float(item["float_value"]) for item in facts if item.get("float_value") is not None), default=None)
    values = [dot.value for dot in dots] + ([whole] if whole is not None else [])
    down, ticks = _upwards(values, unit)
    across, marks = _sideways([dot.size for dot in dots])
    lines = Markup("").join(
        Markup('<line class="grid" x1="{a}" x2="{b}" y1="{y:.1f}" y2="{y:.1f}"/>'
               '<text x="{t}" y="{ty:.1f}" text-anchor="end">{words}</text>').format(
            a=LEFT, b=WIDTH - RIGHT, y=down(tick), t=LEFT - 6, ty=down(tick) + 4, words=_said(tick, unit)
        )
        for tick in ticks
    )  # fmt: skip
    below = Markup("").join(
        Markup('<text x="{x:.1f}" y="{y}" text-anchor="middle">{words}</text>').format(
            x=across(size), y=HEIGHT - BOTTOM + 16, words=f"{size / 1e6:.3g}"
        )
        for size in marks
    )
    return Markup(
        '<svg class="plot" viewBox="0 0 {w:.0f} {h:.0f}" role="group" aria-label="{words} against size, {n} instances">'
        '{lines}<line class="axis" x1="{left}" x2="{right}" y1="{base}" y2="{base}"/>{below}'
        '<text x="{right}" y="{foot}" text-anchor="end">size, MB</text>{whole}{dots}</svg>'
    ).format(
        w=WIDTH, h=HEIGHT, words=facts[0]["words"], n=len(dots), lines=lines, left=LEFT, right=WIDTH - RIGHT,
        base=HEIGHT - BOTTOM, below=below, foot=HEIGHT - 4,
        whole=_float_line(down(whole)) if whole is not None else "", dots=_dots(dots, across, down),
    )  # fmt: skip


def _float_line(y: float) -> Markup:
    return Markup(
        '<line class="float" x1="{a}" x2="{b}" y1="{y:.1f}" y2="{y:.1f}"/><text x="{a}" dx="4" y="{t:.1f}">float</text>'
    ).format(a=LEFT, b=WIDTH - RIGHT, y=y, t=y - 4)


def _dots(dots: Sequence[Dot], across: Callable[[float], float], down: Callable[[float], float]) -> Markup:
    """The dots, each a link; the best come last, so that they lie on top. A label that has no room is left out."""
    taken = [(across(dot.size) - RADIUS, down(dot.value) - RADIUS, 2 * RADIUS, 2 * RADIUS) for dot in dots]
    drawn = []
    for dot in sorted(dots, key=lambda dot: dot.value):
        x, y = across(dot.size), down(dot.value)
        label = _label(dot.label, x, y, taken)
        drawn.append(
            Markup('<a href="/instances/{id}" aria-label="{words}"><title>{words}</title>{sign}{label}</a>').format(
                id=dot.instance.id, words=dot.words, sign=_sign(dot.instance.model_type, x, y, RADIUS), label=label
            )
        )
    return Markup("").join(drawn)


def _label(text: str, x: float, y: float, taken: list[tuple[float, float, float, float]]) -> Markup:
    """A label where there is room for it: to the right, to the left, above or below; else none."""
    wide = LETTER * len(text)
    sides = (
        (x + RADIUS + 4, y + 4, "start", x + RADIUS + 4),
        (x - RADIUS - 4, y + 4, "end", x - RADIUS - 4 - wide),
        (x, y - RADIUS - 5, "middle", x - wide / 2),
        (x, y + RADIUS + 12, "middle", x - wide / 2),
    )
    for at, base, anchor, left in sides:
        place = (left, base - LINE + 2, wide, LINE)
        inside = left >= LEFT and left + wide <= WIDTH - 2 and base <= HEIGHT - BOTTOM and base - LINE >= 0
        if inside and not any(_overlap(place, other) for other in taken):
            taken.append(place)
            return Markup('<text x="{x:.1f}" y="{y:.1f}" text-anchor="{a}">{t}</text>').format(
                x=at, y=base, a=anchor, t=text
            )
    return Markup("")


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _sign(platform: str, x: float, y: float, radius: float) -> Markup:
    kind = platform.lower()
    if SHAPES.get(platform) == "square":
        half = radius * 0.88
        return Markup('<rect class="mark {k}" x="{x:.1f}" y="{y:.1f}" width="{s:.1f}" height="{s:.1f}"/>').format(
            k=kind, x=x - half, y=y - half, s=2 * half
        )
    if SHAPES.get(platform) == "diamond":
        r = radius * 1.15
        points = f"{x:.1f},{y - r:.1f} {x + r:.1f},{y:.1f} {x:.1f},{y + r:.1f} {x - r:.1f},{y:.1f}"
        return Markup('<polygon class="mark {k}" points="{p}"/>').format(k=kind, p=points)
    return Markup('<circle class="mark {k}" cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>').format(k=kind, x=x, y=y, r=radius)


def _upwards(values: Sequence[float], unit: str) -> tuple[Callable[[float], float], list[float]]:
    """From a value to its height, and the values at the axis: what is there fills it, and never beyond 100 %."""
    low, high = min(values), max(values)
    room = max(high - low, 0.02 if unit != "dB" else 2.0) * 0.18
    bottom, top = low - room, high + room
    if unit != "dB":
        bottom, top = max(bottom, 0.0), min(top, 1.0) if high <= 1 else top
    step = _step((top - bottom) / 4)
    ticks = [tick * step for tick in range(math.ceil(bottom / step - 1e-9), math.floor(top / step + 1e-9) + 1)]
    return lambda value: TOP + (HEIGHT - TOP - BOTTOM) * (top - value) / (top - bottom), ticks


def _sideways(sizes: Sequence[float]) -> tuple[Callable[[float], float], list[float]]:
    """From bytes to a place, and the sizes at the axis; from 0 on, or by magnitudes where they are far apart."""
    low, high = min(sizes), max(sizes)
    wide = WIDTH - LEFT - RIGHT - 2 * RADIUS
    if high > LOGARITHMIC * low:
        first, last = math.log(low * 0.8), math.log(high * 1.25)
        ticks = [base * 10.0**power for power in range(3, 12) for base in (1, 3) if low <= base * 10.0**power <= high]
        return lambda size: LEFT + RADIUS + wide * (math.log(size) - first) / (last - first), ticks
    top = high * 1.12
    step = _step(top / 4)
    ticks = [tick * step for tick in range(math.floor(top / step) + 1)]
    return lambda size: LEFT + RADIUS + wide * size / top, ticks


def _step(rough: float) -> float:
    """The round number next above."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(base * power for base in (1, 2, 2.5, 5, 10) if base * power >= rough * 0.999)


def _said(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.4g} %"
    return f"{value:.4g} dB" if unit == "dB" else f"{value:.4g}"
