"""Deletes models, variants, versions and instances, after a page that says what goes along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi.responses import Response
from sqlalchemy.orm import Session

from oakmill.hub.removal import Kind, remove
from oakmill.registry import access, deletion, resolve, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import Instance, Model, Version
from oakmill.web.page_context import Changing, Reading, Writing
from oakmill.web.routing import Id, page_router
from oakmill.web.views.filters import model_path

pages = page_router()


@dataclass(frozen=True)
class Doomed:
    """What is to be deleted, how it is called, and the model that it stands below."""

    row: deletion.Deletable
    what: str
    name: str
    model_id: str


@pages.get("/{kind}/{row_id}/delete")
def delete_page(kind: Kind, row_id: Id, context: Changing, session: Reading) -> Response:
    """What would go along."""
    found = _found(session, context.caller, kind, row_id)
    model = resolve.model(session, context.caller, Address(found.model_id))
    along = deletion.dependants(session, found.row)
    return context.page(
        "delete.html", found=found, kind=kind, along=along, back=model_path(model), model=model,
        days=context.at.settings.trash_days,
    )  # fmt: skip


@pages.post("/{kind}/{row_id}/delete")
def delete(kind: Kind, row_id: Id, context: Changing, session: Writing) -> Response:
    """Delete it with all that goes along: the page before has said what that is."""
    model = resolve.model(session, context.caller, Address(_found(session, context.caller, kind, row_id).model_id))
    back = "/models" if kind == "models" else model_path(model)
    remove(context.at, session, context.caller, kind, row_id, force=True)
    return context.go(back)


def _found(session: Session, caller: Caller, kind: Kind, row_id: str) -> Doomed:
    """The row, where the caller may change it.

    Raises:
        NotFound, NoKey, Forbidden: as `access.changeable`.
    """
    return _FINDERS[kind](session, caller, row_id)


def _model(session: Session, caller: Caller, row_id: str) -> Doomed:
    row = access.changeable(session, caller, Model, row_id)
    return Doomed(row, "model", row.name, row.id)


def _variant(session: Session, caller: Caller, row_id: str) -> Doomed:
    row = variants.variant_of(session, caller, row_id)
    access.changeable(session, caller, Model, row.model_id)
    return Doomed(row, "variant", row.name, row.model_id)


def _version(session: Session, caller: Caller, row_id: str) -> Doomed:
    row = access.changeable(session, caller, Version, row_id)
    return Doomed(row, "version", row.version, row.model_id)


def _instance(session: Session, caller: Caller, row_id: str) -> Doomed:
    row = access.changeable(session, caller, Instance, row_id)
    return Doomed(row, "instance", row.name, row.model_id)


_FINDERS: dict[Kind, Callable[[Session, Caller, str], Doomed]] = {
    "models": _model,
    "variants": _variant,
    "versions": _version,
    "instances": _instance,
}
