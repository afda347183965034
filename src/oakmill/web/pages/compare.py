"""Two instances side by side: asked, tools, size, accuracy and graph; what differs first, what is equal folded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from oakmill.conversion.output.compare import Row, compare
from oakmill.conversion.passport import page as passport_page
from oakmill.errors import OakmillError
from oakmill.hub.state import Hub
from oakmill.registry import instances, resolve, search
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import Instance, InstanceStatus, Origin, Role
from oakmill.web.page_context import Open, PageContext, Reading
from oakmill.web.routing import page_router
from oakmill.web.views import anatomy, documents, filters
from oakmill.web.views.job import file_of

pages = page_router()

MOST = 200
Name = Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_-]*$")]
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


@dataclass(frozen=True)
class Section:
    """Lines that belong together."""

    title: str
    rows: tuple[Row, ...]

    @property
    def different(self) -> list[Row]:
        """Those that both sides have, and that differ."""
        return [row for row in self.rows if not row.same and not row.is_single]

    @property
    def single(self) -> list[Row]:
        """Those that one side alone has: another platform asks for other things."""
        return [row for row in self.rows if row.is_single]

    @property
    def equal(self) -> list[Row]:
        """Those that do not."""
        return [row for row in self.rows if row.same]


@pages.get("/compare")
def compare_page(context: Open, session: Reading, a: Name = "", b: Name = "") -> Response:
    """The comparison; with one instance or none, what could be compared."""
    sides = [instances.instance(session, context.caller, name) for name in (a, b) if name]
    sections, problem = _compared(context, session, sides) if len(sides) == 2 else ([], None)
    choices = _choices(context, session, sides)
    models = {row.model_id: resolve.model(session, context.caller, Address(row.model_id)) for row in sides}
    return context.page(
        "compare.html",
        sides=sides,
        models=models,
        choices=choices,
        chosen=(a, b),
        sections=sections,
        problem=problem,
        equal_bytes=len(sides) == 2 and sides[0].sha256 == sides[1].sha256,
    )


def _choices(context: PageContext, session: Session, sides: Sequence[Instance]) -> list[Instance]:
    """What can be chosen: the instances of the same model; where none is chosen yet, the latest that one sees."""
    query = search.Query(
        model_id=sides[0].model_id if sides else None,
        status=InstanceStatus.AVAILABLE,
        origin=None if sides else Origin.CONVERTED,
        sort="created",
        limit=MOST,
    )
    found = list(search.instances(session, context.caller, query).items)
    return [*(row for row in sides if row.id not in {item.id for item in found}), *found]


def _compared(
    context: PageContext, session: Session, sides: Sequence[Instance]
) -> tuple[list[Section], OakmillError | None]:
    """All sections; and what kept the files from being compared, if anything did."""
    a, b = sides
    rows = [*_rows("instance", _about(a), _about(b))]
    rows += _rows("accuracy", *(_measured(context.at, row) for row in sides))
    problem = None
    try:
        if all(row.origin == Origin.CONVERTED for row in sides):
            rows += _results(context.at, a, b)
        rows += _operators(context, session, a, b)
    except OakmillError as error:
        problem = error
    found = ((title, tuple(row for row in rows if row.section == name)) for name, title in SECTIONS.items())
    return [Section(title, own) for title, own in found if own], problem


def _about(row: Instance) -> dict[str, str]:
    return {
        "platform or format": row.model_type,
        "precision": filters.precision(row.precision or "") or "–",
        "tool version": row.tool_version or "–",
        "verdict": row.verdict or "–",
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


def _rows(section: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Row]:
    for what in dict.fromkeys((*a, *b)):
        yield Row(section, what, str(a.get(what, "–")), str(b.get(what, "–")))


def _results(at: Hub, a: Instance, b: Instance) -> tuple[Row, ...]:
    """What `oakmill compare` says of the two."""
    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        places = [_fetched(at, row, Path(folder) / side) for row, side in ((a, "a"), (b, "b"))]
        return compare(places[0], places[1], at.settings).rows


def _fetched(at: Hub, row: Instance, folder: Path) -> Path:
    folder.mkdir()
    for file in row.files:
        if file.role in (Role.MODEL, Role.PASSPORT, Role.RECIPE):
            at.blobs.fetch(file.sha256, folder / Path(file.name).name)
    return folder


def _operators(context: PageContext, session: Session, a: Instance, b: Instance) -> Iterator[Row]:
    """How often each operator stands in the two sources; where both came from one, that alone."""
    sources = [_source(context, session, row) for row in (a, b)]
    if sources[0].sha256 == sources[1].sha256:
        yield Row("operators", "source", *(f"{row.name}, sha256 {filters.short(row.sha256)}" for row in sources))
        return
    counts = [_count(context, row) for row in sources]
    yield from _rows("operators", *({"all nodes": sum(found.values()), **found} for found in counts))


def _source(context: PageContext, session: Session, row: Instance) -> Instance:
    above = instances.lineage(session, row)
    return instances.instance(session, context.caller, above[-1].id) if above else row


def _count(context: PageContext, source: Instance) -> dict[str, int]:
    if file_of(source.files, Role.MODEL) is None:
        return {}
    return {item.op: item.count for item in anatomy.made(context.at, source, context.owner).operations}
