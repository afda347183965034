"""Imports from Hugging Face and HubAI, where the hub's operator allows them: asked for, and followed until they end."""

from __future__ import annotations

from fastapi.responses import Response

from oakmill.errors import OakmillError
from oakmill.hub import imports
from oakmill.hub.imports import Asked
from oakmill.preflight.findings import reports_of
from oakmill.registry import access, instances, resolve
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import Instance, InstanceStatus
from oakmill.web.forms.submitted import Fields, Form
from oakmill.web.page_context import Changing, Open, PageContext, Reading
from oakmill.web.routing import Id, page_router
from oakmill.web.views.filters import model_path

pages = page_router()


@pages.post("/import")
def begin_new(context: Changing, form: Form) -> Response:
    """A new model of what is fetched."""
    return _begun(context, form)


@pages.post("/models/{model_id}/import")
def begin_version(model_id: Id, context: Changing, form: Form) -> Response:
    """A new version of a model."""
    return _begun(context, form, model_id=model_id)


@pages.post("/instances/{instance_id}/import")
def begin_again(instance_id: Id, context: Changing, form: Form) -> Response:
    """Once more, into the source that waits since a try failed."""
    return _begun(context, form, instance_id=instance_id)


@pages.get("/instances/{instance_id}/import")
def import_page(instance_id: Id, context: Changing, session: Reading) -> Response:
    """How far an import is."""
    row = access.changeable(session, context.caller, Instance, instance_id)
    model = resolve.model(session, context.caller, Address(row.model_id))
    work = imports.standing(context.at, row.id)
    if row.status == InstanceStatus.AVAILABLE and not (work and work.is_running):
        return context.go(f"/instances/{row.id}")
    titles = imports.offered(context.at.settings)
    return context.page("import/page.html", titles=titles, row=row, model=model, back=model_path(model), work=work)


@pages.get("/instances/{instance_id}/import/standing")
def standing(instance_id: Id, context: Open, session: Reading) -> Response:
    """How far it is: a piece of the page; what was found, once it has come."""
    row = instances.instance(session, context.caller, instance_id)
    work = imports.standing(context.at, row.id)
    model = resolve.model(session, context.caller, Address(row.model_id))
    reports = list(reports_of(row.facts).values()) if row.status == InstanceStatus.AVAILABLE else []
    return context.part("import/standing.html", row=row, work=work, reports=reports, back=model_path(model))


def _begun(context: PageContext, form: Fields, *, model_id: str = "", instance_id: str = "") -> Response:
    asked = Asked(
        form.get("address"), form.get("key"), form.get("name").strip(), form.get("variant").strip(),
        form.get("version").strip(), model_id, instance_id,
    )  # fmt: skip
    try:
        begun = imports.begin(context.at, context.caller, asked)
    except OakmillError as error:
        if not context.is_htmx:
            raise
        return context.part("import/wrong.html", error=error)  # what was typed in stays
    return context.go(f"/instances/{begun}/import")
