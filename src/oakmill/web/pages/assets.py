"""Static files: style, modules and libraries, which browsers keep for good under an address that says their content."""

from __future__ import annotations

import mimetypes

from fastapi import Response
from fastapi.responses import FileResponse

from oakmill import files
from oakmill.errors import NotFound
from oakmill.web.render import ELSEWHERE, STATIC, tree
from oakmill.web.routing import page_router

pages = page_router()

_FOR_GOOD = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@pages.get("/static/{version}/{path:path}")
def static_file(version: str, path: str) -> Response:
    """A file; one of another version than ours is not to be cached."""
    place = ELSEWHERE.get(path) or files.below(STATIC, path)
    if place is None or not place.is_file():
        raise NotFound(f"There is no file {path!r}.", remedy="Reload the page; ./run fetches the libraries.")
    kind = _TYPES.get(place.suffix) or mimetypes.guess_type(place.name)[0]
    caching = _FOR_GOOD if version == tree() else "no-cache"
    return Response(place.read_bytes(), media_type=kind, headers={"Cache-Control": caching})


@pages.get("/favicon.ico")
def favicon() -> FileResponse:
    """Browsers ask for it here, whatever the page says."""
    return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})
