"""`oakmill cache`: what the cache of results holds, and how to empty it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from oakmill.conversion.cache.store import Item

_WORDS = {
    "results": "whole conversions",
    "questions": "what they read",
    "prepare": "prepared graphs",
    "ranges": "measured ranges",
    "calibrate": "searched quantizations",
    "compile": "compiled files",
    "measure": "accuracy measurements",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show and empty the cache of results; its size is the setting cache_max_mb."""


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(as_json: bool) -> None:
    """Show what is in it."""
    from oakmill.conversion.cache.store import Store
    from oakmill.settings import current

    store = Store.of(current())
    kinds = _by_kind(store.contents())
    if as_json:
        click.echo(json.dumps({"folder": str(store.folder), "max_bytes": store.max_bytes, "kinds": kinds}))
        return
    for kind, found in kinds.items():
        click.echo(f"{_WORDS.get(kind, kind):<24} {found['count']:>6} {found['bytes'] / 1e6:>10.1f} MB")
    total = sum(found["bytes"] for found in kinds.values())
    click.echo(f"{total / 1e6:.1f} MB of at most {store.max_bytes / 1e6:.0f} MB in {store.folder}")


@command.command("clear")
def clear() -> None:
    """Remove everything in it."""
    from oakmill.conversion.cache.store import Store
    from oakmill.settings import current

    store = Store.of(current())
    click.echo(f"{store.clear() / 1e6:.1f} MB removed from {store.folder}")


def _by_kind(contents: Iterable[Item]) -> dict[str, dict[str, int]]:
    ordered = sorted(contents, key=lambda item: item.kind)
    grouped = {kind: list(items) for kind, items in groupby(ordered, key=lambda item: item.kind)}
    return {kind: {"count": len(items), "bytes": sum(item.bytes for item in items)} for kind, items in grouped.items()}
