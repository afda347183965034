"""Which class of the float model became which of the converted one, as a matrix in inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from oakmill.conversion.passport.tasks import ClassAgreement, TaskAgreement

MOST = 12
"""Classes that are shown: of many, those that are confused most, then the most frequent ones."""
CELL, LEFT, TOP, LETTERS = 30, 110, 92, 15
"""Of a cell, of the names at the left and above, in units of the image; and letters that a name may have there."""
NONE = -1
"""The row and column of what the other model does not see at all."""

Counts = Mapping[tuple[int, int], int]


def matrix(task: TaskAgreement) -> Markup:
    """The matrix: rows are what the float model says, columns what the converted one does; nothing without classes.

    A cell's colour is its share of its row. Where things are found, the last row and column are those that one of the
    two does not find.
    """
    if len(task.classes) < 2:
        return Markup("")
    shown = _shown(task)
    counts = _counts(task, shown)
    rows = [item.index for item in shown]
    lone = [NONE] if task.kind == "detection" else []
    names = {item.index: item.label for item in shown} | {NONE: "not found"}
    return _drawn([*rows, *lone], counts, names, len(task.classes) - len(shown))


def _shown(task: TaskAgreement) -> list[ClassAgreement]:
    lost = {item.index: item.reference + item.candidate - 2 * item.both for item in task.classes}
    order = sorted(task.classes, key=lambda item: (-lost[item.index], -item.reference, item.index))
    return sorted(order[:MOST], key=lambda item: (-item.reference, item.index))


def _counts(task: TaskAgreement, shown: Sequence[ClassAgreement]) -> Counts:
    found = {(item.index, item.index): item.both for item in shown}
    found |= {(item.reference, item.candidate): item.count for item in task.confusions}
    if task.kind == "detection":
        for item in shown:
            left = sum(pair.count for pair in task.confusions if pair.reference == item.index)
            came = sum(pair.count for pair in task.confusions if pair.candidate == item.index)
            found[item.index, NONE] = max(0, item.reference - item.both - left)
            found[NONE, item.index] = max(0, item.candidate - item.both - came)
    return found


def _drawn(places: Sequence[int], counts: Counts, names: Mapping[int, str], more: int) -> Markup:
    size = CELL * len(places)
    totals = {row: sum(counts.get((row, column), 0) for column in places) for row in places}
    cells = Markup("").join(
        _cell(LEFT + x * CELL, TOP + y * CELL, counts[row, column], totals[row], names[row], names[column])
        for y, row in enumerate(places)
        for x, column in enumerate(places)
        if counts.get((row, column))
    )
    heads = Markup("").join(_head(place, names[index]) for place, index in enumerate(places))
    words = f"confusion matrix of {len(places)} classes" + (f", {more} more are not shown" if more else "")
    return Markup(
        '<svg class="confusion" viewBox="0 0 {w} {h}" role="img" aria-label="{words}">'
        '<rect class="frame" x="{left}" y="{top}" width="{size}" height="{size}"/>{heads}{cells}'
        '<text x="{left}" y="10">converted →</text>'
        '<text transform="rotate(-90 10 {bottom})" x="10" y="{bottom}">float →</text></svg>'
    ).format(
        w=LEFT + size + 2, h=TOP + size + 2, left=LEFT, top=TOP, size=size, bottom=TOP + size,
        heads=heads, cells=cells, words=words,
    )  # fmt: skip


def _head(place: int, name: str) -> Markup:
    short = name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"
    at = place * CELL + CELL / 2
    return Markup(
        '<text x="{left}" y="{y}" text-anchor="end">{short}<title>{name}</title></text>'
        '<text transform="translate({x} {top}) rotate(-45)">{short}<title>{name}</title></text>'
    ).format(left=LEFT - 6, y=TOP + at + 4, x=LEFT + at + 2, top=TOP - 6, short=short, name=name)


def _cell(x: float, y: float, count: int, total: int, row: str, column: str) -> Markup:
    share = count / max(total, 1)
    kind = "same" if row == column else "other"
    return Markup(
        '<g><title>{words}</title><rect class="{kind}" fill-opacity="{dark:.2f}" x="{x}" y="{y}" width="{s}" '
        'height="{s}"/><text class="{look}" x="{tx}" y="{ty}" text-anchor="middle">{count}</text></g>'
    ).format(
        words=f"float: {row}, converted: {column}: {count} of {total}",
        kind=kind, dark=0.12 + 0.88 * share, x=x, y=y, s=CELL, tx=x + CELL / 2, ty=y + CELL / 2 + 4,
        look="on" if share > 0.55 else "", count=_short(count),
    )  # fmt: skip


def _short(count: int) -> str:
    """A count that fits a cell: pixels go into millions."""
    for unit, word in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit:
            return f"{count / unit:.0f}{word}" if count >= 10 * unit else f"{count / unit:.1f}{word}"
    return str(count)
