"""`oakmill keys`: the operator's hand on keys and teams; works on the database itself, without a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.listing import json_option, print_rows
from oakmill.settings import current

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from oakmill.registry.tables import Team

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class _Span(click.ParamType[timedelta]):
    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        number, unit = str(value)[:-1], str(value)[-1:]
        if not number.isdecimal() or unit not in _UNITS or not 0 < int(number) < 100_000:
            self.fail(f"{value!r} is no span of time: 12h, 30d, 4w", param, ctx)
        return timedelta(**{_UNITS[unit]: int(number)})


@click.group(name="keys")
def command() -> None:
    """Create, list and revoke the hub's keys, and its teams."""


@command.command()
@click.argument("name")
@click.option("--team", default="default", show_default=True, help="The team that the key is for.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(["read", "convert", "admin"]), default=["read"],
    show_default=True, help="What the key allows; each includes those before it.",
)  # fmt: skip
@click.option("--model", help="The identifier or slug of the one model that the key is for.")
@click.option("--expires-in", type=_Span(), metavar="SPAN", help="12h, 30d, 4w; by default never.")
@json_option
def create(
    name: str, team: str, scopes: tuple[str, ...], model: str | None, expires_in: timedelta | None, as_json: bool
) -> None:
    """Make a key called NAME. It is shown this once."""
    from oakmill.registry import callers, keys, resolve, teams
    from oakmill.storage.database import now

    with hub_session() as session:
        owner = teams.named(session, team)
        model_id = resolve.model(session, callers.of_team(owner.id, owner.slug), model).id if model else None
        expires = now() + expires_in if expires_in else None
        key, raw = keys.create(session, owner, name=name, scopes=scopes, model_id=model_id, expires=expires)
        made = {"id": key.id, "name": key.name, "team": owner.slug, "scopes": key.scopes.split(","), "key": raw}
    click.echo(json.dumps(made, indent=1) if as_json else raw)


@command.command(name="sign-in")
@click.option("--url", help="The hub's address.  [default: as the settings say]")
@click.option("--key", "key_id", metavar="ID", help="The key to sign in with.  [default: the oldest admin's in force]")
def sign_in(url: str | None, key_id: str | None) -> None:
    """Print a link that signs a browser in to the hub of this machine, once, within ten minutes."""
    from oakmill.errors import NotFound
    from oakmill.hub import sessions
    from oakmill.registry import keys

    settings = current()
    with hub_session() as session:
        found = key_id or getattr(keys.oldest_admin(session), "id", None)
    if found is None:
        raise NotFound("There is no admin key in force.", remedy="Make one: oakmill keys create me --scope admin")
    address = url or settings.public_url or f"http://{settings.host}:{settings.port}"
    click.echo(sessions.link(settings, address, found))


@command.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """Show all keys of all teams."""
    from oakmill.registry import callers, keys, teams

    with hub_session() as session:
        slugs = {team.id: team.slug for team in teams.listed(session)}
        found = [
            {
                "id": key.id,
                "name": key.name,
                "team": slugs[key.team_id],
                "scopes": key.scopes,
                "model": key.model_id,
                "begins": key.prefix,
                "state": "revoked" if key.revoked else "in force" if keys.is_live(key) else "expired",
                "last used": f"{key.last_used:%Y-%m-%d %H:%M}" if key.last_used else "never",
            }
            for key in keys.listed(session, callers.LOCAL)
        ]
    print_rows(found, as_json=as_json)


@command.command()
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """End the force of the key with this identifier, at once and for good."""
    from oakmill.registry import callers, keys

    with hub_session() as session:
        key = keys.revoke(session, callers.LOCAL, key_id)
        click.echo(f"{key.name} is revoked")


@command.command(name="set")
@click.argument("key_id", metavar="ID")
@click.option("--requests-per-minute", type=click.IntRange(0), help="What it may make; 0 as the hub has it.")
@click.option("--most-running", type=click.IntRange(0), help="How many of its jobs run at once; 0 as its team has it.")
def set_(key_id: str, requests_per_minute: int | None, most_running: int | None) -> None:
    """Bound what the key with this identifier may use."""
    from oakmill.registry import callers, keys

    with hub_session() as session:
        key = keys.bound(
            session, callers.LOCAL, key_id, requests_per_minute=requests_per_minute, most_running=most_running
        )
        rate, most = key.requests_per_minute or "the hub's", key.most_running or "the team's"
        click.echo(f"{key.name}: requests a minute: {rate}; jobs at once: {most}")


@command.command()
@json_option
def teams(as_json: bool) -> None:
    """Show the teams, and what they store."""
    from oakmill.registry import teams as registry

    with hub_session() as session:
        found = [
            {
                "slug": team.slug,
                "name": team.name,
                "stores": f"{registry.used_bytes(session, team.id) / 1e6:.1f} MB",
                "quota": _quota(team),
                "highest priority": team.highest_priority,
                "most running": team.most_running or "any",
            }
            for team in registry.listed(session)
        ]
    print_rows(found, as_json=as_json)


@command.command(name="add-team")
@click.argument("name")
@click.option("--quota-mb", type=click.IntRange(1), help="How much it may store; by default without bound.")
def add_team(name: str, quota_mb: int | None) -> None:
    """Make a team called NAME."""
    from oakmill.registry import teams as registry

    with hub_session() as session:
        team = registry.create(session, name=name, quota_bytes=quota_mb << 20 if quota_mb else None)
        click.echo(f"{team.slug}: oakmill keys create NAME --team {team.slug} makes its first key")


@command.command(name="set-team")
@click.argument("team")
@click.option("--quota-mb", type=click.IntRange(1), help="How much it may store.")
@click.option("--highest-priority", type=click.IntRange(-100, 100), help="What its keys may give their jobs at most.")
@click.option("--most-running", type=click.IntRange(0), help="How many of its jobs run at once at most; 0 for any.")
def set_team(team: str, quota_mb: int | None, highest_priority: int | None, most_running: int | None) -> None:
    """Change what TEAM may use."""
    from oakmill.registry import teams as registry

    with hub_session() as session:
        quota = quota_mb << 20 if quota_mb else None
        found = registry.change(
            session, team, quota_bytes=quota, highest_priority=highest_priority, most_running=most_running
        )
        most = found.most_running or "any number"
        click.echo(f"{found.slug}: priorities to {found.highest_priority}, quota {_quota(found)}, {most} running")


def _quota(team: Team) -> str:
    return f"{team.quota_bytes / 1e6:.0f} MB" if team.quota_bytes is not None else "none"


@contextmanager
def hub_session() -> Iterator[Session]:
    """One transaction on the hub's database, which is made when there is none."""
    from oakmill.storage import migrate
    from oakmill.storage.database import Database

    db = Database.of(current())
    try:
        if not migrate.is_current(db):
            migrate.upgrade(db)
        with db.session() as session:
            yield session
    finally:
        db.close()
