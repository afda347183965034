"""How a model comes in: its name and place are asked for, then its files are sent, resumed, and looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Query
from fastapi.responses import JSONResponse, Response
from sqlalchemy.orm import Session

from oakmill.hub import imports
from oakmill.preflight.findings import reports_of
from oakmill.registry import access, instances, models, places, resolve, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import Address
from oakmill.registry.semver import FIRST
from oakmill.registry.tables import LISTED, Instance, Model, Visibility
from oakmill.registry.words import ModelType
from oakmill.spec.platforms import PLATFORMS, titles
from oakmill.web.forms.submitted import Fields, Form
from oakmill.web.page_context import Changing, Open, PageContext, Reading, Writing
from oakmill.web.routing import Id, page_router
from oakmill.web.views.filters import model_path

pages = page_router()

DEFAULT = "default"
Word = Annotated[str, Query(max_length=255)]


def formats() -> Iterator[tuple[str, str, list[str]]]:
    """What may be brought, as which files, and which platforms it reaches."""
    rows, every = PLATFORMS.values(), titles()
    yield "ONNX", "model.onnx, and its external data where it has any", every
    yield "OpenVINO IR", "model.xml and model.bin", [row.title for row in rows if not row.limits.no_ir]
    yield "TFLite", "model.tflite, by way of ONNX", every
    yield "TorchScript", "model.pt with its graph, by way of ONNX; its shape is asked for", every
    yield "Checkpoint", "best.pt of Ultralytics' YOLO, where the hub's operator switched their export on", every
    yield "NN Archive", "model.tar.xz: a model with what its inputs and outputs mean", []


@pages.get("/models/new")
def new_page(context: Changing) -> Response:
    """A new model, beginning with its files."""
    context.caller.require_whole_team()
    return _page(context, None, here="/models/new")


@pages.post("/models/new")
def create(context: Changing, session: Writing, form: Form) -> Response:
    """The model with its first version and a source that waits for its files; where it waits already, that one."""
    if waiting := places.waiting(session, context.caller, form.get("name"), form.get("variant") or DEFAULT):
        waiting.model_type = form.get("type") or ModelType.ONNX
        return placed(waiting)
    model = models.create(
        session,
        context.caller,
        name=form.get("name"),
        summary=form.get("summary").strip(),
        visibility=form.get("visibility") or Visibility.TEAM,
    )
    return placed(source_for(session, context.caller, model.id, form))


@pages.get("/models/{model_id}/upload")
def version_page(model_id: Id, context: Changing, session: Reading, variant: Word = "") -> Response:
    """A new version of a model."""
    model = resolve.model(session, context.caller, Address(model_id))
    access.changeable(session, context.caller, Model, model.id)
    names = [row.name for row in variants.of_model(session, context.caller, model.id)]
    return _page(context, model, here=f"/models/{model.id}/upload", names=names, variant=variant)


@pages.post("/models/{model_id}/upload")
def add_version(model_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """The version, and a source that waits for its files."""
    return placed(source_for(session, context.caller, model_id, form))


@pages.post("/models/new/withdrawn")
def withdraw_model(context: Changing, session: Writing, form: Form) -> Response:
    """What came is no model: the name is free again."""
    places.withdraw(session, context.caller, form.get("instance"), with_model=True)
    return Response(status_code=204)


@pages.post("/models/{model_id}/upload/withdrawn")
def withdraw_version(model_id: Id, context: Changing, session: Writing, form: Form) -> Response:
    """What came is no model: the model is as it was."""
    places.withdraw(session, context.caller, form.get("instance"), with_model=False)
    return Response(status_code=204)


@pages.get("/instances/{instance_id}/upload")
def resume_page(instance_id: Id, context: Changing, session: Reading) -> Response:
    """A source that still waits for files: after a reload, or another day."""
    row = access.changeable(session, context.caller, Instance, instance_id)
    row = instances.instance(session, context.caller, row.id)
    model = resolve.model(session, context.caller, Address(row.model_id))
    return _page(context, model, here="", waiting=row)


@pages.get("/instances/{instance_id}/detected")
def detected(instance_id: Id, context: Open, session: Reading) -> Response:
    """What was found in the files that have come."""
    row = instances.instance(session, context.caller, instance_id)
    model = resolve.model(session, context.caller, Address(row.model_id))
    return context.part("detected.html", row=row, reports=list(reports_of(row.facts).values()), back=model_path(model))


def _page(
    context: PageContext,
    model: Model | None,
    *,
    here: str,
    names: list[str] | None = None,
    variant: str = "",
    waiting: Instance | None = None,
) -> Response:
    return context.page(
        "arrival.html",
        model=model,
        here=here,
        names=names or [],
        variant=variant,
        waiting=waiting,
        first=FIRST,
        formats=formats(),
        visibilities=list(LISTED),
        titles=imports.offered(context.at.settings),
        on_its_way=waiting is not None and imports.standing(context.at, waiting.id) is not None,
        back=model_path(model) if model else "/models",
    )


def source_for(session: Session, caller: Caller, model_id: str, form: Fields) -> Instance:
    """A source of a new version, which waits for its files."""
    place = variants.add_version(
        session,
        caller,
        model_id,
        name=form.get("variant") or DEFAULT,
        version=form.get("version").strip() or None,
        changelog=form.get("changelog").replace("\r\n", "\n").strip(),
    )
    kind = form.get("type") or ModelType.ONNX
    return instances.create(session, caller, place.id, name=form.get("file") or "source", model_type=kind)


def placed(row: Instance, page: str = "") -> Response:
    """The page goes on by itself from here: what was chosen in it would be lost with it."""
    return JSONResponse({"instance_id": row.id, "page": page or f"/instances/{row.id}/upload"}, 201)
