"""A team's bytes and its rule on results over HTTP, for its admins."""

from __future__ import annotations

from pydantic import Field
from sqlalchemy.orm import Session

from oakmill.api.bodies import Body
from oakmill.hub.auth import Admin, Reading, Writing
from oakmill.hub.routing import router
from oakmill.hub.wire_keeping import DueResult, Storage
from oakmill.registry import audit, retention, teams
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Team

routes = router("storage")


class RuleIn(Body):
    """What either number keeps, stays; null for both keeps all."""

    keep_results: int | None = Field(None, ge=1, lt=100_000, description="The latest of each variant and platform.")
    keep_days: int | None = Field(None, ge=1, lt=100_000, description="Days since it was made or downloaded last.")


@routes.get("/teams/me/storage")
def get_storage(session: Reading, caller: Admin) -> Storage:
    """What the team stores, its rule on results, and what would go by it now."""
    return _answer(session, caller)


@routes.put("/teams/me/storage")
def set_rule(body: RuleIn, session: Writing, caller: Admin) -> Storage:
    """Set the rule on results, which the hub follows within the hour; what goes is in the trash."""
    caller.require_whole_team()
    team_id = caller.own_team()
    teams.keep(session, team_id, results=body.keep_results, days=body.keep_days)
    audit.record(session, caller, "team.keep", team_id, results=body.keep_results, days=body.keep_days)
    return _answer(session, caller)


def _answer(session: Session, caller: Caller) -> Storage:
    caller.require_whole_team()
    team = session.get_one(Team, caller.own_team())
    due = retention.due(session, team)
    names = set(DueResult.model_fields)
    return Storage(
        quota_bytes=team.quota_bytes,
        used_bytes=teams.used_bytes(session, team.id),
        trash_bytes=teams.trash_bytes(session, team.id),
        keep_results=team.keep_results,
        keep_days=team.keep_days,
        due=tuple(DueResult(**{name: getattr(item, name) for name in names}) for item in due[:1000]),
        due_count=len(due),
        due_bytes=sum(item.size for item in due),
    )
