"""The page of the trash: what was deleted, restored by a button, or deleted for good."""

from __future__ import annotations

from datetime import timedelta

from fastapi.responses import Response

from oakmill.errors import Conflict
from oakmill.registry import audit, teams, trash
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Trash
from oakmill.web.forms.submitted import Form
from oakmill.web.page_context import Changing, PageContext, Reading, Ruling, Writing
from oakmill.web.routing import Id, page_router

pages = page_router()


@pages.get("/trash")
def trash_page(context: Changing, session: Reading) -> Response:
    """What lies there, and how many bytes only the trash names."""
    found = trash.listed(session, context.caller)
    team_id = context.caller.team_id
    return context.page(
        "trash.html",
        rows=found,
        sizes=trash.sizes(session, found),
        only=teams.trash_bytes(session, team_id) if team_id else 0,
        until={row.id: row.at + timedelta(days=context.at.settings.trash_days) for row in found},
        days=context.at.settings.trash_days,
        may_empty=_may_empty(context.caller),
    )


def _may_empty(caller: Caller) -> bool:
    return caller.team_id is not None and caller.may_for_whole_team("admin")


@pages.post("/trash/{trash_id}/restore")
def restore(trash_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """Bring it back; where its name is taken, the page asks for another."""
    try:
        with session.begin_nested():
            trash.restore(session, context.caller, trash_id, name=form.get("name").strip() or None)
    except Conflict as error:
        return _ask(context, trash.one(session, context.caller, trash_id), error)
    return context.go("/trash")


def _ask(context: PageContext, row: Trash, error: Conflict) -> Response:
    return context.page("trash_name.html", status=409, row=row, error=error)


@pages.post("/trash/{trash_id}/purge")
def purge(trash_id: Id, context: Changing, session: Writing) -> Response:
    """Delete it for good."""
    trash.purge(session, context.caller, trash_id)
    return context.go("/trash")


@pages.post("/trash/empty")
def empty(context: Ruling, session: Writing) -> Response:
    """Delete for good all of the team's."""
    context.caller.require_whole_team()
    team_id = context.caller.own_team()
    while trash.empty(session, context.caller, older_than=None, team_id=team_id):
        pass
    audit.record(session, context.caller, "trash.empty", team_id)
    return context.go("/trash")
