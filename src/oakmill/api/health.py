"""Says that the hub is up, and what it is."""

from __future__ import annotations

from fastapi import Response
from pydantic import BaseModel
from sqlalchemy import text

from oakmill import __version__
from oakmill.hub.auth import Reading
from oakmill.hub.routing import router

routes = router("hub")


class Health(BaseModel):
    """That the hub answers, and its database too."""

    status: str
    version: str


@routes.get("/health")
def health(session: Reading, response: Response) -> Health:
    """Whether the hub and its database answer. Needs no key."""
    session.execute(text("select 1"))
    response.headers["Cache-Control"] = "no-store"
    return Health(status="ok", version=__version__)
