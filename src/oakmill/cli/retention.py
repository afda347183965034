"""`oakmill retention`: the operator's rule on how long a team's results are kept; works on the database itself."""

from __future__ import annotations

from dataclasses import asdict

import click

from oakmill.cli.keys import hub_session
from oakmill.cli.listing import json_option, print_rows, size_of
from oakmill.settings import current


@click.group(name="retention")
def command() -> None:
    """For how long teams' results are kept. The hub follows the rules once an hour, and puts what goes into the trash.

    No rule takes what was uploaded, what an alias points to, or what was made or downloaded within a day.
    """


@command.command()
@json_option
def show(as_json: bool) -> None:
    """Show each team's rule, and how much would go by it now."""
    from oakmill.registry import retention, teams

    with hub_session() as session:
        found = []
        for team in teams.listed(session):
            due = retention.due(session, team)
            bytes_ = sum(item.size for item in due)
            found.append(
                {
                    "team": team.slug,
                    "latest": team.keep_results,
                    "days": team.keep_days,
                    "would go": len(due),
                    "size": bytes_ if as_json else size_of(bytes_),
                }
            )
    print_rows(found, as_json=as_json)


@command.command(name="set")
@click.argument("team")
@click.option("--results", type=click.IntRange(1), help="Keep the latest so many of each variant and platform.")
@click.option("--days", type=click.IntRange(1), help="Keep what was made or downloaded in the last so many days.")
def set_(team: str, results: int | None, days: int | None) -> None:
    """Set TEAM's rule; what either number keeps, stays. Without both, all is kept."""
    from oakmill.registry import audit, retention, teams
    from oakmill.registry.callers import LOCAL

    with hub_session() as session:
        found = teams.keep(session, team, results=results, days=days)
        audit.record(session, LOCAL, "team.keep", found.id, of_team=found.id, results=results, days=days)
        due = retention.due(session, found)
        total = size_of(sum(item.size for item in due))
    click.echo(f"{len(due)} results would go now, {total}: oakmill retention run {team} --dry-run names them")


@command.command()
@click.argument("team")
@click.option("--dry-run", is_flag=True, help="Name what would go, and let it stay.")
@json_option
def run(team: str, dry_run: bool, as_json: bool) -> None:
    """Follow TEAM's rule now: put into the trash what it does not keep."""
    from oakmill.registry import retention, teams

    with hub_session() as session:
        found = teams.named(session, team)
        models = [] if dry_run else retention.models_due(session, found)
        gone = retention.due(session, found) if dry_run else []
    for model_id in models:
        with hub_session() as session:
            mine = teams.named(session, team)
            gone += retention.run(session, mine, model_id, keep=current().trash_days > 0)
    rows = [{**asdict(item), "used": f"{item.used:%Y-%m-%d}"} for item in gone]
    shown = [
        {
            "result": f"{item['model']} / {item['variant']} {item['version']} / {item['name']}",
            "platform": item["platform"],
            "size": size_of(item["size"]),
            "used": item["used"],
            "id": item["id"],
        }
        for item in rows
    ]
    print_rows(rows if as_json else shown, as_json=as_json)
    if not as_json:
        click.echo(f"{len(rows)} {'would go' if dry_run else 'went'}, {size_of(sum(item.size for item in gone))}")
