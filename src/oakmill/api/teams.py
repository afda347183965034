"""Who asks, and what the team has used of its quota."""

from __future__ import annotations

from oakmill.hub.auth import Reader, Reading
from oakmill.hub.routing import router
from oakmill.hub.wire import Me, TeamOut
from oakmill.registry import teams
from oakmill.registry.tables import Team

routes = router("teams")


@routes.get("/teams/me")
def me(session: Reading, caller: Reader) -> Me:
    """The key that asks, and its team."""
    team_id = caller.own_team()
    team = TeamOut.model_validate(session.get_one(Team, team_id))
    team.used_bytes = teams.used_bytes(session, team_id)
    return Me(
        key_id=caller.key_id,
        key_name=caller.key_name,
        scopes=sorted(caller.scopes),
        model_id=caller.model_id,
        team=team,
    )
