"""Says that the hub is up, and what it is."""

from __future__ import annotations

from fastapi import Response
from pydantic import BaseModel
from sqlalchemy import text

from oakmill import __version__
from oakmill.errors import Unavailable
from oakmill.hub.auth import Reading, TheHub
from oakmill.hub.routing import router

routes = router("hub")


class Health(BaseModel):
    """That the hub answers, and its database too."""

    status: str
    version: str


@routes.get("/health/live")
def live(response: Response) -> Health:
    """Whether this process answers; where it does not, it is to be started anew. Needs no key."""
    response.headers["Cache-Control"] = "no-store"
    return Health(status="ok", version=__version__)


@routes.get("/health/ready")
def ready(at: TheHub, session: Reading, response: Response) -> Health:
    """Whether requests may be sent to this process: its database and its store answer. Needs no key."""
    session.execute(text("select 1"))
    at.blobs.has("0" * 64)
    if at.ending.is_set():
        raise Unavailable("The hub is about to end.", remedy="Another one takes its place.")
    response.headers["Cache-Control"] = "no-store"
    return Health(status="ok", version=__version__)


@routes.get("/health")
def health(session: Reading, response: Response) -> Health:
    """Whether the hub and its database answer. Needs no key."""
    session.execute(text("select 1"))
    response.headers["Cache-Control"] = "no-store"
    return Health(status="ok", version=__version__)
