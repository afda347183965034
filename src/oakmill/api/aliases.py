"""Aliases over HTTP: names that point to versions, moved, led back, taken away, and their history."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import Field
from sqlalchemy.orm import Session

from oakmill.api import answers
from oakmill.api.bodies import Body, Limit
from oakmill.hub.auth import Anyone, Converter, Reading, Writing
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Listed
from oakmill.hub.wire_keeping import Alias, AliasMove
from oakmill.registry import aliases
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import ALIAS
from oakmill.registry.tables import Alias as AliasRow
from oakmill.registry.tables import Variant

routes = router("aliases")

AliasName = Annotated[str, Path(pattern=f"^{ALIAS}$", description="What it is called: prod, staging.")]


class MoveIn(Body):
    """Why an alias is moved, and where it is expected to be as yet."""

    why: str = Field("", max_length=255)
    expected: str | None = Field(None, max_length=64, description="The version that it points to, by identifier.")


@routes.get("/models/{model_id}/aliases")
def list_aliases(model_id: Id, session: Reading, caller: Anyone) -> Listed[Alias]:
    """The model's aliases, by variant and name."""
    return Listed(items=tuple(map(answers.alias, aliases.listed(session, caller, model_id))))


@routes.get("/models/{model_id}/aliases/history")
def list_alias_moves(model_id: Id, session: Reading, caller: Anyone, limit: Limit = 100) -> Listed[AliasMove]:
    """Who moved the model's aliases, when, from where to where and why; the latest first."""
    return Listed(items=tuple(map(answers.alias_move, aliases.history(session, caller, model_id, limit=limit))))


@routes.put("/versions/{version_id}/aliases/{alias}")
def move_alias(version_id: Id, alias: AliasName, body: MoveIn, session: Writing, caller: Converter) -> Alias:
    """Point the alias to the version; it is made where the variant has none of that name."""
    moved = aliases.move(session, caller, version_id, alias, why=body.why, expected=body.expected)
    return _answer(session, caller, moved)


@routes.post("/variants/{variant_id}/aliases/{alias}/back")
def lead_alias_back(variant_id: Id, alias: AliasName, body: MoveIn, session: Writing, caller: Converter) -> Alias:
    """Point the alias to where it pointed before its last move."""
    moved = aliases.back(session, caller, variant_id, alias, why=body.why, expected=body.expected)
    return _answer(session, caller, moved)


@routes.delete("/variants/{variant_id}/aliases/{alias}", status_code=204)
def delete_alias(variant_id: Id, alias: AliasName, session: Writing, caller: Converter) -> None:
    """Take the alias away; its history stays."""
    aliases.remove(session, caller, variant_id, alias)


def _answer(session: Session, caller: Caller, row: AliasRow) -> Alias:
    session.flush()
    model_id = session.get_one(Variant, row.variant_id).model_id
    there = aliases.listed(session, caller, model_id)
    wanted = (row.variant_id, row.name)
    return next(answers.alias(item) for item in there if (item.alias.variant_id, item.alias.name) == wanted)
