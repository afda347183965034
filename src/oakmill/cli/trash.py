"""`oakmill trash`: what was deleted in a hub, restored or deleted for good."""

from __future__ import annotations

import click

from oakmill.cli.connecting import connected, hub_option
from oakmill.cli.listing import json_option, print_rows, size_of


@click.group(name="trash")
def command() -> None:
    """What was deleted in a hub and can be restored: models, variants, versions, instances, calibration sets."""


@command.command(name="list")
@json_option
@hub_option
def list_(as_json: bool, url: str | None) -> None:
    """Show what lies in the trash, what was deleted last first."""
    with connected(url) as hub:
        found = hub.trash.list()
    rows = [
        {
            "what": entry.kind,
            "name": entry.name,
            "size": size_of(entry.size),
            "deleted": f"{entry.at:%Y-%m-%d %H:%M}",
            "by": entry.who,
            "why": entry.why,
            "until": f"{entry.until:%Y-%m-%d}" if entry.until else None,
            "id": entry.id,
        }
        for entry in found
    ]
    print_rows([entry.model_dump(mode="json") for entry in found] if as_json else rows, as_json=as_json)


@command.command()
@click.argument("entry", metavar="ID")
@click.option("--name", help="Another name, or number of a version, where its own is taken by now.")
@hub_option
def restore(entry: str, name: str | None, url: str | None) -> None:
    """Bring back what was deleted together, by the ID of its entry."""
    with connected(url) as hub:
        back = hub.trash.restore(entry, name=name)
    click.echo(f"{back.kind} {name or back.name} is back")


@command.command()
@click.argument("entry", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All that the team's trash holds; for its admins.")
@hub_option
def empty(entry: str | None, everything: bool, url: str | None) -> None:
    """Delete for good: the entry of that ID, or with --all everything."""
    if (entry is None) is not everything:
        raise click.UsageError("Name the ID of an entry, or say --all.")
    with connected(url) as hub:
        if entry is None:
            hub.trash.empty()
        else:
            hub.trash.purge(entry)
    click.echo("deleted for good; its bytes are freed within the day")
