"""An instance's page: what the file is, how accurate, from what and how it was made, what else there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import Query
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from oakmill.conversion.passport import page as passport_page
from oakmill.errors import NotFound, OakmillError
from oakmill.hub import files, visibility
from oakmill.jobs.tables import Job
from oakmill.preflight.findings import reports_of
from oakmill.registry import instances, resolve, search
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Origin, Role, Variant, Version
from oakmill.web.page_context import Open, PageContext, Reading
from oakmill.web.pages import on_camera
from oakmill.web.pages.jobs import datasets_of
from oakmill.web.routing import Id, page_router
from oakmill.web.views import documents, edits, pictures, remedies, snippets
from oakmill.web.views.job import file_of, steps_of
from oakmill.web.views.parameters import parameters_of

pages = page_router()

MOST = 200
Tab = Literal["", "passport", "camera", "recipe", "parameters", "preflight", "lineage", "compare"]
TABS: Mapping[str, str] = {
    "passport": "Passport",
    "camera": "Run on a camera",
    "recipe": "Recipe",
    "parameters": "Parameters",
    "preflight": "Platforms",
    "lineage": "Lineage",
    "compare": "Compare with …",
}
STORED_PAGE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; "
    "sandbox",
    "Cache-Control": "private, no-cache",
}


@pages.get("/instances/{instance_id}")
def instance_page(instance_id: Id, context: Open, session: Reading, tab: Tab = "") -> Response:
    """An instance, opened at one of its tabs."""
    row = instances.instance(session, context.caller, instance_id)
    tabs = {name: label for name, label in TABS.items() if name in _tabs_of(row)}
    chosen = tab if tab in tabs else next(iter(tabs))
    file = file_of(row.files, Role.MODEL)
    job = _job(context, session, row)
    shown = _SHOWN[chosen](context, session, row)
    model = resolve.model(session, context.caller, Address(row.model_id))  # last: what else is read forgets its team
    return context.page(
        "instance/page.html",
        row=row,
        model=model,
        file=file,
        calibrated_with=datasets_of(session, [row.quantization_data]).get(
            row.quantization_data or "", row.quantization_data
        ),
        variant=session.get_one(Variant, row.variant_id),
        version=session.get_one(Version, row.version_id),
        above=instances.lineage(session, row),
        job=job,
        tabs=tabs,
        tab=chosen,
        snippet=snippets.of(context, model=model, instance=row, file=file.name) if file else None,
        may_change=context.caller.may_change(row.team_id),
        **_ways_on(session, job, row),
        **shown,
    )


@pages.get("/instances/{instance_id}/download")
def download(
    instance_id: Id, context: Open, session: Reading, file: str = Query("", max_length=64, pattern=r"^\w*$")
) -> Response:
    """On to the file itself, or one of its documents, by a link that works for a while."""
    row = instances.instance(session, context.caller, instance_id)
    found = next((item for item in row.files if file in ("", item.id) and (file or item.role == Role.MODEL)), None)
    if found is None:
        raise NotFound(f"The instance {row.name!r} has no file yet.", subject=row.id, remedy="Wait for its conversion.")
    return RedirectResponse(files.link(context.at, context.request, context.caller, found).url, 303)


@pages.get("/instances/{instance_id}/passport")
def stored_passport(instance_id: Id, context: Open, session: Reading, camera: bool = False) -> Response:
    """The passport's own page, or the camera's, as it was stored; it may show its images and its style, and no more."""
    row = instances.instance(session, context.caller, instance_id)
    file = file_of(row.files, Role.MEASURED_PAGE if camera else Role.PASSPORT_PAGE)
    if file is None:
        raise NotFound(f"The instance {row.name!r} has no passport.", subject=row.id, remedy="Convert it again.")
    return Response(documents.read(context.at, file), media_type="text/html; charset=utf-8", headers=STORED_PAGE)


def _tabs_of(row: Instance) -> set[str]:
    roles = {file.role for file in row.files}
    found = {"lineage", "compare"}
    found |= {"passport"} if Role.PASSPORT in roles else set()
    found |= {"recipe"} if Role.RECIPE in roles else set()
    found |= {"parameters"} if row.origin == Origin.CONVERTED else set()
    is_made = row.origin == Origin.CONVERTED and row.status == InstanceStatus.AVAILABLE
    found |= {"camera"} if is_made and Role.MODEL in roles else set()
    return found | ({"preflight"} if row.facts.get("preflight") else set())


def _job(context: PageContext, session: Session, row: Instance) -> Job | None:
    """The job that made it, where the caller sees jobs."""
    if row.job_id is None or not context.caller.is_known:
        return None
    try:
        return visibility.job(session, context.caller, row.job_id)
    except OakmillError:  # a public model of another team's: its jobs are nobody else's business
        return None


def _passport(context: PageContext, session: Session, row: Instance) -> dict[str, Any]:
    file = file_of(row.files, Role.PASSPORT)
    passport = documents.passport_in(documents.json_of(context.at, file))
    addresses = pictures.addresses(context.at, row, file, passport) if file and passport else None
    body = passport_page.body(passport, addresses) if passport else None
    return {"passport": passport, "body": body, "page_file": file_of(row.files, Role.PASSPORT_PAGE)}


def _ways_on(session: Session, job: Job | None, row: Instance) -> dict[str, Any]:
    """What helps where the result is not as it should be: the job that made it, asked again with an edit."""
    source = session.get(Instance, row.parent_id) if row.parent_id else None
    if job is None or source is None:
        return {"source": None, "steps": (), "asks_colours": False}
    return {"source": source, "steps": steps_of(job, source), "asks_colours": remedies.asks_colours(job, source)}


def _recipe(context: PageContext, session: Session, row: Instance) -> dict[str, Any]:
    file: InstanceFile | None = file_of(row.files, Role.RECIPE)
    text = documents.read(context.at, file).decode(errors="replace") if file else ""
    return {"recipe": documents.yaml_of(context.at, file), "lines": documents.marked(text), "recipe_file": file}


def _parameters(context: PageContext, session: Session, row: Instance) -> dict[str, Any]:
    return {"parameters": parameters_of(row), "inputs": row.parameters.get("inputs") or []}


def _preflight(context: PageContext, session: Session, row: Instance) -> dict[str, Any]:
    names = [item["name"] for item in row.facts.get("inputs") or ()]
    return {"reports": list(reports_of(row.facts).values()), "names": names, "edits": edits}


def _lineage(context: PageContext, session: Session, row: Instance) -> dict[str, Any]:
    """Its parents, what was made of it, and what else was made of its parent."""
    parent = session.get(Instance, row.parent_id) if row.parent_id else None
    siblings = [item for item in instances.children(session, parent) if item.id != row.id] if parent else []
    return {"children": instances.children(session, row), "siblings": siblings}


def _compare(context: PageContext, session: Session, row: Instance) -> dict[str, Any]:
    query = search.Query(model_id=row.model_id, sort="created", limit=MOST)
    found = search.instances(session, context.caller, query).items
    return {"others": [item for item in found if item.id != row.id and item.status == InstanceStatus.AVAILABLE]}


_SHOWN = {
    "passport": _passport,
    "camera": on_camera.shown,
    "recipe": _recipe,
    "parameters": _parameters,
    "preflight": _preflight,
    "lineage": _lineage,
    "compare": _compare,
}
