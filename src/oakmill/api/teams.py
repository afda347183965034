"""Who asks, and what the team has used of its quota."""

from __future__ import annotations

from oakmill.hub.auth import Reader, Reading
from oakmill.hub.routing import router
from oakmill.hub.wire import Me, Team
from oakmill.registry import tables, teams

routes = router("teams")


@routes.get("/teams/me")
def me(session: Reading, caller: Reader) -> Me:
    """The key that asks, and its team."""
    team_id = caller.own_team()
    team = Team.model_validate(session.get_one(tables.Team, team_id))
    return Me(
        key_id=caller.key_id,
        key_name=caller.key_name,
        scopes=tuple(sorted(caller.scopes)),
        model_id=caller.model_id,
        user_id=caller.user_id,
        user_name=caller.user_name,
        team=team.model_copy(update={"used_bytes": teams.used_bytes(session, team_id)}),
    )
