"""Shows an accuracy passport on the terminal: the verdict with its reasons, what was decided, output by output."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from oakmill.cli.severities import COLOURS, MARKS
from oakmill.conversion.passport import Check, OutputAgreement, Passport, TaskAgreement
from oakmill.conversion.passport.cost import Cost
from oakmill.conversion.passport.ladder import Rung, notes
from oakmill.findings import Finding, Severity

OUTPUTS = 24
"""Outputs that get a row; a model with more has them all in the passport's file."""
SIDE_BY_SIDE = 2
"""Checks up to which each has all its columns; of more, as with a camera beside this machine, the SNR says enough."""


def passport_table(passport: Passport) -> Group:
    """The passport in some ten lines: what is wrong stands first, what the columns mean last."""
    return Group(*_parts(passport))


def _parts(passport: Passport) -> Iterator[RenderableType]:
    verdict, seen = passport.verdict, passport.images
    held_out = f"; {escape(seen.held_out)}" if seen.held_out else ""
    images = f"{len(seen.names)} images ({escape(seen.source)}){held_out}"
    yield f"Accuracy passport: [bold {COLOURS[verdict]}]{verdict}[/] on {images}"
    yield from _on_camera(passport)
    yield from _ladder(passport.ladder)
    yield from _by_labels(passport)
    for finding in passport.findings:
        yield from _finding(finding)
    for check in passport.checks:
        for reason in check.output_reasons:
            yield _indented("!", escape(reason), COLOURS[check.verdict])
    for overflow in passport.fp16_overflows:
        yield _indented("!", escape(str(overflow)), "yellow")
    for method, task in passport.tasks:
        yield from _task(method, task)
    for row in passport.parsers:
        node = f" [dim]({escape(row.node)})[/]" if row.measured else ""  # else it stands in the words
        yield _indented("·", f"[bold]As an app sees it[/]: {escape(row.words)}{node}", "dim")
    yield _outputs(passport)
    yield from _cost(passport.cost)
    for check in passport.checks:
        yield f"[dim]{escape(check.name)}: {escape(check.method)}.[/]"
    if any(check.task_of(output) for check in passport.checks for output in check.outputs):
        yield "[dim]An SNR without colour is shown only: there the task above decides.[/]"
    if passport.not_proven:
        yield f"[dim]Not proven: {escape('; '.join(passport.not_proven))}.[/]"


def _on_camera(passport: Passport) -> Iterator[RenderableType]:
    if passport.measured_on:
        yield _indented("·", f"[bold]On a camera[/]: {escape(passport.measured_on.words)}", "dim")


def _cost(cost: Cost | None) -> Iterator[RenderableType]:
    if cost is None:
        return
    yield _indented("·", f"[bold]On the chip[/]: {escape(cost.words)}", "dim")
    for more in (cost.runs_on, cost.expected.words if cost.expected else cost.untimed):
        if more:
            yield _indented("", escape(more), "dim")


def _ladder(rungs: Sequence[Rung]) -> Iterator[RenderableType]:
    """The number formats that were tried, if any were; columns that nothing is known for are omitted."""
    if not rungs:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    timed = any(not math.isnan(rung.milliseconds) for rung in rungs)
    for heading in ("", "format, in the order of trying", "accuracy", "MB", *(["≈ ms"] if timed else [])):
        table.add_column(heading, justify="right" if heading in ("MB", "≈ ms") else "left", overflow="fold")
    for rung in rungs:
        mark, colour = (MARKS[rung.verdict], COLOURS[rung.verdict]) if rung.verdict else ("·", "dim")
        size = f"{rung.size / 1e6:.2f}" if rung.size else ""
        spent = [f"{rung.milliseconds:.2f}" if not math.isnan(rung.milliseconds) else ""] if timed else []
        words = f"{rung.precision}{' (taken)' if rung.fit else ''}"
        cells = (escape(words), escape(rung.measured or f"not made: {rung.refused}"), size, *spent)
        table.add_row(f"[{colour}]{mark}[/]", *cells)
    yield table
    for note in notes(rungs):
        yield _indented("", f"[dim]{escape(note)}[/]", "default")


def _by_labels(passport: Passport) -> Iterator[RenderableType]:
    """What labels say: a line for each metric, float and converted."""
    for method, found in ((check.name, item) for check in passport.checks for item in check.accuracies):
        about = f"[dim]({escape(method)}, {found.images} images, {escape(found.labels)}; {escape(found.note)})[/]"
        yield _indented("·", f"[bold]{escape(found.name)} by labels[/] {about}", "dim")
        for score in found.scores:
            yield _indented("", escape(score.text), "default")


def _finding(finding: Finding) -> Iterator[RenderableType]:
    colour = COLOURS[finding.severity]
    yield _indented(MARKS[finding.severity], f"[bold]{escape(finding.title)}[/]: {escape(finding.message)}", colour)
    if finding.remedy:
        yield _indented("", f"[dim]what helps: {escape(finding.remedy)}[/]", colour)


def _task(method: str, task: TaskAgreement) -> Iterator[RenderableType]:
    """Its name, then a line for each number, with the bound that it missed."""
    colour = COLOURS[task.verdict] if task.decides else "dim"
    sign = MARKS[task.verdict] if task.decides else "·"
    about = f"[dim]({escape(method)}, {task.images} images; {escape(task.note)})[/]"
    yield _indented(sign, f"[bold]{escape(task.name)}[/] {about}", colour)
    numbers = Table.grid(padding=(0, 2, 0, 0))
    numbers.add_column(justify="right", min_width=10, no_wrap=True)
    numbers.add_column(overflow="fold")
    for metric in task.metrics.values():
        judged = task.decides and metric.judged
        missed = judged and metric.verdict is not Severity.OK
        bound = f" [dim]({metric.bound(metric.verdict)})[/]" if missed else ""
        numbers.add_row(f"[{COLOURS[metric.verdict] if judged else 'default'}]{metric.text}[/]", metric.words + bound)
    yield numbers


def _indented(sign: str, markup: str, colour: str) -> Table:
    """A line with a sign before it, whose further lines begin under its first word."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    grid.add_row(Text(sign, style=colour), markup)
    return grid


def _outputs(passport: Passport) -> Table:
    """One row for each output, with columns for each check."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("\noutput", overflow="fold", min_width=6)
    checks = passport.checks
    with_top1 = any(output.top1 is not None for check in checks for output in check.outputs if not check.tasks)
    columns = 3 + with_top1 if len(checks) <= SIDE_BY_SIDE else 1
    for check in checks:
        for heading in (f"{escape(check.name)}\nSNR dB", "\ncosine", "\nmax diff", "\ntop-1")[:columns]:
            table.add_column(heading, justify="right", no_wrap=True)
    found = [{output.name: output for output in check.outputs} for check in checks]
    names = list(dict.fromkeys(name for outputs in found for name in outputs))
    for name in names[:OUTPUTS]:
        cells = [_cells(check, outputs.get(name)) for check, outputs in zip(checks, found, strict=True)]
        table.add_row(escape(name), *(cell for row in cells for cell in row[:columns]))
    if len(names) > OUTPUTS:
        table.add_row(f"[dim]and {len(names) - OUTPUTS} more[/]")
    return table


def _cells(check: Check, output: OutputAgreement | None) -> tuple[str, str, str, str]:
    if output is None:
        return ("", "", "", "")
    colour = "default" if check.task_of(output) else COLOURS[check.verdict_on(output)]
    snr = "equal" if output.snr_db == math.inf else f"{output.snr_db:.1f}"
    snr += f" ({output.about_mean_db:.1f})" if check.is_flattered(output) else ""
    top1 = f"{output.top1:.0%}" if output.top1 is not None else ""
    return f"[{colour}]{snr}[/]", f"{output.cosine:.5f}", f"{output.max_abs:.2g}", top1
