"""Keys over HTTP, for the team's admins; and the audit log of who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from oakmill.api import answers
from oakmill.api.bodies import Body, Text
from oakmill.hub.auth import Admin, Reading, Writing
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Answer, Key, Listed, NewKey
from oakmill.moments import Moment
from oakmill.registry import audit, keys
from oakmill.registry.callers import Scope
from oakmill.registry.tables import Team

routes = router("keys")


class KeyIn(Body):
    """A new key of the caller's team."""

    name: Text
    scopes: list[Scope] = Field(min_length=1, max_length=3)
    model_id: Annotated[str, Field(max_length=64)] | None = Field(None, description="The one model that it is for.")
    expires: Moment | None = None


class AuditOut(Answer):
    """Who did what."""

    id: int
    at: datetime
    key_id: str | None
    key_name: str
    user_name: str | None
    action: str
    subject: str
    detail: dict[str, Any]
    address: str


@routes.get("/keys")
def list_keys(session: Reading, caller: Admin) -> Listed[Key]:
    """The team's keys."""
    return Listed(items=tuple(Key(**answers.key(row)) for row in keys.listed(session, caller)))


@routes.post("/keys", status_code=201)
def create_key(body: KeyIn, session: Writing, caller: Admin) -> NewKey:
    """A new key; it is told this once."""
    team = session.get_one(Team, caller.own_team())
    row, raw = keys.create(session, team, by=caller, **body.model_dump())
    session.flush()
    return NewKey(**answers.key(row), key=raw)


@routes.delete("/keys/{key_id}")
def revoke_key(key_id: Id, session: Writing, caller: Admin) -> Key:
    """End the key's force, at once and for good; it stays in the list."""
    return Key(**answers.key(keys.revoke(session, caller, key_id)))


@routes.get("/audit", tags=["audit"])
def list_audit(
    session: Reading,
    caller: Admin,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Listed[AuditOut]:
    """Who did what in the team, the latest first."""
    found = audit.listed(session, caller, before=cursor, limit=limit)
    more = str(found[-1].id) if len(found) == limit else None
    return Listed(items=tuple(map(AuditOut.model_validate, found)), next_cursor=more)
