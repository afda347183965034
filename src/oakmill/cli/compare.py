"""`oakmill compare`: two results side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from oakmill.conversion.output.compare import Comparison, Row

_MOST = 40
"""Lines of one section that are shown; --json has all."""


@click.command(context_settings={"max_content_width": 110})
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option("--all", "everything", is_flag=True, help="Show every line.")
def command(a: Path, b: Path, as_json: bool, everything: bool) -> None:
    """Compare two results A and B: their spec, tools, size, graph and accuracy.

    Each is an NN Archive, a bare converted file, a passport.json, a recipe.yaml, or a folder that holds one result.
    """
    from oakmill.conversion.output.compare import compare
    from oakmill.settings import current

    found = compare(a, b, current())
    if as_json:
        click.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _show(found, everything=everything)


def _show(found: Comparison, *, everything: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", f"A: {escape(found.a)}", f"B: {escape(found.b)}"):
        table.add_column(heading, overflow="fold")
    for section in ("spec", "tools", "size", "graph", "accuracy", "files"):
        rows = [row for row in found.rows if row.section == section]
        table.add_row(f"[bold]{section}[/]" + ("" if rows else " [dim]the same[/]"))
        shown = rows if everything else rows[:_MOST]
        for row in shown:
            table.add_row(*_cells(row))
        if len(rows) > len(shown):
            table.add_row(f"[dim]  and {len(rows) - len(shown)} more: --all[/]")
    console.print(table)
    console.print("The converted files are the same bytes." if found.equal else "The converted files differ.")


def _cells(row: Row) -> tuple[str, str, str]:
    from rich.markup import escape

    style = "dim" if row.same else "yellow"
    return f"  {escape(row.what)}", escape(row.a), f"[{style}]{'same' if row.same else escape(row.b)}[/]"
