"""The results of one source side by side: platforms and number formats as lines, and all of them in one zip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fastapi.responses import Response, StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from oakmill.errors import NotFound
from oakmill.files import plain_name
from oakmill.hub import bundles, files, links, visibility
from oakmill.jobs.tables import LIVE, Job
from oakmill.registry.tables import Instance, InstanceFile, Role, Visibility
from oakmill.web.forms.source import Source, source_of
from oakmill.web.page_context import Known, PageContext, Reading
from oakmill.web.pages.conversions import rows_of
from oakmill.web.routing import Id, page_router
from oakmill.web.views import matrix, measured
from oakmill.web.views.filters import model_path
from oakmill.web.views.matrix import Line

pages = page_router()

MOST = 500
"""Jobs of one source that are looked through, the latest first."""
PACKED = (Role.MODEL, Role.PASSPORT_PAGE, Role.RECIPE)


@pages.get("/instances/{instance_id}/matrix")
def matrix_page(instance_id: Id, context: Known, session: Reading) -> Response:
    """The page; while jobs are under way, its lines are asked for again and again."""
    source = source_of(session, context.caller, instance_id)
    values = shown(context, session, source)
    return context.part("matrix/rows.html", **values) if context.is_htmx else context.page("matrix/page.html", **values)


@pages.get("/instances/{instance_id}/matrix.zip")
def matrix_zip(instance_id: Id, context: Known, session: Reading) -> Response:
    """All results with their passports and recipes, a folder for each."""
    source = source_of(session, context.caller, instance_id)
    found = [
        (f"{line.folder}/{file.name}", file)
        for line in lines_of(context, session, source)
        if line.file
        for file in line.files
        if file.role in PACKED
    ]
    if not found:
        raise NotFound("No conversion of this source has a result yet.", subject=instance_id, remedy="Wait for one.")
    for _, file in found:
        files.note_download(context.at, session, context.caller, file)
    packed = [(name, file.sha256, file.size) for name, file in found]
    name = links.quoted(f"{plain_name(Path(source.file))}.zip")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return StreamingResponse(bundles.zipped(context.at.blobs, packed), headers=headers, media_type="application/zip")


def shown(context: PageContext, session: Session, source: Source) -> dict[str, Any]:
    """What the page and its lines show."""
    lines = lines_of(context, session, source)
    rows = {row.job.id: row for row in rows_of(session, [line.job for line in lines])}
    choices = list(matrix.choices(lines))
    return {
        "source": source,
        "lines": lines,
        "rows": rows,
        "choices": choices,
        "advised": {item.job_id for item in choices},
        "live": sum(line.job.status in LIVE for line in lines),
        "made": sum(line.file is not None for line in lines),
        "is_quick": source.model.visibility == Visibility.QUICK,
        "may_change": context.caller.may_change(source.row.team_id),
        "days": context.at.settings.quick_days,
        "back": model_path(source.model),
    }


def lines_of(context: PageContext, session: Session, source: Source) -> list[Line]:
    """The latest conversion of each platform and number format that the caller sees."""
    wanted = select(Job).where(Job.source_id == source.row.id, visibility.jobs(context.caller))
    jobs = matrix.latest(session.scalars(wanted.order_by(Job.number.desc()).limit(MOST)))
    below = _files(session, [job.result_id for job in jobs if job.result_id])
    facts = _facts(session, [job.result_id for job in jobs if job.result_id])
    return [
        matrix.line(job, below.get(str(job.result_id), []), measured.words(facts.get(str(job.result_id), {})))
        for job in jobs
    ]


def _facts(session: Session, results: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What is known of results, by their identifiers."""
    rows = session.execute(select(Instance.id, Instance.facts).where(Instance.id.in_(results)))
    return {row[0]: row[1] for row in rows}


def _files(session: Session, results: Iterable[str]) -> dict[str, Sequence[InstanceFile]]:
    found: dict[str, Sequence[InstanceFile]] = {}
    there = Instance.id.in_(list(results)) & Instance.trash_id.is_(None)
    query = select(InstanceFile).join(Instance, Instance.id == InstanceFile.instance_id).where(there)
    for file in session.scalars(query.order_by(InstanceFile.created, InstanceFile.id)):
        found[file.instance_id] = [*found.get(file.instance_id, ()), file]
    return found
