"""The trash over HTTP: what lies there, restored or deleted for good."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from oakmill.api.bodies import Body, Text
from oakmill.hub.auth import Admin, Converter, Reading, TheHub, Writing
from oakmill.hub.routing import Id, router
from oakmill.hub.state import Hub
from oakmill.hub.wire import Listed
from oakmill.hub.wire_keeping import Trashed
from oakmill.registry import audit, trash
from oakmill.registry.tables import Trash

routes = router("trash")


class RestoreIn(Body):
    """How it is to be called."""

    name: Text | None = Field(None, description="Another name, or number of a version, where its own is taken by now.")


@routes.get("/trash")
def list_trash(session: Reading, caller: Converter, at: TheHub) -> Listed[Trashed]:
    """What was deleted and can be restored, what was deleted last first; the last 500."""
    found = trash.listed(session, caller)
    sizes = trash.sizes(session, found)
    return Listed(items=tuple(_answer(at, row, sizes.get(row.id, 0)) for row in found))


@routes.post("/trash/{trash_id}/restore")
def restore(trash_id: Id, body: RestoreIn, session: Writing, caller: Converter, at: TheHub) -> Trashed:
    """Bring it back with all that went along."""
    return _answer(at, trash.restore(session, caller, trash_id, name=body.name), 0)


@routes.delete("/trash/{trash_id}", status_code=204)
def purge(trash_id: Id, session: Writing, caller: Converter) -> None:
    """Delete it for good; bytes that nothing else names are freed later."""
    trash.purge(session, caller, trash_id)


@routes.delete("/trash", status_code=204)
def empty_trash(session: Writing, caller: Admin) -> None:
    """Delete for good all that lies in the team's trash; for its admins."""
    caller.require_whole_team()
    team_id = caller.own_team()
    while trash.empty(session, caller, older_than=None, team_id=team_id):
        pass
    audit.record(session, caller, "trash.empty", team_id)


def _answer(at: Hub, row: Trash, size: int) -> Trashed:
    own = {name: getattr(row, name) for name in ("id", "kind", "name", "slug", "at", "who", "why")}
    return Trashed(**own, size=size, until=row.at + timedelta(days=at.settings.trash_days))
