"""HubAI's models: listed, made, changed and deleted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query as Parameters
from pydantic import Field
from sqlalchemy.orm import Session

from oakmill.compat.hubai import lists, shapes
from oakmill.compat.hubai.lists import Listing, Word
from oakmill.compat.wire import MODELS, Asked, Json, router
from oakmill.errors import Conflict
from oakmill.hub.auth import Anyone, Converter, Reading, TheHub, Writing
from oakmill.hub.removal import remove
from oakmill.hub.routing import Id
from oakmill.registry import access, models, search
from oakmill.registry.tables import Model

routes = router()


class ModelsListing(Listing):
    """The filters of the list of models."""

    tasks: Annotated[list[Word], Field(max_length=lists.SEVERAL, default_factory=list)]
    license_type: Word | None = None
    project_id: Word | None = None
    luxonis_only: bool = False


class ModelIn(Asked):
    """What is said of a model. The client sends links as plain addresses, HubAI itself documents objects."""

    name: Word | None = None
    license_type: Word = "undefined"
    is_public: bool | None = False
    description_short: Word | None = None
    description: str | None = None
    architecture_id: Word | None = None
    tasks: Annotated[list[Word], Field(max_length=lists.SEVERAL)] | None = None
    links: Annotated[list[str | dict[str, str]], Field(max_length=lists.SEVERAL)] | None = None
    is_yolo: bool | None = None


class NewModel(ModelIn):
    """A new model."""

    name: Word


@routes.get(f"{MODELS}/models")
def list_models(asked: Annotated[ModelsListing, Parameters()], session: Reading, caller: Anyone) -> list[Json]:
    """The models that the caller sees. There are no projects here, and none of Luxonis' own."""
    if asked.luxonis_only or asked.project_id is not None:
        return []
    query = asked.query(tasks=tuple(asked.tasks), license=asked.license_type, slug=asked.slug)
    return shapes.models(session, lists.rows(search.models, session, caller, query, asked.limit))


@routes.post(f"{MODELS}/models")
def create_model(body: NewModel, session: Writing, caller: Converter) -> Json:
    """A new model."""
    try:
        row = models.create(session, caller, name=body.name, **_card(body, body.model_dump()))
    except Conflict as error:
        raise unique(error) from None
    return _shaped(session, row)


@routes.get(f"{MODELS}/models/{{model_id}}")
def get_model(model_id: Id, session: Reading, caller: Anyone) -> Json:
    """A model."""
    return _shaped(session, access.seen(session, caller, Model, model_id))


@routes.patch(f"{MODELS}/models/{{model_id}}")
def change_model(model_id: Id, body: ModelIn, session: Writing, caller: Converter) -> Json:
    """Change what is given."""
    card = _card(body, body.model_dump(exclude_unset=True))
    return _shaped(session, models.update_card(session, caller, model_id, name=body.name, **card))


@routes.delete(f"{MODELS}/models/{{model_id}}")
def delete_model(model_id: Id, session: Writing, caller: Converter, at: TheHub) -> None:
    """Delete the model and all below it, as clients expect."""
    remove(at, session, caller, "models", model_id, force=True)


def unique(error: Conflict) -> Conflict:
    """The conflict in the words by which clients know that the name is taken."""
    return Conflict(f"Unique constraint error: {error.message}", remedy=error.remedy, subject=error.subject)


def _card(body: ModelIn, given: dict[str, Any]) -> models.Card:
    """What is given, in the registry's words."""
    card: dict[str, Any] = {}
    if "is_public" in given:
        card["visibility"] = lists.visibility(body.is_public)
    if "description_short" in given:
        card["summary"] = "" if body.description_short in (None, shapes.EMPTY) else body.description_short
    if "architecture_id" in given:
        card["architecture"] = body.architecture_id
    if body.links is not None:
        card["links"] = [_link(item) for item in body.links]
    same = {"license_type": "license", "description": "card", "tasks": "tasks", "is_yolo": "is_yolo"}
    for theirs, ours in same.items():
        if given.get(theirs) is not None:
            card[ours] = given[theirs]
    return card  # type: ignore[return-value]


def _link(item: str | dict[str, str]) -> dict[str, str]:
    link = item if isinstance(item, str) else item.get("link", "")
    return {"name": link if isinstance(item, str) else item.get("name", link), "link": link}


def _shaped(session: Session, row: Model) -> Json:
    session.flush()
    return shapes.models(session, [row])[0]
