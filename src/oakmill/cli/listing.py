"""Prints lists: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")

_WHOLE = ("id", "model")
"""Columns that are copied into the next command."""
_FOR_FILES = 240


def print_line(kind: str, content: Any) -> None:
    """Print a line of JSON that says what it is, at once."""
    click.echo(json.dumps({kind: content}, ensure_ascii=False))
    sys.stdout.flush()


def print_rows(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print rows that all have the same columns."""
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in found[0] if found else ():
        longest = max(len(str(row[name])) for row in found)
        rows.add_column(name, overflow="fold", min_width=longest if name in _WHOLE else None)
    for row in found:
        rows.add_row(*(escape(str(value if value is not None else "")) for value in row.values()))
    console = Console()
    if not console.is_terminal:
        console.width = _FOR_FILES
    console.print(rows if found else "none")


def print_facts(facts: dict[str, Any]) -> None:
    """Print what is known of one thing, a line each, without what is empty."""
    for name, value in facts.items():
        if value not in (None, "", (), []):
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            click.echo(f"{click.style(f'{name:<12}', dim=True)} {shown}")


def size_of(count: int | None) -> str:
    """A number of bytes in words."""
    return "" if count is None else f"{count / 1e6:.2f} MB"
