"""Keeps other sites' pages from acting through a browser that is signed in here: the one rule of all faces."""

from __future__ import annotations

from fastapi import Request

from oakmill.errors import Forbidden

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
        own = origin.partition("://")[2] == request.headers.get("host")
    else:
        own = request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    if not own:
        raise Forbidden("This request was made by a page of another site.", remedy="Use the hub's own pages, or a key.")
