"""The passport as one HTML page that needs nothing else: no request leaves it, its images and styles are inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from oakmill.conversion.passport import charts, confusion_chart, network_charts, pixels
from oakmill.conversion.passport.agreement import OutputAgreement
from oakmill.conversion.passport.cost import amount, size
from oakmill.conversion.passport.labelled import Accuracy
from oakmill.conversion.passport.ladder import notes
from oakmill.conversion.passport.report import Check, Passport
from oakmill.conversion.passport.tasks import ClassAgreement, Sighting, TaskAgreement
from oakmill.findings import Severity

FOLDER = Path(__file__).parent
HEATS, CLASSES = 6, 20
"""Outputs whose values are drawn, and classes that are listed: the page of a model with dozens stays readable."""
TOP_DB = 60.0
"""The SNR at which a bar is full: beyond, two outputs are equal to any application."""

Address = Callable[[str], str]
"""Where the image of that name is to be had."""
STYLE = FOLDER / "passport.css"
"""The style of what `body` gives."""


def render(passport: Passport, facts: Mapping[str, Any]) -> str:
    """The page.

    Args:
        passport: what it shows.
        facts: what is known of model and conversion, in the order to be shown: a word for each value, which is text,
            a number, a list or a mapping. `name` is the page's title; mappings get a table of their own.
    """
    return _drawn(
        "page.html.j2",
        passport,
        title=str(facts.get("name") or "Accuracy passport"),
        facts={key: value for key, value in facts.items() if key != "name" and not isinstance(value, Mapping)},
        tables={key: value for key, value in facts.items() if isinstance(value, Mapping) and value},
    )


def body(passport: Passport, address: Address | None = None) -> Markup:
    """What it says, for a page of somebody else's: `STYLE` belongs to it, within an element of the class `passport`.

    Where the page has its images at addresses of their own, they are taken from there.
    """
    return Markup(_drawn("passport.html.j2", passport, address))


def sights(passport: Passport, address: Address | None = None) -> Markup:
    """The images that show best what the model does, as `body` has them; nothing where it has none."""
    pictures = Pictures(passport.thumbnails, address)
    shown = [item for item in passport.best if item.image in passport.thumbnails]
    made = _environment().get_template("sights.html.j2").render(passport=passport, pictures=pictures, shown=shown)
    return Markup(made) if shown else Markup("")


def _drawn(template: str, passport: Passport, address: Address | None = None, **more: Any) -> str:
    search = passport.calibration.get("search") or {}
    return (
        _environment()
        .get_template(template)
        .render(
            passport=passport,
            headlines=headlines(passport),
            rows=_rows(passport),
            heats=_heats(passport),
            spreads=_spreads(passport),
            curve=charts.curve(search.get("curve", ()), len(search.get("kept_in_16_bits", ()))),
            search=search,
            steps=charts.steps(passport.ladder),
            pictures=Pictures(passport.thumbnails, address),
            ladder_notes=notes(passport.ladder),
            calibration={key: value for key, value in passport.calibration.items() if key != "search"},
            classes=_classes,
            **more,
        )
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        words=_words, db=_db, small=_small, fill=_fill, upper_first=_upper_first, amount=amount, size=size
    )
    made.tests.update(known=math.isfinite)
    style = "".join((FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", STYLE.name))
    made.globals.update(
        css=Markup(style),
        matrix=confusion_chart.matrix,
        along=network_charts.bars,
        network=network_charts.graph,
        span=network_charts.span,
    )
    return made


def headlines(passport: Passport) -> list[tuple[str, str, str, Severity | None]]:
    """The few numbers on top: words, the number, by what method, and its verdict."""
    found: list[tuple[str, str, str, Severity | None]] = [
        (
            metric.words,
            metric.text,
            f"by {name}",
            metric.verdict if task.decides and metric.judged else None,
        )
        for name, task in sorted(passport.tasks, key=lambda item: not item[1].decides)
        for metric in list(task.metrics.values())[: 2 if len(passport.tasks) == 1 else 1]
    ]
    for check in passport.checks:
        if worst := min(check.outputs, key=_worst_first, default=None):
            verdict = None if check.task_of(worst) else check.verdict_on(worst)
            found.append(("lowest SNR of an output", _db(worst.judged_db), f"by {check.name}", verdict))
    by_labels = [
        (f"{item.headline.words} by labels", item.headline.said(item.headline.candidate), _than_float(item), None)
        for item in ([passport.accuracy[1]] if passport.accuracy else [])
    ]
    images, found = passport.images, [*by_labels, *found]
    return [*found[:3], ("images", str(len(images.names)), images.held_out or images.source, None)]


def _than_float(found: Accuracy) -> str:
    """What the float model has, for comparison."""
    score = found.headline
    return "" if math.isnan(score.reference) else f"float {score.said(score.reference)}, {found.images} images"


def _worst_first(output: OutputAgreement) -> float:
    return _order(output.judged_db)


def _order(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _rows(passport: Passport) -> list[tuple[str, list[tuple[Check, OutputAgreement | None]]]]:
    """One row for each output that any check measured, with each check's numbers or none; the worst come first."""
    outputs = sorted((output for check in passport.checks for output in check.outputs), key=_worst_first)
    names = dict.fromkeys(output.name for output in outputs)
    tables = [(check, {output.name: output for output in check.outputs}) for check in passport.checks]
    return [(name, [(check, table.get(name)) for check, table in tables]) for name in names]


def _heats(passport: Passport) -> list[tuple[str, str, Markup]]:
    """Converted against float values: of the first check that counted them."""
    found = [
        (check.name, output.name, charts.heat(output.values))
        for check in passport.checks[:1]
        for output in check.outputs
        if output.values.drawing
    ]
    return found[:HEATS]


def _spreads(passport: Passport) -> list[tuple[str, str, Markup]]:
    """Image by image: a task's agreement where there is one, else the outputs' SNR."""
    found = []
    for check in passport.checks:
        shown = [task for task in check.tasks if len(task.by_image) > 1]
        found += [(check.name, f"{task.name}: agreement by image", charts.spread(task.by_image)) for task in shown]
        covered = {name for task in shown for name in task.outputs}
        found += [
            (check.name, f"{output.name}: SNR by image", charts.spread(output.by_image_snr_db, decibel=True))
            for output in check.outputs
            if output.name not in covered and len(output.by_image_snr_db) > 1
        ]
    return found[:HEATS]


def _classes(task: TaskAgreement) -> tuple[ClassAgreement, ...]:
    """All classes where they are few; else those on which the two differ most, then the most frequent."""
    if len(task.classes) <= CLASSES:
        return task.classes
    by_loss = sorted(task.classes, key=lambda item: (2 * item.both - item.reference - item.candidate, -item.reference))
    return tuple(by_loss[:CLASSES])


class Pictures:
    """The images of a page: each is in it once, or at an address of its own, and is drawn upon as often as wanted."""

    def __init__(self, thumbnails: Mapping[str, str], address: Address | None) -> None:
        self._address = address
        self._sizes = {name: pixels.size(url) for name, url in thumbnails.items()}
        self._thumbnails = thumbnails
        self._used: dict[str, None] = {}

    def of(self, name: str, sighting: Sighting, words: str) -> Markup:
        """The image of that name with what a model says of it; nothing where there is no such image."""
        if name not in self._sizes:
            return Markup("")
        self._used[name] = None
        image = Markup('<use href="#{}"/>').format(self._id(name))
        if self._address:
            image = charts.layer(self._address(name), self._sizes[name])
        return charts.picture(image, self._sizes[name], sighting, f"{name}: {words}")

    @property
    def defined(self) -> Markup:
        """The images themselves that were drawn upon so far, where they have no address."""
        if self._address or not self._used:
            return Markup("")
        images = (charts.layer(self._thumbnails[name], self._sizes[name], self._id(name)) for name in self._used)
        made = Markup('<svg width="0" height="0" aria-hidden="true"><defs>{}</defs></svg>')
        return made.format(Markup("").join(images))

    def _id(self, name: str) -> str:
        return f"image-{list(self._sizes).index(name)}"


def _words(value: Any) -> str:
    """A value as people read it."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value)) or "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_words(item)}" for key, item in value.items()) or "none"
    return {True: "yes", False: "no", None: "none"}.get(value, str(value)) if _plain(value) else str(value)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _db(value: float) -> str:
    if math.isinf(value) and value > 0:
        return "equal"
    return f"{value:.1f} dB" if math.isfinite(value) else "none"


def _small(value: float) -> str:
    return f"{value:.3g}"


def _fill(value: float) -> float:
    """How full an SNR's bar is, 0 to 1."""
    return min(max(_order(value), 0.0), TOP_DB) / TOP_DB


def _upper_first(words: str) -> str:
    return words[:1].upper() + words[1:]
