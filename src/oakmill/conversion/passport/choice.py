"""Which of several finished number formats of one model to take, in words: the fastest that keeps its accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from oakmill.conversion.passport import bar
from oakmill.conversion.passport.ladder import Rung
from oakmill.conversion.passport.report import Passport
from oakmill.findings import Severity

_MORE = 0.0005
"""Of the metric: what is worth a word, as numbers are shown with one digit behind the point."""


def rung_of(passport: Passport, precision: str, size: int, max_drop: float | None = None) -> Rung:
    """A finished conversion as a row beside others; `size` in bytes, `max_drop` as the spec has it."""
    expected = passport.cost.expected if passport.cost else None
    kept = lost = low = high = math.nan
    if drop := bar.drop_of(passport):
        found = passport.accuracy
        kept = found[1].headline.candidate if found and drop.by_labels else 1 - drop.value
        lost, low, high = drop.value, drop.low, drop.high
    fit = bar.is_fit(passport, max_drop)
    return Rung(
        precision,
        passport.verdict,
        measured(passport),
        size,
        fit=fit,
        kept=kept,
        lost=lost,
        lost_low=low,
        lost_high=high,
        milliseconds=expected.milliseconds if expected else math.nan,
        untimed=passport.cost.untimed if passport.cost else "",
        unfit="" if fit else next(iter(passport.reasons), ""),
    )


def measured(passport: Passport) -> str:
    """The number that says most, in words; empty where nothing was measured."""
    if (found := passport.accuracy) and not bar.is_foreign(found[1]):
        return found[1].headline.text
    task = next((task for _, task in passport.tasks if task.measured), None)
    if task is not None:
        return f"{task.headline.words} {task.headline.text}"
    outputs = [output.snr_db for check in passport.checks[:1] for output in check.outputs]
    return f"worst output {min(outputs):.1f} dB" if outputs else ""


def best(rungs: Sequence[Rung]) -> Rung | None:
    """The one to take: the fastest that is fit, else the one that loses least; None where none was made.

    `rungs` are in the order of their speed, the fastest first, as far as no time is expected.
    """
    made = [rung for rung in rungs if rung.verdict is not None]
    fit = [rung for rung in made if rung.fit]
    if fit:
        timed = not any(math.isnan(rung.milliseconds) for rung in fit)
        return min(fit, key=lambda rung: rung.milliseconds) if timed else fit[0]
    return min(made, key=lambda rung: (_rank(rung), _lost(rung)), default=None)


def in_words(title: str, rungs: Sequence[Rung]) -> str:
    """The choice for one platform in a sentence or two; empty where nothing was made. `rungs` as in `best`."""
    words = advice(rungs)
    return f"{title}: {words}" if words else ""


def advice(rungs: Sequence[Rung]) -> str:
    """The same without the platform's name before it."""
    taken = best(rungs)
    if taken is None:
        return ""
    others = [rung for rung in rungs if rung.verdict is not None and rung is not taken]
    if not taken.fit and not others:
        return f"{taken.precision} is not ok: {_facts(taken)}. Read its passport before use."
    if not taken.fit:
        return f"none is ok; {taken.precision} loses least ({_facts(taken)}). Read its passport before use."
    beside = (
        "the fastest that keeps the accuracy"
        if any(rung.fit for rung in others)
        else "the only one that keeps the accuracy"
    )
    said = f"take {taken.precision}: {_facts(taken)}{f', {beside}' if others else ''}."
    if taken.verdict is not Severity.OK:
        said += " Its passport warns; read it first."
    closer = min((rung for rung in others if rung.fit and _gains(rung, taken)), key=_lost, default=None)
    if closer is None:
        return said
    return f"{said} {closer.precision} where every decision counts: {_facts(closer)}."


def _facts(rung: Rung) -> str:
    keeps = f"keeps {rung.kept:.1%}" if not math.isnan(rung.kept) else rung.measured
    time = f"about {rung.milliseconds:.2g} ms" if not math.isnan(rung.milliseconds) else ""
    return ", ".join(part for part in (keeps, f"{rung.size / 1e6:.2f} MB", time) if part)


def _gains(rung: Rung, taken: Rung) -> bool:
    return not math.isnan(rung.lost) and rung.lost < taken.lost - _MORE


def _rank(rung: Rung) -> int:
    return rung.verdict.rank if rung.verdict else 0


def _lost(rung: Rung) -> float:
    return math.inf if math.isnan(rung.lost) else rung.lost
