"""A model's graph: counted and marked by the hub, and drawn by Netron, which is served so that it calls nobody."""

from __future__ import annotations

import importlib.resources
import json
import mimetypes
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fastapi.responses import FileResponse, Response, StreamingResponse

from oakmill.errors import NotFound, UnsupportedModel
from oakmill.hub.state import Hub
from oakmill.registry import instances, resolve
from oakmill.registry.identifiers import Address
from oakmill.registry.tables import Instance, InstanceFile, Role
from oakmill.spec.platforms import PLATFORMS
from oakmill.web import cache
from oakmill.web.apart import bench
from oakmill.web.page_context import Open, Reading
from oakmill.web.routing import Id, page_router
from oakmill.web.views.filters import model_path
from oakmill.web.views.job import file_of

pages = page_router()

DRAWN = ("ONNX", "IR", "TFLITE")
NETRON = Path(str(importlib.resources.files("netron")))
POLICY = (
    "default-src 'self' 'unsafe-inline' data: blob:; script-src 'self'; connect-src 'self'; object-src 'none'; "
    "frame-ancestors 'self'"
)
_META = re.compile(rb'<meta name="version" content=".*?">\s*<meta name="date" content=".*?">')
_PLAIN = b'<meta name="type" content="Hub"><meta name="version" content="0.0.0">'


@dataclass(frozen=True)
class Anatomy:
    """What is known of a graph, and what preflight says of its operations."""

    found: Mapping[str, Any]
    preflight: Mapping[str, Any]

    @cached_property
    def nodes(self) -> int:
        """All nodes."""
        return self._sum("count")

    @cached_property
    def parameters(self) -> int:
        """All parameters."""
        return self._sum("parameters")

    @cached_property
    def products(self) -> int:
        """All multiplications of one image."""
        return self._sum("products")

    @cached_property
    def most(self) -> int:
        """Parameters of the operation that has most."""
        return max((row["parameters"] for row in self.found["operations"]), default=0)

    @cached_property
    def marks(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The worst that is said of an operation on a platform."""
        order = {"error": 0, "warning": 1, "note": 2}
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for platform, item in self._findings():
            key = platform, item["op"]
            if key not in found or order[item["level"]] < order[found[key]["level"]]:
                found[key] = {**item, "nodes": 1 + len(item["others"])}
        return found

    @property
    def bad(self) -> list[tuple[str, dict[str, Any]]]:
        """What stands in the way, platform by platform."""
        return [(platform, item) for platform, item in self._findings() if item["level"] == "error"]

    def _findings(self) -> Iterable[tuple[str, dict[str, Any]]]:
        for platform in PLATFORMS:
            for item in self.preflight.get(platform, {}).get("findings", ()):
                if item["op"]:
                    yield platform, item

    def _sum(self, what: str) -> int:
        return sum(row[what] for row in self.found["operations"])


@pages.get("/instances/{instance_id}/graph")
def graph_page(instance_id: Id, context: Open, session: Reading, wait: bool = False) -> Response:
    """The graph of a source."""
    row = instances.instance(session, context.caller, instance_id)
    model = resolve.model(session, context.caller, Address(row.model_id))
    _require_drawn(row)
    folder = folder_of(context.at, row)
    if wait and not folder.is_dir():
        _take_apart(context.at, row, folder)
    found = json.loads((folder / "anatomy.json").read_text()) if folder.is_dir() else None
    return context.page(
        "graph.html",
        row=row,
        model=model,
        back=model_path(model),
        anatomy=Anatomy(found, row.facts.get("preflight") or {}) if found else None,
        platforms=list(PLATFORMS),
    )


@pages.get("/graph/netron/{path:path}")
def netron(path: str, context: Open) -> Response:
    """Netron's own files. Its page is told that it is not packaged: it counts nobody, and never grows too old."""
    place = (NETRON / path).resolve()
    if not place.is_relative_to(NETRON.resolve()) or not place.is_file() or place.suffix == ".py":
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
    shown = folder_of(context.at, row) / "view"
    if shown.is_file() and not name.endswith(".bin"):
        return FileResponse(shown, media_type="application/octet-stream", headers=headers)
    file = next((file for file in row.files if file.name == name), None)
    if file is None:
        raise NotFound(f"The instance has no file {name!r}.", subject=name)
    headers["Content-Length"] = str(file.size)
    return StreamingResponse(
        context.at.blobs.stream(file.sha256), media_type="application/octet-stream", headers=headers
    )


def folder_of(at: Hub, row: Instance) -> Path:
    """Where what is known of the instance's graph is cached."""
    return at.settings.hub.absolute() / "graphs" / str(row.sha256)


def model_file(row: Instance) -> InstanceFile:
    """The file that is the model.

    Raises:
        NotFound: it has not come yet.
    """
    found = file_of(row.files, Role.MODEL)
    if found is None:
        raise NotFound(f"The instance {row.name!r} has no file yet.", subject=row.id, remedy="Wait until it is there.")
    return found


def _require_drawn(row: Instance) -> None:
    model_file(row)
    if row.model_type not in DRAWN:
        raise UnsupportedModel(
            f"A graph is shown of ONNX, OpenVINO IR and TFLite; this is {row.model_type}.",
            subject=row.id,
            remedy="Look at the graph of the source that it was made from.",
        )


def _take_apart(at: Hub, row: Instance, folder: Path) -> None:
    """Let the process apart look at the model, and keep what it says: whole, or not at all."""
    with cache.making(folder) as made, bench(at) as place:
        for file in row.files:
            place.lay(file.name, file.sha256)
        found = place.ask("anatomy", {"model": model_file(row).name, "source_max_mb": at.settings.source_max_mb})
        view = place.outside / "view"
        if view.is_file() and not view.is_symlink():
            shutil.move(view, made / "view")
        (made / "anatomy.json").write_text(json.dumps(found))
