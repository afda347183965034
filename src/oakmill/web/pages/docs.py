"""Docs and licences, served from the package: nothing is fetched from elsewhere to read them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path as InPath
from fastapi import Query
from fastapi.responses import FileResponse, RedirectResponse, Response

from oakmill import __version__
from oakmill.web import licences
from oakmill.web.page_context import Open
from oakmill.web.routing import page_router
from oakmill.web.views import manual

pages = page_router()

FIRST = "quickstart.md"
Word = Annotated[str, Query(max_length=255)]


@pages.get("/docs")
def index() -> Response:
    """The first page."""
    return RedirectResponse(f"/docs/{FIRST}", 303)


@pages.get("/docs/images/{name}")
def image(name: Annotated[str, InPath(max_length=100)]) -> Response:
    """An image of the docs."""
    return FileResponse(manual.image(name), media_type="image/webp", headers={"Cache-Control": "max-age=3600"})


@pages.get("/docs/{path:path}")
def chapter(path: Annotated[str, InPath(max_length=200)], context: Open) -> Response:
    """A page of the docs beside the list of all."""
    found, text = manual.chapter(path)
    return context.page("docs.html", chapters=manual.chapters(), found=found, text=text)


@pages.get("/licences")
def works(context: Open) -> Response:
    """Whose work is in this hub."""
    return context.page(
        "licences.html", groups=licences.groups(context.at.settings), version=__version__, here=licences.HERE
    )


@pages.get("/licences/text")
def licence(context: Open, name: Word, group: Word = licences.HERE) -> Response:
    """The text of a package's licence."""
    work, text = licences.text_of(group, name, context.at.settings)
    return context.page("licence.html", work=work, text=text)
