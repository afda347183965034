"""A model's graph: counted and marked by the hub, and drawn by Netron, which is served so that it calls nobody."""

from __future__ import annotations

import importlib.resources
import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Query
from fastapi.responses import FileResponse, Response, StreamingResponse
from sqlalchemy.orm import Session

from oakmill.conversion.passport import network_charts
from oakmill.conversion.passport.layers import Layers
from oakmill.errors import NotFound, UnsupportedModel
from oakmill.files import below
from oakmill.preflight.findings import reports_of
from oakmill.registry import instances, resolve
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import Instance, InstanceFile, Role
from oakmill.spec.platforms import PLATFORMS, PlatformName
from oakmill.untrusted.questions import VIEW
from oakmill.web.forms.choices import families_by_hand
from oakmill.web.page_context import Known, Open, Reading
from oakmill.web.routing import Id, page_router
from oakmill.web.views import anatomy, documents, heads
from oakmill.web.views.filters import model_path
from oakmill.web.views.job import file_of

pages = page_router()

Head = Annotated[str, Query(max_length=64)]
"""The family that somebody chose by hand."""
DRAWN = ("ONNX", "IR", "TFLITE")
NETRON = Path(str(importlib.resources.files("netron")))
POLICY = (
    "default-src 'self' 'unsafe-inline' data: blob:; script-src 'self'; connect-src 'self'; object-src 'none'; "
    "frame-ancestors 'self'"
)
_META = re.compile(rb'<meta name="version" content=".*?">\s*<meta name="date" content=".*?">')
_PLAIN = b'<meta name="type" content="Hub"><meta name="version" content="0.0.0">'


MOST = 12
"""Quantized files that a source offers to colour its graph by: the latest."""


@dataclass(frozen=True)
class Damage:
    """What a quantized file's passport says of each tensor; `layers` is None where it says nothing."""

    row: Instance
    layers: Layers | None

    @property
    def looks(self) -> dict[str, str]:
        """By tensor, how much its own rounding hurts it."""
        return {item.name: item.severity("own").value for item in (self.layers.tensors if self.layers else ())}


@pages.get("/instances/{instance_id}/graph")
def graph_page(
    instance_id: Id,
    context: Open,
    session: Reading,
    wait: bool = False,
    platform: PlatformName | None = None,
    head: Head = "",
    quantized: Id | None = None,
) -> Response:
    """The graph of a source; for a platform, with the nodes that its conversion would cut off, as what is recognised or
    as the family that one chooses; for a quantized file that was made of it, with the damage to each tensor."""
    row = instances.instance(session, context.caller, instance_id)
    model = resolve.model(session, context.caller, Address(row.model_id))
    _require_drawn(row)
    found = anatomy.known(context.at, row)
    if wait and found is None:
        found = anatomy.made(context.at, row, context.owner)
    return context.page(
        "graph.html",
        row=row,
        model=model,
        back=model_path(model),
        anatomy=anatomy.Anatomy(found, reports_of(row.facts)) if found else None,
        platforms=list(PLATFORMS),
        about=PLATFORMS,
        platform=platform,
        head=heads.family_of(head),
        families=families_by_hand(),
        quantized=(made := _quantized(session, row)),
        damage=_damage(context, made, quantized),
        along=network_charts.bars,
    )


def _quantized(session: Session, row: Instance) -> Sequence[tuple[Instance, InstanceFile]]:
    """The latest quantized files that were made of it, each with its passport."""
    found = (
        (item, file_of(instances.files_of(session, item), Role.PASSPORT)) for item in instances.children(session, row)
    )
    return [(item, file) for item, file in found if file and (item.precision or "").upper().startswith("INT")][:MOST]


def _damage(context: Open, made: Sequence[tuple[Instance, InstanceFile]], asked: str | None) -> Damage | None:
    """What quantization did to the file that is asked for.

    Raises:
        NotFound: it is none of those.
    """
    if asked is None:
        return None
    found = next(((item, file) for item, file in made if item.id == asked), None)
    if found is None:
        raise NotFound(f"No quantized instance {asked!r} was made of this.", subject=asked)
    passport = documents.passport_in(documents.json_of(context.at, found[1]))
    return Damage(found[0], passport.layers if passport else None)


@pages.get("/instances/{instance_id}/graph/cut")
def cut_part(instance_id: Id, platform: PlatformName, context: Known, session: Reading, head: Head = "") -> Response:
    """What a conversion to the platform would cut off of a source: a piece of the page."""
    family = heads.family_of(head)
    row = instances.instance(session, context.caller, instance_id)
    _require_drawn(row)
    cut = heads.of(context.at, row, (), platform, family)
    return context.part("graph_cut.html", row=row, platform=platform, cut=cut, family=family, needs=heads.needs(family))


@pages.get("/graph/netron/{path:path}")
def netron(path: str, context: Open) -> Response:
    """Netron's own files. Its page is told that it is not packaged: it counts nobody, and never grows too old."""
    place = below(NETRON, path)
    if place is None or place.suffix == ".py":
        raise NotFound(f"Netron has no file {path!r}.")
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "private, max-age=3600"}
    if path != "index.html":
        return FileResponse(place, media_type=mimetypes.guess_type(place.name)[0], headers=headers)
    response = Response(_META.sub(_PLAIN, place.read_bytes()), media_type="text/html", headers=headers)
    response.set_cookie("consent", "1", path="/graph", max_age=31536000, samesite="strict")
    return response


@pages.get("/graph/files/{instance_id}/{name}")
def graph_file(instance_id: Id, name: str, context: Open, session: Reading) -> Response:
    """A file of the graph, for those who may see the instance."""
    row = instances.instance(session, context.caller, instance_id)
    headers = {"Content-Security-Policy": "sandbox", "Cache-Control": "private, max-age=3600"}
    shown = anatomy.folder_of(context.at, row) / VIEW
    if shown.is_file() and not name.endswith(".bin"):
        return FileResponse(shown, media_type="application/octet-stream", headers=headers)
    file = next((file for file in row.files if file.name == name), None)
    if file is None:
        raise NotFound(f"The instance has no file {name!r}.", subject=name)
    headers["Content-Length"] = str(file.size)
    return StreamingResponse(
        context.at.blobs.stream(file.sha256), media_type="application/octet-stream", headers=headers
    )


def _require_drawn(row: Instance) -> None:
    anatomy.model_file(row)
    if row.model_type not in DRAWN:
        raise UnsupportedModel(
            f"A graph is shown of ONNX, OpenVINO IR and TFLite; this is {row.model_type}.",
            subject=row.id,
            remedy="Look at the graph of the source that it was made from.",
        )
