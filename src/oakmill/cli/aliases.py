"""`oakmill aliases`: names such as prod that point to a model's versions, moved, led back and looked back on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oakmill.cli.connecting import connected, hub_option
from oakmill.cli.listing import json_option, print_rows

if TYPE_CHECKING:
    from oakmill.client import Alias, Hub

why_option = click.option("--why", default="", metavar="TEXT", help="The reason, for the history.")


@click.group(name="aliases")
def command() -> None:
    """Names that point to a model's versions, as prod and staging, and are asked for as team/model:variant@prod."""


@command.command(name="list")
@click.argument("model")
@json_option
@hub_option
def list_(model: str, as_json: bool, url: str | None) -> None:
    """Show a MODEL's aliases: where each points to, since when and by whom."""
    from oakmill.cli.places import find_model

    with connected(url) as hub:
        found = hub.aliases.list(find_model(hub, model).id)
    rows = [
        {
            "alias": f"{alias.variant_slug}@{alias.name}",
            "version": alias.version,
            "since": f"{alias.moved:%Y-%m-%d %H:%M}",
            "by": alias.moved_by,
            "before": alias.before,
            "why": alias.why,
        }
        for alias in found
    ]
    print_rows([alias.model_dump(mode="json") for alias in found] if as_json else rows, as_json=as_json)


@command.command()
@click.argument("model")
@json_option
@hub_option
def history(model: str, as_json: bool, url: str | None) -> None:
    """Show who moved a MODEL's aliases, when, from where to where and why; the latest first."""
    from oakmill.cli.places import find_model

    with connected(url) as hub:
        found = hub.aliases.history(find_model(hub, model).id)
    rows = [
        {
            "when": f"{move.at:%Y-%m-%d %H:%M}",
            "alias": f"{move.variant_slug}@{move.name}",
            "from": move.from_version,
            "to": move.to_version,
            "by": move.who,
            "why": move.why,
        }
        for move in found
    ]
    print_rows([move.model_dump(mode="json") for move in found] if as_json else rows, as_json=as_json)


@command.command(name="set")
@click.argument("address")
@click.argument("alias")
@why_option
@json_option
@hub_option
def set_(address: str, alias: str, why: str, as_json: bool, url: str | None) -> None:
    """Point ALIAS to the version at ADDRESS: team/model:variant:version, or without a version the highest."""
    from oakmill.cli.places import find_version

    with connected(url) as hub:
        moved = hub.aliases.move(find_version(hub, address).id, alias, why=why)
    _say(moved, as_json=as_json)


@command.command()
@click.argument("address")
@why_option
@json_option
@hub_option
def back(address: str, why: str, as_json: bool, url: str | None) -> None:
    """Point an alias, given as team/model:variant@alias, to where it pointed before."""
    with connected(url) as hub:
        there = _find(hub, address)
        moved = hub.aliases.back(there.variant_id, there.name, why=why, expected=there.version_id)
    _say(moved, as_json=as_json)


@command.command()
@click.argument("address")
@hub_option
def remove(address: str, url: str | None) -> None:
    """Take an alias away, given as team/model:variant@alias; its history stays."""
    with connected(url) as hub:
        there = _find(hub, address)
        hub.aliases.remove(there.variant_id, there.name)
    click.echo(f"{there.variant_slug}@{there.name} is taken away")


def _find(hub: Hub, text: str) -> Alias:
    """The alias at an address.

    Raises:
        SpecError: it is no alias's address, or several variants have one of that name.
        NotFound: there is none that the key sees.
    """
    from oakmill.cli.places import find_model
    from oakmill.errors import NotFound, SpecError
    from oakmill.registry.identifiers import Address

    at = Address.parse(text)
    if at.alias is None:
        raise SpecError(f"{text!r} names no alias.", subject=text, remedy="Write team/model:variant@alias.")
    found = [
        alias for alias in hub.aliases.list(find_model(hub, text).id)
        if alias.name == at.alias and at.variant in {None, alias.variant_slug}
    ]  # fmt: skip
    if not found:
        raise NotFound(f"There is no alias {text!r}.", subject=text, remedy="oakmill aliases list MODEL")
    if len(found) > 1:
        slugs = ", ".join(alias.variant_slug for alias in found)
        raise SpecError(f"Several variants have it: {slugs}.", subject=text, remedy="Write model:variant@alias.")
    return found[0]


def _say(moved: Alias, *, as_json: bool) -> None:
    if as_json:
        click.echo(moved.model_dump_json(indent=1))
        return
    before = f", before {moved.before}" if moved.before and moved.before_id != moved.version_id else ""
    click.echo(f"{moved.variant_slug}@{moved.name} points to {moved.version}{before}")
