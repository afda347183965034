"""What the team stores, how much of it is trash, and its rule on results with what would go by it."""

from __future__ import annotations

from fastapi.responses import Response
from sqlalchemy.orm import Session

from oakmill.errors import SpecError
from oakmill.registry import audit, retention, teams
from oakmill.registry.tables import Team
from oakmill.web.forms.submitted import Fields, Form
from oakmill.web.page_context import PageContext, Reading, Ruling, Writing
from oakmill.web.routing import page_router

pages = page_router()

SHOWN = 100
"""Results that the page names; of more it says how many."""


@pages.get("/storage")
def storage_page(context: Ruling, session: Reading, results: str = "", days: str = "") -> Response:
    """The team's bytes and its rule; with numbers in the address, what another rule would let go."""
    team = _team(context, session)
    tried = bool(results or days)
    rule = (_number(results, "results"), _number(days, "days")) if tried else (team.keep_results, team.keep_days)
    session.expunge(team)
    team.keep_results, team.keep_days = rule
    due = retention.due(session, team)
    return context.page(
        "storage.html",
        team=team,
        tried=tried,
        used=teams.used_bytes(session, team.id),
        trash=teams.trash_bytes(session, team.id),
        due=due[:SHOWN],
        count=len(due),
        total=sum(item.size for item in due),
        days=context.at.settings.trash_days,
    )


@pages.post("/storage")
def set_rule(context: Ruling, session: Writing, form: Form) -> Response:
    """Set the team's rule, which the hub follows within the hour."""
    team = _team(context, session)
    results, days = (_of_form(form, name) for name in ("results", "days"))
    teams.keep(session, team.id, results=results, days=days)
    audit.record(session, context.caller, "team.keep", team.id, results=results, days=days)
    return context.go("/storage")


def _team(context: PageContext, session: Session) -> Team:
    context.caller.require_whole_team()
    return session.get_one(Team, context.caller.own_team())


def _of_form(form: Fields, name: str) -> int | None:
    return _number(form.get(name), name)


def _number(text: str, name: str) -> int | None:
    """A number from 1 on; nothing where none is given.

    Raises:
        SpecError: it is none.
    """
    if not text.strip():
        return None
    if not text.strip().isdecimal() or not 0 < int(text) < 100_000:
        raise SpecError(f"{name} cannot be {text[:20]!r}.", subject=name, remedy="Give a number from 1 on, or none.")
    return int(text)
