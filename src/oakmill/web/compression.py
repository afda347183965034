"""Sends text in fewer bytes to browsers that can unpack it: pages as they are made, static files packed once."""

from __future__ import annotations

import gzip
from functools import lru_cache

from fastapi import Request, Response

SMALLEST = 1000
"""Below, the packet is as full as it was."""
_TEXT = ("text/html", "text/css", "text/javascript", "application/json", "image/svg+xml")
_CACHED_LEVEL, _MADE_LEVEL = 9, 4


def compress(request: Request, response: Response) -> None:
    """Pack what a response holds; streams and files that were not read go as they are."""
    body = getattr(response, "body", b"")
    if len(body) < SMALLEST or not response.headers.get("content-type", "").startswith(_TEXT):
        return
    response.headers.add_vary_header("Accept-Encoding")
    if "content-encoding" in response.headers or not _takes_gzip(request):
        return
    is_cached = "immutable" in response.headers.get("cache-control", "")
    response.body = _packed(bytes(body)) if is_cached else gzip.compress(body, _MADE_LEVEL, mtime=0)
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Length"] = str(len(response.body))


def _takes_gzip(request: Request) -> bool:
    asked = request.headers.get("accept-encoding", "").lower().replace(" ", "").split(",")
    return any(part.partition(";")[0] in ("gzip", "*") and not part.endswith((";q=0", ";q=0.0")) for part in asked)


@lru_cache(maxsize=64)
def _packed(body: bytes) -> bytes:
    return gzip.compress(body, _CACHED_LEVEL, mtime=0)
