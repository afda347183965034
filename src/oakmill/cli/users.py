"""`oakmill users`: the operator's hand on who signs in at the provider; works on the database itself."""

from __future__ import annotations

import click

from oakmill.cli.keys import hub_session
from oakmill.cli.listing import json_option, print_rows


@click.group(name="users")
def command() -> None:
    """List, shut out and let in who signs in at the provider."""


@command.command(name="list")
@json_option
def list_(as_json: bool) -> None:
    """Show all users of all teams."""
    from oakmill.registry import callers, teams, users

    with hub_session() as session:
        slugs = {team.id: team.slug for team in teams.listed(session)}
        found = [
            {
                "id": user.id,
                "e-mail": user.email,
                "name": user.name,
                "team": slugs.get(user.team_id or "", "none"),
                "state": "shut out" if user.disabled else "may sign in",
                "seen last": f"{user.seen:%Y-%m-%d %H:%M}",
            }
            for user in users.listed(session, callers.LOCAL)
        ]
    print_rows(found, as_json=as_json)


@command.command()
@click.argument("user", metavar="EMAIL|ID")
def disable(user: str) -> None:
    """Shut a user out at once: sessions and keys of their own are over. Their models stay the team's."""
    from oakmill.registry import callers, users

    with hub_session() as session:
        found = users.disable(session, callers.LOCAL, user)
        made = users.keys_made(session, found)
        click.echo(f"{found.email} is shut out; what they made stays the team's")
        if made:
            click.echo(f"They made {len(made)} keys of the team, which they may know, and which are in force:")
        for key in made:
            click.echo(f"  oakmill keys revoke {key.id}   # {key.name}")


@command.command()
@click.argument("user", metavar="EMAIL|ID")
def enable(user: str) -> None:
    """Let a user sign in again."""
    from oakmill.registry import callers, users

    with hub_session() as session:
        click.echo(f"{users.enable(session, callers.LOCAL, user).email} may sign in again")
