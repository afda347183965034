"""Bundles of models: a model as one file to take along, and one that was uploaded, shown before it is taken in."""

from __future__ import annotations

from fastapi.responses import Response
from sqlalchemy.orm import Session

from oakmill.errors import Conflict, SpecError
from oakmill.hub import visibility
from oakmill.hub.model_bundles import uploaded
from oakmill.hub.model_bundles.answering import answer
from oakmill.registry import resolve
from oakmill.registry.identifiers import Address
from oakmill.web.forms.submitted import Fields, Form
from oakmill.web.page_context import Changing, Known, PageContext, Reading, Writing
from oakmill.web.routing import Id, page_router

pages = page_router()


@pages.get("/models/{model_id}/bundle")
def download(model_id: Id, context: Known, session: Reading, with_datasets: bool = False) -> Response:
    """The model with all that is complete below it, as one file."""
    row = resolve.model(session, context.caller, Address(model_id))
    asked = [f"{row.team.slug}/{row.slug}"]
    return answer(context.at, context.request, session, context.caller, asked, with_datasets=with_datasets)


@pages.get("/bundles/new")
def new_page(context: Changing) -> Response:
    """Where a bundle is dropped, and sent."""
    context.caller.require_whole_team()
    return context.page("bundle/new.html", largest=context.at.settings.upload_max_mb)


@pages.get("/bundles/{upload_id}")
def preview_page(upload_id: Id, context: Changing, session: Reading) -> Response:
    """What it would bring, and under which names."""
    return _page(context, session, upload_id)


@pages.post("/bundles/{upload_id}/take")
def take(upload_id: Id, context: Changing, form: Form) -> Response:
    """Take in the chosen models; where a name is another's, the page asks for another one."""
    only = form.all("only")
    names = {slug: name for slug in only if (name := form.get(f"name:{slug}").strip())}
    try:
        if not only:
            raise SpecError("No model is chosen.", remedy="Choose one at least, or leave the bundle.")
        found = uploaded.take(context.at, context.caller, upload_id, names=names, only=_some(form, only))
    except (Conflict, SpecError) as error:
        with context.at.db.reading() as session:
            return _page(context, session, upload_id, wrong=f"{error.message} {error.remedy}", names=names, chosen=only)
    return context.go(f"/models/{found.models[0].model_id}" if len(found.models) == 1 else "/models")


@pages.post("/bundles/{upload_id}/leave")
def leave(upload_id: Id, context: Changing, session: Writing) -> Response:
    """Take nothing in; what was sent is freed."""
    visibility.upload(session, context.caller, upload_id)
    context.at.uploads.abandon(session, upload_id)
    return context.go("/models")


def _some(form: Fields, only: list[str]) -> list[str]:
    """None named where all are chosen: then its calibration sets come in, too."""
    return [] if set(only) == set(form.all("all")) else only


def _page(
    context: PageContext, session: Session, upload_id: str, *, wrong: str = "",
    names: dict[str, str] | None = None, chosen: list[str] | None = None,
) -> Response:  # fmt: skip
    found = uploaded.preview(session, context.caller, context.at, upload_id)
    return context.page(
        "bundle/page.html", status=409 if wrong else 200, bundle=found, wrong=wrong, names=names or {},
        chosen=chosen if chosen is not None else [model.slug for model in found.models],
    )  # fmt: skip
