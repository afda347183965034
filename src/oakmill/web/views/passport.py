"""The accuracy passport as its page shows it: checks with their outputs sorted by the worst, tasks, charts' numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oakmill.web.views.job import decibel, decibel_text, headlines
from oakmill.web.views.passport_images import Drawing, Pair

TOP_DB = 60.0
"""The SNR at which a bar is full: beyond, two outputs are equal to any application."""
CLASSES = 20
BARS = 128
CURVE_WIDTH, CURVE_HEIGHT = 360.0, 150.0


@dataclass(frozen=True)
class Bar:
    """One image in a chart: where its bar stands and how high, in parts of the chart; words for who points at it."""

    x: float
    height: float
    words: str
    look: str


@dataclass(frozen=True)
class Output:
    """One output by one check."""

    name: str
    snr: float
    cosine: float | None
    max_abs: Any
    verdict: str
    is_shown_only: bool
    worst: str
    bars: tuple[Bar, ...]

    @property
    def words(self) -> str:
        """The SNR as people read it."""
        return decibel_text(self.snr)

    @property
    def share(self) -> float:
        """How full its bar is."""
        return share_of(self.snr)


@dataclass(frozen=True)
class Check:
    """One method with what it measured, the worst output first."""

    document: Mapping[str, Any]
    outputs: tuple[Output, ...]

    @property
    def decides(self) -> bool:
        """Whether its SNR has a bound that means something."""
        return bool(self.document.get("ok_from_db", 0) > 0)


@dataclass(frozen=True)
class Point:
    """One plan of the quantizer's search, with its place in the chart."""

    x: float
    y: float
    tensors: int
    megabytes: float
    decibels: float
    is_chosen: bool


@dataclass(frozen=True)
class View:
    """All that the passport's tab shows."""

    document: Mapping[str, Any]
    headlines: list[tuple[str, str, str]]
    checks: tuple[Check, ...]
    pictures: Mapping[str, Sequence[Drawing]]
    curve: tuple[Point, ...]
    search: Mapping[str, Any]

    @property
    def tasks(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Every task, with the method that measured it."""
        return [(check.document["name"], task) for check in self.checks for task in check.document.get("tasks", [])]

    @property
    def classes(self) -> list[tuple[str, Mapping[str, Any], list[Mapping[str, Any]]]]:
        """The first task's classes, those on which the two differ most in front."""
        return [(name, task, classes(task)) for name, task in self.tasks[:1] if len(task.get("classes", [])) > 1]

    @property
    def worst(self) -> list[tuple[str, Mapping[str, Any]]]:
        """The tasks that have images to show: of the first check, which saw the most of them."""
        return [(name, task) for name, task in self.tasks[:1] if task.get("worst")]


def of(document: Mapping[str, Any], recipe: Mapping[str, Any], pictures: Sequence[Pair]) -> View:
    """The view of a passport, with the search that its recipe records and its page's pictures."""
    names = document.get("images", {}).get("names", [])
    found = (recipe.get("calibration") or {}).get("search") or (document.get("calibration") or {}).get("search") or {}
    kept = len(found.get("kept_in_16_bits", ()))
    return View(
        document,
        headlines(document),
        tuple(_check(check, names) for check in document.get("checks", [])),
        {pair.image: pair.drawings for pair in pictures},
        _curve(found.get("curve", ()), kept),
        found,
    )


def share_of(snr: float) -> float:
    """How full an SNR's bar is, 0 to 1."""
    return 0.0 if math.isnan(snr) else min(max(snr, 0.0), TOP_DB) / TOP_DB


def classes(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The classes on which the two differ most, then the most frequent."""
    found = task.get("classes", [])
    by_loss = sorted(
        found, key=lambda item: (2 * item["both"] - item["reference"] - item["candidate"], -item["reference"])
    )
    return by_loss[:CLASSES]


def _check(check: Mapping[str, Any], names: Sequence[str]) -> Check:
    outputs = [_output(check, output, names) for output in check.get("outputs", [])]
    return Check(check, tuple(sorted(outputs, key=lambda item: -math.inf if math.isnan(item.snr) else item.snr)))


def _output(check: Mapping[str, Any], output: Mapping[str, Any], names: Sequence[str]) -> Output:
    cosine = output.get("cosine")
    return Output(
        name=str(output["name"]),
        snr=decibel(output.get("snr_db")),
        cosine=cosine if isinstance(cosine, float | int) else None,
        max_abs=output.get("max_abs"),
        verdict=str(output.get("verdict", "")),
        is_shown_only=output.get("decided_by") == "task" or not check.get("ok_from_db", 0) > 0,
        worst=str(output.get("worst", "")),
        bars=_bars(output.get("by_image_snr_db", ()), names, check),
    )


def _bars(values: Sequence[Any], names: Sequence[str], check: Mapping[str, Any]) -> tuple[Bar, ...]:
    """The images from the worst to the best; of very many, as many as can be told apart."""
    levels = [decibel(value) for value in values]
    named = [names[place] if place < len(names) else f"image {place + 1}" for place in range(len(levels))]
    order = sorted(zip(levels, named, strict=True), key=lambda item: -math.inf if math.isnan(item[0]) else item[0])
    shown = order[:: max(1, math.ceil(len(order) / BARS))]
    return tuple(
        Bar(place / len(shown), share_of(level), f"{name}: {decibel_text(level)}", _look(level, check))
        for place, (level, name) in enumerate(shown)
    )


def _look(level: float, check: Mapping[str, Any]) -> str:
    if math.isnan(level) or level < check.get("error_below_db", 0):
        return "error"
    return "warning" if level < check.get("ok_from_db", 0) else "ok"


def _curve(points: Sequence[Mapping[str, Any]], kept: int) -> tuple[Point, ...]:
    """Size to the right, agreement upwards."""
    if len(points) < 2:
        return ()
    sizes = [float(point["activations_mb"]) for point in points]
    levels = [float(point["agreement_db"]) for point in points]
    wide, high = max(sizes) - min(sizes) or 1.0, max(levels) - min(levels) or 1.0
    return tuple(
        Point(
            round((size - min(sizes)) / wide * CURVE_WIDTH, 1),
            round(CURVE_HEIGHT - (level - min(levels)) / high * CURVE_HEIGHT, 1),
            int(point["tensors"]),
            size,
            level,
            point["tensors"] == kept,
        )
        for point, size, level in zip(points, sizes, levels, strict=True)
    )
