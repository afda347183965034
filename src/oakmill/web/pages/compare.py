"""Any number of instances side by side: asked, tools, size, accuracy and graph, as charts and row by row."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import Query
from fastapi.responses import Response
from pydantic import StringConstraints
from sqlalchemy.orm import Session

from oakmill.conversion.output.compare import compare
from oakmill.conversion.passport import page as passport_page
from oakmill.errors import OakmillError, SpecError
from oakmill.hub.state import Hub
from oakmill.registry import instances, resolve, search
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import Instance, InstanceStatus, Origin, Role
from oakmill.web.page_context import Open, PageContext, Reading
from oakmill.web.routing import page_router
from oakmill.web.views import anatomy, documents, filters, measured
from oakmill.web.views.job import file_of
from oakmill.web.views.side_by_side import Line, Section, across, charts

pages = page_router()

MOST, COLUMNS = 200, 12
"""Instances to choose from, and those that one page puts side by side."""
Name = Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_-]*$")]
Names = Annotated[
    list[Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_-]*$")]],
    Query(default_factory=list, alias="with", max_length=64),
]
SECTIONS = {
    "instance": "The instances",
    "accuracy": "Accuracy",
    "size": "Size",
    "spec": "What was asked",
    "tools": "Tools",
    "graph": "Graph",
    "operators": "Operators of the sources",
    "files": "Inside the files",
}


@pages.get("/compare")
def compare_page(context: Open, session: Reading, several: Names, a: Name = "", b: Name = "") -> Response:
    """The comparison; with one instance or none, what could be compared."""
    names = [name for name in dict.fromkeys((a, b, *several)) if name]
    if len(names) > COLUMNS:
        raise SpecError(
            f"{len(names)} instances do not fit side by side.", subject="with", remedy=f"Choose {COLUMNS} at most."
        )
    sides = [instances.instance(session, context.caller, name) for name in names]
    sections, problem = _compared(context, session, sides) if len(sides) > 1 else ([], None)
    choices = _choices(context, session, sides)
    models = {row.model_id: resolve.model(session, context.caller, Address(row.model_id)) for row in sides}
    return context.page(
        "compare.html",
        sides=sides,
        models=models,
        choices=choices,
        most=COLUMNS,
        sections=sections,
        charts=charts(sides) if len(sides) > 1 else [],
        tally={kind: sum(item.count(kind) for item in sections) for kind in ("different", "single", "equal")},
        problem=problem,
        equal_bytes=len(sides) > 1 and len({row.sha256 for row in sides}) == 1,
    )


def _choices(context: PageContext, session: Session, sides: Sequence[Instance]) -> list[Instance]:
    """What can be added: other instances of the same model; where none is chosen yet, the latest that one sees."""
    query = search.Query(
        model_id=sides[0].model_id if sides else None,
        status=InstanceStatus.AVAILABLE,
        origin=None if sides else Origin.CONVERTED,
        sort="created",
        limit=MOST,
    )
    chosen = {row.id for row in sides}
    return [row for row in search.instances(session, context.caller, query).items if row.id not in chosen]


def _compared(
    context: PageContext, session: Session, sides: Sequence[Instance]
) -> tuple[list[Section], OakmillError | None]:
    """All sections; and what kept the files from being compared, if anything did."""
    lines = [*across("instance", [_about(row) for row in sides])]
    lines += across("accuracy", [_measured(context.at, row) for row in sides])
    problem = None
    try:
        if all(row.origin == Origin.CONVERTED for row in sides):
            lines += _results(context.at, sides)
        lines += _operators(context, session, sides)
    except OakmillError as error:
        problem = error
    found = ((title, tuple(line for line in lines if line.section == name)) for name, title in SECTIONS.items())
    return [Section(title, own) for title, own in found if own], problem


def _about(row: Instance) -> dict[str, str]:
    return {
        "platform or format": row.model_type,
        "precision": filters.precision(row.precision or "") or "–",
        "tool version": row.tool_version or "–",
        "verdict": row.verdict or "–",
        "on a camera": measured.words(row.facts) or "–",
        "input shapes": ", ".join(map(filters.shape, row.input_shape)) or "–",
        "file": f"{filters.size(row.size)}, sha256 {filters.short(row.sha256)}",
        "opset": filters.plain(row.facts.get("opset")) or "–",
    }


def _measured(at: Hub, row: Instance) -> dict[str, str]:
    """The numbers that say most, whatever the method: two platforms are measured by different ones."""
    found: dict[str, str] = {}
    passport = documents.passport_in(documents.json_of(at, file_of(row.files, Role.PASSPORT)))
    for words, number, method, _ in passport_page.headlines(passport)[:-1] if passport else ():
        found[words] = f"{found[words]}; {number} {method}" if words in found else f"{number} {method}"
    return found


def _results(at: Hub, sides: Sequence[Instance]) -> list[Line]:
    """What `oakmill compare` says of the first and each other one, in one table."""
    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        first, *others = (_fetched(at, row, Path(folder) / str(place)) for place, row in enumerate(sides))
        pairs = [compare(first, other, at.settings).rows for other in others]
    keys = dict.fromkeys((row.section, row.what) for rows in pairs for row in rows)
    found = [{(row.section, row.what): row for row in rows} for rows in pairs]
    lines = []
    for section, what in keys:
        own = next(rows[section, what].a for rows in found if (section, what) in rows)
        # A pair that does not name a row has the same on both sides.
        values = (rows[section, what].b if (section, what) in rows else own for rows in found)
        lines.append(Line(section, what, (own, *values)))
    return lines


def _fetched(at: Hub, row: Instance, folder: Path) -> Path:
    folder.mkdir()
    for file in row.files:
        if file.role in (Role.MODEL, Role.PASSPORT, Role.RECIPE):
            at.blobs.fetch(file.sha256, folder / Path(file.name).name)
    return folder


def _operators(context: PageContext, session: Session, sides: Sequence[Instance]) -> Iterator[Line]:
    """How often each operator stands in the sources; where all came from one, that alone."""
    sources = [_source(context, session, row) for row in sides]
    if len({row.sha256 for row in sources}) == 1:
        yield Line("operators", "source", tuple(f"{row.name}, sha256 {filters.short(row.sha256)}" for row in sources))
        return
    counts = [_count(context, row) for row in sources]
    yield from across("operators", [{"all nodes": sum(found.values()), **found} for found in counts])


def _source(context: PageContext, session: Session, row: Instance) -> Instance:
    above = instances.lineage(session, row)
    return instances.instance(session, context.caller, above[-1].id) if above else row


def _count(context: PageContext, source: Instance) -> dict[str, int]:
    if file_of(source.files, Role.MODEL) is None:
        return {}
    return {item.op: item.count for item in anatomy.made(context.at, source, context.owner).operations}
