"""Toolchains: how each stands here, how it is kept apart, what each platform needs, and what cannot be done here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Path as InPath
from fastapi.responses import Response

from oakmill.conversion import registry
from oakmill.hub import background, visibility
from oakmill.hub.state import Hub
from oakmill.registry import audit
from oakmill.settings import Settings
from oakmill.toolchains import catalog, machine
from oakmill.toolchains.base import Managed, State, Status, Toolchain
from oakmill.toolchains.installing import accepting
from oakmill.web import cache
from oakmill.web.forms.submitted import Form
from oakmill.web.page_context import Known, PageContext, Ruling, Writing
from oakmill.web.routing import page_router
from oakmill.web.views import filters

pages = page_router()

Name = Annotated[str, InPath(pattern=r"^[a-z0-9]{1,32}/[A-Za-z0-9._-]{1,64}$")]
Deed = Literal["install", "verify"]
WORKS: Mapping[Deed, background.Work] = {"install": "toolchain", "verify": "verification"}
ISOLATION = {
    "bubblewrap": (
        "ok",
        "Own file tree, own processes, no network: nothing stronger is to be had without a machine.",
    ),
    "landlock": ("ok", "Only named files can be opened, and no socket; processes of the same user are seen."),
    "none": ("error", "Tools run as any other program of this user: convert only models that you trust."),
}


@dataclass(frozen=True)
class Row:
    """A toolchain with what is known of it here."""

    status: Status
    size: int | None
    works: tuple[background.Standing | None, background.Standing | None]

    @property
    def main_packages(self) -> dict[str, str]:
        """The packages that its name and sentence speak of, with their versions."""
        words = f"{self.status.name} {self.status.summary}".lower().replace("-", "")
        return {name: number for name, number in self.status.versions.items() if name.replace("-", "") in words}


@dataclass(frozen=True)
class Need:
    """What a conversion to a platform takes, and whether it is here."""

    platform: str
    made: str
    tools: list[tuple[str, State]]
    limit: str

    @property
    def is_ready(self) -> bool:
        """Whether all that it takes is installed."""
        return all(state is State.INSTALLED for _, state in self.tools)


@pages.get("/toolchains")
def list_page(context: Known) -> Response:
    """All toolchains."""
    settings = context.at.settings
    rows = [_row(context, toolchain) for toolchain in catalog.all_toolchains(settings)]
    found = machine.examine(settings)
    return context.page(
        "toolchains.html",
        rows=rows,
        needs=needs(settings),
        isolation=found["isolation"],
        wall=ISOLATION[found["isolation"]["level"]],
        folders=found["folders"],
        may_install=context.caller.may_for_whole_team("admin"),
    )


@pages.get("/toolchains/{name:path}/standing/{deed}")
def standing(name: Name, deed: Deed, context: Known) -> Response:
    """How far an installation or verification is: a piece of the page."""
    work = background.standing(context.at, WORKS[deed], catalog.find(name, context.at.settings).name)
    return context.part("standing.html", work=work, address=f"/toolchains/{name}/standing/{deed}")


@pages.post("/toolchains/{name:path}/{deed}")
def begin(name: Name, deed: Deed, context: Ruling, session: Writing, form: Form) -> Response:
    """Begin to install or to verify a toolchain, in the background; with the licence that the form accepts."""
    visibility.require_tools(context.caller)
    settings = accepting(context.at.settings, *form.all("accept_licence"))
    toolchain = catalog.find(name, settings)
    if deed == "install" and isinstance(toolchain, Managed):
        toolchain.require_leave()
    audit.record(session, context.caller, f"toolchain.{deed}", toolchain.name)
    background.begin(context.at, WORKS[deed], toolchain.name, settings)
    return context.go(f"/toolchains#{toolchain.name}")


def _row(context: PageContext, toolchain: Toolchain) -> Row:
    status = toolchain.status()
    works = (
        background.standing(context.at, "toolchain", toolchain.name),
        background.standing(context.at, "verification", toolchain.name),
    )
    known = cache.known(_sizes(context.at), _identity(status))
    return Row(status, known["bytes"] if known else None, works)


@pages.get("/toolchains/{name:path}/size")
def size(name: Name, context: Known) -> Response:
    """What a toolchain takes on the disk: a piece of the page, as there are many thousands of files to ask."""
    status = catalog.find(name, context.at.settings).status()
    found = cache.answer(_sizes(context.at), _identity(status), lambda: {"bytes": _bytes(status.folder)})
    return Response(filters.size(found["bytes"]), media_type="text/plain")


def _sizes(at: Hub) -> Path:
    return at.settings.hub.absolute() / "sizes"


def _identity(status: Status) -> list[str]:
    return [status.name, status.digest]


def _bytes(folder: Path | None) -> int:
    if folder is None:
        return 0
    return sum((Path(place) / name).lstat().st_size for place, _, files in os.walk(folder) for name in files)


def needs(settings: Settings) -> list[Need]:
    """What each platform takes."""
    return [_need(settings, row) for row in registry.ROWS.values()]


def _need(settings: Settings, row: registry.Row) -> Need:
    tools = [(tool.name, tool.status().state) for tool in registry.needed_toolchains(row.facts.spec(), settings)]
    outcome = row.outcome(settings)
    return Need(row.facts.name, outcome.made, tools, outcome.limit)
