"""Keeps other sites' pages from acting through a browser that is signed in here: the one rule of all faces."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request

from oakmill.errors import Forbidden
from oakmill.settings import Settings

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


def require_own_page(request: Request) -> None:
    """Go on only where nothing is changed, or where one of the hub's own pages, or no browser, asks.

    Raises:
        Forbidden: the browser says that another site's page asks.
    """
    if request.method in SAFE:
        return
    origin = request.headers.get("origin")
    if origin is not None:
        own = origin in _own_origins(request)
    else:
        own = request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    if not own:
        raise Forbidden(
            f"This request was made by a page of another site, {origin or 'which it does not name'}.",
            remedy="Use the hub's own pages, or a key. If it is its own, and a proxy stands before it, the operator "
            "names that in OAKMILL_TRUSTED_PROXIES, or the hub's address in OAKMILL_PUBLIC_URL.",
        )


def _own_origins(request: Request) -> set[str]:
    """Scheme and host as the client asked for them, and as the operator says them: http is not https."""
    settings: Settings = request.app.state.settings
    asked = f"{request.url.scheme}://{request.headers.get('host')}"
    told = urlsplit(settings.public_url or asked)
    return {asked, f"{told.scheme}://{told.netloc}"}
