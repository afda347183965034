"""Aliases on a model's page: pointed to a version, led back by one button, taken away."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from fastapi.responses import Response
from sqlalchemy.orm import Session

from oakmill.registry import access, aliases, resolve
from oakmill.registry.identifiers import ALIAS, Address
from oakmill.registry.tables import Version
from oakmill.web.forms.submitted import Form
from oakmill.web.page_context import Changing, PageContext, Writing
from oakmill.web.routing import Id, page_router
from oakmill.web.views.filters import model_path

pages = page_router()

Alias = Annotated[str, Path(pattern=f"^{ALIAS}$")]


@pages.post("/versions/{version_id}/aliases")
def move(version_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """Point an alias to the version."""
    name, why = form.get("alias").strip(), form.get("why")
    aliases.move(session, context.caller, version_id, name, why=why, expected=form.get("expected") or None)
    return _to_model(context, session, access.seen(session, context.caller, Version, version_id).model_id)


@pages.post("/variants/{variant_id}/aliases/{alias}/back")
def back(variant_id: Id, alias: Alias, context: Changing, session: Writing, form: Form) -> Response:
    """Point it to where it pointed before; pressed twice, it goes back once."""
    moved = aliases.back(session, context.caller, variant_id, alias, expected=form.get("expected") or None)
    return _to_model(context, session, access.seen(session, context.caller, Version, moved.version_id).model_id)


@pages.post("/variants/{variant_id}/aliases/{alias}/remove")
def remove(variant_id: Id, alias: Alias, context: Changing, session: Writing) -> Response:
    """Take it away."""
    model = aliases.model_of(session, context.caller, variant_id)
    aliases.remove(session, context.caller, variant_id, alias)
    return _to_model(context, session, model.id)


def _to_model(context: PageContext, session: Session, model_id: str) -> Response:
    return context.go(f"{model_path(resolve.model(session, context.caller, Address(model_id)))}#aliases")
