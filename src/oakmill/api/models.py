"""Models over HTTP: searched, made, changed and deleted; and what stands at an address."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Response
from sqlalchemy.orm import Session, joinedload

from oakmill.api import answers
from oakmill.api.bodies import Cursor, Limit, ModelChanges, ModelIn, stated
from oakmill.hub.auth import Anyone, Converter, Reading, TheHub, Writing
from oakmill.hub.removal import remove
from oakmill.hub.routing import Id, router
from oakmill.hub.wire import Instance, Listed, Model, ModelDetail
from oakmill.registry import access, models, search, tables
from oakmill.registry.resolve import resolve
from oakmill.registry.states import Visibility

routes = router("models")

Sort = Literal["updated", "created", "name", "downloads"]
Words = Annotated[str, Query(max_length=400, description="Words that the name, summary or tags hold.")]
Several = Annotated[tuple[Annotated[str, Query(max_length=100)], ...], Query(max_length=20)]
Word = Annotated[str | None, Query(max_length=255)]


@routes.get("/models")
def list_models(  # noqa: PLR0913 - a filter each
    session: Reading,
    caller: Anyone,
    *,
    text: Words = "",
    task: Several = (),
    tag: Several = (),
    license: Word = None,
    platform: Several = (),
    precision: Word = None,
    tool_version: Word = None,
    hash: Word = None,
    verdict: Word = None,
    slug: Word = None,
    team_id: Word = None,
    visibility: Annotated[tuple[Visibility, ...], Query(max_length=4)] = (),
    sort: Sort = "updated",
    descending: bool = True,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[Model]:
    """The models that the caller sees. What is asked of instances is met by an available one below."""
    query = search.Query(
        text=text, tasks=task, tags=tag, license=license, platforms=platform, precision=precision,
        tool_version=tool_version, hash=hash, verdict=verdict, slug=slug, team_id=team_id,
        visibility=visibility or None, sort=sort, descending=descending, limit=limit, cursor=cursor,
    )  # fmt: skip
    page = search.models(session, caller, query)
    counts = models.counts(session, [row.id for row in page.items])
    items = tuple(answers.model(row, counts[row.id]) for row in page.items)
    return Listed(items=items, next_cursor=page.next_cursor)


@routes.post("/models", status_code=201)
def create_model(body: ModelIn, session: Writing, caller: Converter, response: Response) -> ModelDetail:
    """A new model of the caller's team."""
    row = models.create(session, caller, **stated(body))
    response.headers["Location"] = f"/api/v1/models/{row.id}"
    return _detail(session, row)


@routes.get("/models/{model_id}")
def get_model(model_id: Id, session: Reading, caller: Anyone) -> ModelDetail:
    """A model with its card."""
    return _detail(session, access.seen(session, caller, tables.Model, model_id))


@routes.patch("/models/{model_id}")
def change_model(model_id: Id, body: ModelChanges, session: Writing, caller: Converter) -> ModelDetail:
    """Change what is given; the slug stays, for addresses point to it."""
    return _detail(session, models.update_card(session, caller, model_id, **stated(body)))


@routes.delete("/models/{model_id}", status_code=204)
def delete_model(model_id: Id, session: Writing, caller: Converter, at: TheHub, force: bool = False) -> None:
    """Put the model with all below it into the trash; `force` where something depends on it."""
    remove(at, session, caller, "models", model_id, force=force)


@routes.get("/resolve", tags=["instances"])
def resolve_address(
    session: Reading,
    caller: Anyone,
    address: Annotated[str, Query(max_length=1000, description="[team/]model[:variant[:version or short hash]]")],
    platform: Word = None,
    precision: Word = None,
    tool_version: Word = None,
) -> Instance:
    """What stands at an address: the latest instance of the latest version, where it does not say which."""
    search.Query(text=address, name=platform, precision=precision, tool_version=tool_version)  # no zero bytes
    found = resolve(session, caller, address, platform, precision=precision, tool_version=tool_version)
    return Instance.model_validate(found)


def _detail(session: Session, row: tables.Model) -> ModelDetail:
    session.flush()
    whole = session.get_one(tables.Model, row.id, options=[joinedload(tables.Model.team)], populate_existing=True)
    return answers.model(whole, models.counts(session, [row.id])[row.id])
