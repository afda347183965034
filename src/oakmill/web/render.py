"""Draws templates: one Jinja environment that escapes everything, with the words and numbers that pages share."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from oakmill import __version__
from oakmill.conversion.passport.page import STYLE
from oakmill.errors import OakmillError
from oakmill.hub import problems
from oakmill.settings import current
from oakmill.web.icons import icon
from oakmill.web.navigation import uncounted
from oakmill.web.views import filters

HERE = Path(__file__).parent
STATIC = HERE / "static"
ELSEWHERE = {STYLE.name: STYLE}
"""Static files that belong to what is drawn in another room."""
_COMMANDS = re.compile(
    r"(?<![\w./-])oakmill(?= (?:convert|check|replay|verify|evaluate|compare|toolchains|datasets|login|models|upload|"
    r"download|jobs|logs|serve|worker|keys|backup|restore|cache|doctor)\b)"
)
"""Where a text speaks of one of this program's commands."""
_TITLES = {
    403: "You may not do this",
    404: "Nothing is here",
    409: "This cannot be done now",
    413: "Too large",
    422: "Something in the request is not right",
    429: "Too many tries",
    503: "Not at the moment",
}


@lru_cache(maxsize=1)
def tree() -> str:
    """A hash over all static files: it stands in their addresses, so that browsers may keep them for good.

    One for all, for a module that imports another by its relative address must meet the same file as the page does.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    for path in ELSEWHERE.values():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def static(name: str) -> str:
    """The address of a static file."""
    return f"/static/{tree()}/{name}"


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates, with all that they may call."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(static=static, icon=icon, oakmill_version=__version__)
    made.filters.update(filters.ALL)
    return made


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A template as an answer."""
    theme = request.cookies.get("theme", "")
    context |= {"theme": theme if theme in ("dark", "light") else "", "path": request.url.path}
    return HTMLResponse(typed(environment().get_template(template).render(context), current().command), status)


def typed(text: str, command: str) -> str:
    """A text whose commands can be typed as they stand: this program is called as it was here."""
    return text if command == "oakmill" else _COMMANDS.sub(lambda _: command, text)


def error_page(request: Request, error: OakmillError) -> HTMLResponse:
    """What happened, on what, and what to do next; as a short piece where htmx asks."""
    short = "hx-request" in request.headers
    template = "error_part.html" if short else "error.html"
    frame = {"navigation": uncounted(request.url.path), "caller": getattr(request.state, "caller", None)}
    title = _TITLES.get(error.status, "Something went wrong")
    told = problems.of(error, request.app.state.settings.home)
    return page(request, template, status=error.status, error=told, heading=title, **frame)
