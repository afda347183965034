"""What monitoring reads, outside of the API's own addresses, as every scraper expects it: /metrics."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import func, select

from oakmill.errors import Forbidden, NoKey
from oakmill.hub import auth, metrics
from oakmill.hub.auth import Reading, TheHub
from oakmill.hub.routing import router
from oakmill.registry.tables import Team

routes = router("hub")
_REMEDY = "Scrape with the key of the operator's setting OAKMILL_METRICS_KEY."


def sees_all(request: Request, at: TheHub, session: Reading, given: auth.Bearer) -> None:
    """Go on only for the operator's key for monitoring; or for an admin's, where there is one team.

    Raises:
        NoKey, Forbidden: it is none of them.
    """
    wanted = at.settings.metrics_key
    if wanted and given and secrets.compare_digest(given.credentials.encode(), wanted.encode()):
        return
    caller = auth.who(request, at, given)
    if not caller.is_known:
        raise NoKey("Metrics need a key.", remedy=_REMEDY)
    teams = session.scalar(select(func.count()).select_from(Team)) or 0
    if not caller.may_for_whole_team("admin") or (teams > 1 and not caller.everywhere):
        raise Forbidden("Metrics tell of all teams, and this key is for less.", subject=caller.key_name, remedy=_REMEDY)


@routes.get("/metrics", include_in_schema=False)
def scrape(request: Request, session: Reading, may: Annotated[None, Depends(sees_all)]) -> Response:
    """All teams' queue, workers and store, and what this process has answered."""
    text = metrics.text_of(session, request.app.state.traffic)
    return Response(text, media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})
