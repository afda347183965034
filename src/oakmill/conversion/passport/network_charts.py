"""Charts of a network, tensor by tensor, as inline SVG: bars of what is lost along it, and its graph by colour."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from oakmill.conversion.passport.layers import TensorDamage

TOP_DB, BOTTOM_DB = 0.0, 50.0
"""From all noise, the top of the chart, to what 8 bits leave at best, its bottom."""
HEIGHT, STEP, LEAST = 140.0, 6.0, 2.0
"""Of the chart, of one tensor in it, and what a tensor takes at least on a screen that is too narrow for all."""
ACROSS, DOWN, RADIUS = 16.0, 16.0, 5.0
"""Of a step in the graph, of a lane, and of a tensor."""
GUIDES = (15.0, 25.0)
"""The bounds of an output, drawn as lines."""


def bars(tensors: Sequence[TensorDamage]) -> Markup:
    """Bars in the order of the network: pale is what arrives here, solid the tensor's own part. Higher is worse."""
    width = max(len(tensors), 1) * STEP
    drawn = Markup("").join(_bar(place, item) for place, item in enumerate(tensors))
    lines = Markup("").join(
        Markup('<line class="axis" x1="0" x2="{w:.0f}" y1="{y:.1f}" y2="{y:.1f}"/>').format(w=width, y=_top(level))
        for level in GUIDES
    )
    return Markup(
        '<svg class="along" viewBox="0 0 {w:.0f} {h:.0f}" width="{least:.0f}" height="{h:.0f}" '
        'preserveAspectRatio="none" role="img" aria-label="damage along the network, {n} tensors">{lines}{drawn}</svg>'
    ).format(w=width, least=len(tensors) * LEAST, h=HEIGHT, n=len(tensors), lines=lines, drawn=drawn)


def _bar(place: int, item: TensorDamage) -> Markup:
    arrives, own = _top(item.arrives_db), _top(item.own_db)
    return Markup(
        '<g><title>{t}</title><rect class="hit" x="{x:.1f}" y="0" width="{s}" height="{all:.0f}"/>'
        '<rect class="arrives {a}" x="{x:.1f}" y="{ya:.1f}" width="{w:.1f}" height="{ha:.1f}"/>'
        '<rect class="own {o}" x="{x:.1f}" y="{yo:.1f}" width="{w:.1f}" height="{ho:.1f}"/></g>'
    ).format(
        t=item.words, x=place * STEP + 0.5, s=STEP, all=HEIGHT, w=STEP - 1,
        a=item.severity("arrives"), ya=arrives, ha=HEIGHT - arrives,
        o=item.severity("own"), yo=own, ho=HEIGHT - own,
    )  # fmt: skip


def _top(decibels: float) -> float:
    """Where a bar ends, from above."""
    inside = min(max(decibels, TOP_DB), BOTTOM_DB) if not math.isnan(decibels) else TOP_DB
    return HEIGHT * inside / (BOTTOM_DB - TOP_DB)


def graph(tensors: Sequence[TensorDamage]) -> Markup:
    """The network from left to right, each tensor in the colour of what its own rounding does to it."""
    places = _places(tensors)
    edges = Markup("").join(
        _edge(places[before], places[place])
        for place, item in enumerate(tensors)
        for before in item.feeds
        if before < place
    )
    dots = Markup("").join(_dot(places[place], item) for place, item in enumerate(tensors))
    width = (max((x for x, _ in places), default=0) + 1) * ACROSS
    height = (max((y for _, y in places), default=0) + 1) * DOWN
    return Markup(
        '<svg class="network" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}" role="img" '
        'aria-label="the network, {n} tensors">{edges}{dots}</svg>'
    ).format(w=width, h=height, n=len(tensors), edges=edges, dots=dots)


def _places(tensors: Sequence[TensorDamage]) -> list[tuple[int, int]]:
    """Column and lane of each: a column behind the last that feeds it, in the lane of the first, if that is free."""
    taken: set[tuple[int, int]] = set()
    found: list[tuple[int, int]] = []
    for place, item in enumerate(tensors):
        before = [found[feed] for feed in item.feeds if feed < place]
        column = max((x for x, _ in before), default=-1) + 1
        lane = before[0][1] if before else 0
        while (column, lane) in taken:
            lane += 1
        taken.add((column, lane))
        found.append((column, lane))
    return found


def _edge(start: tuple[int, int], end: tuple[int, int]) -> Markup:
    (x0, y0), (x1, y1) = _centre(start), _centre(end)
    around = y0 == y1 and end[0] - start[0] > 1  # what stands between
    leave, arrive = (y0 - DOWN * 0.45,) * 2 if around else (y0, y1)
    numbers = (x0, y0, x0 + ACROSS / 2, leave, x1 - ACROSS / 2, arrive, x1, y1)
    first, second, *others = (f"{value:.1f}" for value in numbers)
    return Markup('<path class="edge" d="M{a} {b} C{c}"/>').format(a=first, b=second, c=" ".join(others))


def _dot(place: tuple[int, int], item: TensorDamage) -> Markup:
    x, y = _centre(place)
    return Markup('<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="{r}"><title>{t}</title></circle>').format(
        look=item.severity("own"), x=x, y=y, r=RADIUS, t=item.words
    )


def _centre(place: tuple[int, int]) -> tuple[float, float]:
    return (place[0] + 0.5) * ACROSS, (place[1] + 0.5) * DOWN


RANGE = 100.0


def span(item: TensorDamage) -> Markup:
    """What the format holds, as a track; what the values take of it, solid; what lies beyond and is cut off, marked."""
    low, high = min(item.low, item.seen_low), max(item.high, item.seen_high)
    whole = high - low or 1.0
    held, seen = ((item.low, item.high), (item.seen_low, item.seen_high))
    parts = Markup("").join(
        Markup('<rect class="{look}" x="{x:.2f}" y="{y}" width="{w:.2f}" height="{h}"/>').format(
            look=look, x=RANGE * (a - low) / whole, w=max(RANGE * (b - a) / whole, 0.8), y=y, h=h
        )
        for look, (a, b), y, h in (
            ("idle" if item.idle else "beyond", seen, 3, 4),
            ("holds", held, 1, 8),
            ("seen", _both(held, seen), 3, 4),
        )
    )
    words = f"holds {item.low:.3g} to {item.high:.3g}, seen {item.seen_low:.3g} to {item.seen_high:.3g}"
    return Markup(
        '<svg class="span" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{words}">{parts}'
        "</svg>"
    ).format(parts=parts, words=words)


def _both(held: tuple[float, float], seen: tuple[float, float]) -> tuple[float, float]:
    low = max(held[0], seen[0])
    return low, max(min(held[1], seen[1]), low)
