"""Calibration sets: the named ones and how they are installed, the team's own, and the page that examines one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Path as InPath
from fastapi import Query
from fastapi.responses import Response

from oakmill.calibration.datasets import RANDOM_WARNING, SETS, Entry, State, entries, load
from oakmill.calibration.doctor import ENOUGH, FILES, diagnosis_of
from oakmill.errors import Conflict, NotFound
from oakmill.hub import background, sets, visibility
from oakmill.hub.removal import remove_dataset
from oakmill.registry import audit, datasets
from oakmill.web.forms.submitted import Form
from oakmill.web.page_context import Changing, Known, PageContext, Reading, Ruling, Writing
from oakmill.web.routing import Id, page_router
from oakmill.web.views import albums
from oakmill.web.views.albums import SetFiles
from oakmill.web.views.examination import CALIBRATION_IMAGES, Asked, examine

pages = page_router()

SHOWN_IN_LIST = 4

Name = Annotated[str, InPath(pattern=r"^[a-z]{1,32}$")]
Asking = Annotated[Asked, Query()]


@pages.get("/datasets")
def list_page(context: Known, session: Reading) -> Response:
    """All sets that the caller may name."""
    settings = context.at.settings
    own = datasets.listed(session, context.caller)
    named = [_Named(entry, _small(context, entry)) for entry in entries(settings) if entry.name in SETS]
    return context.page(
        "datasets.html",
        named=named,
        sets=SETS,
        works={item.entry.name: background.standing(context.at, "set", item.entry.name) for item in named},
        own=own,
        doctors={row.id: diagnosis_of(row.report["doctor"]) for row in own if row.report.get("doctor")},
        random_warning=RANDOM_WARNING,
        may_install=context.caller.may_for_whole_team("admin"),
        may_add=context.caller.may_for_whole_team("convert"),
        largest=settings.datasets_max_mb,
        default=CALIBRATION_IMAGES,
    )


@dataclass(frozen=True)
class _Named:
    """A named set, and the numbers of the small images that the list shows."""

    entry: Entry
    small: range


def _small(context: PageContext, entry: Entry) -> range:
    """Images are shown once the set's page was looked at, for to make them takes a while."""
    if entry.state is not State.INSTALLED or not (record := load(entry.name, context.at.settings)):
        return range(0)
    there = albums.is_made(context.at, SetFiles.of_record(record, context.at.settings))
    return range(min(SHOWN_IN_LIST, entry.images)) if there else range(0)


@pages.post("/datasets/named/{name}/install")
def install(name: Name, context: Ruling, session: Writing) -> Response:
    """Begin to install a named set, in the background."""
    visibility.require_tools(context.caller)
    _require_named(name)
    audit.record(session, context.caller, "dataset.install", name)
    background.begin(context.at, "set", name)
    return standing(name, context) if context.is_htmx else context.go("/datasets#" + name)


@pages.get("/datasets/named/{name}/standing")
def standing(name: Name, context: Known) -> Response:
    """How far the installation of a set is: a piece of the page, which asks again while there is more to come."""
    _require_named(name)
    work = background.standing(context.at, "set", name)
    part = context.part("standing.html", work=work, address=f"/datasets/named/{name}/standing")
    if work and not work.is_running and not work.error:
        part.headers["HX-Trigger"] = "set-installed"
    return part


@pages.get("/datasets/named/{name}")
def named_page(name: Name, context: Known, asking: Asking) -> Response:
    """A named set: what it is, and what it would do as calibration."""
    _require_named(name)
    entry = next(entry for entry in entries(context.at.settings) if entry.name == name)
    record = load(name, context.at.settings) if entry.state is State.INSTALLED else None
    found = SetFiles.of_record(record, context.at.settings) if record else None
    return _page(
        context, found, asking, title=name, address=f"/datasets/named/{name}", named=SETS[name], entry=entry,
        record=record, work=background.standing(context.at, "set", name),
    )  # fmt: skip


@pages.get("/datasets/named/{name}/images/{number}.jpg")
def named_image(name: Name, number: int, context: Known) -> Response:
    """A small image of what is in a named set."""
    record = load(name, context.at.settings) if name in SETS else None
    if record is None:
        raise NotFound(f"The set {name!r} is not installed.", subject=name)
    return _image(context, SetFiles.of_record(record, context.at.settings), number)


@pages.get("/datasets/{dataset_id}")
def own_page(dataset_id: Id, context: Known, session: Reading, asking: Asking) -> Response:
    """A set of the team's own."""
    row = datasets.seen(session, context.caller, dataset_id)
    address = f"/datasets/{row.id}"
    return _page(context, SetFiles.of_row(row), asking, title=row.name, address=address, row=row)


@pages.get("/datasets/{dataset_id}/images/{number}.jpg")
def own_image(dataset_id: Id, number: int, context: Known, session: Reading) -> Response:
    """A small image of what is in a set of the team's own."""
    return _image(context, SetFiles.of_row(datasets.seen(session, context.caller, dataset_id)), number)


@pages.post("/datasets/{dataset_id}/remove")
def delete(dataset_id: Id, context: Changing, session: Writing) -> Response:
    """Delete a set of the team's own."""
    row = datasets.seen(session, context.caller, dataset_id)
    remove_dataset(context.at, session, context.caller, row.id)
    albums.forget(context.at, row.sha256)
    return context.go("/datasets")


@pages.post("/datasets/{dataset_id}/clear")
def clear(dataset_id: Id, context: Changing, session: Reading, form: Form) -> Response:
    """Take out of a set what one of its findings names: damaged files, or copies."""
    row = datasets.seen(session, context.caller, dataset_id)
    found = albums.album(context.at, SetFiles.of_row(row), context.owner).facts.doctor.findings
    names = {name for item in found if item.code == form.get("code") for name in item.evidence.get(FILES, ())}
    if not names:
        raise Conflict("No such files are in the set any more.", subject=row.id, remedy="Reload the page of the set.")
    session.expunge(row)
    sets.clear(context.at, context.caller, row, names)
    return context.go(f"/datasets/{dataset_id}")


def _require_named(name: str) -> None:
    if name not in SETS:
        raise NotFound(f"There is no named set {name!r}.", subject=name, remedy=f"There are: {', '.join(SETS)}.")


def _image(context: PageContext, files: SetFiles, number: int) -> Response:
    if not albums.is_made(context.at, files):  # made for the page, never for each of its images
        raise NotFound("The set was not looked at yet.", remedy="Open its page.")
    headers = {"Cache-Control": "private, max-age=86400"}
    return Response(albums.image(context.at, files, number), media_type="image/jpeg", headers=headers)


def _page(context: PageContext, files: SetFiles | None, asking: Asked, **shown: Any) -> Response:
    """A set's page; what takes a while is left out, and asked for by the page itself, unless it is there."""
    told = {"row": None, "named": None, "record": None, "entry": None, "work": None} | shown
    ready = files is not None and (asking.wait or albums.is_made(context.at, files, asking.expected))
    report = examine(context.at, files, asking, context.owner) if ready and files else None
    return context.page(
        "dataset.html", files=files, asking=asking, report=report, precisions=list(ENOUGH), query=asking.query,
        may_install=context.caller.may_for_whole_team("admin"), may_delete=context.caller.may("convert"),
        days=context.at.settings.trash_days, **told,
    )  # fmt: skip
