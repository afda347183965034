"""Follows each request: what it is called in its answer and in the log, what came of it, and how long it took.

The identifier is the client's own (X-Request-ID), where it looks like one, so that a company's traces go through.
"""

from __future__ import annotations

import logging
import re
import secrets
import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oakmill.hub.log_lines import REQUEST
from oakmill.jobs import tracing
from oakmill.settings import Settings

HEADER = "x-request-id"
NOWHERE = "elsewhere"
"""What a request is counted as that met no route: strangers may ask for any number of addresses."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "OTHER"
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_access = logging.getLogger("oakmill.access")


class Traffic:
    """What a process has answered since it began."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("oakmill_http_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "oakmill_http_seconds", "Time to a request's answer.", ("method", "route"), registry=self.registry,
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
        )  # fmt: skip

    def add(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer, by the route that gave it."""
        route, method = _route(scope), _method(scope)
        self.requests.labels(method, route, status).inc()
        self.seconds.labels(method, route).observe(seconds)


class Observed:
    """The application with its requests followed."""

    def __init__(self, app: ASGIApp, traffic: Traffic, settings: Settings) -> None:
        self._app, self._traffic, self._settings = app, traffic, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what is no request goes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _named(scope)
        mark = REQUEST.set(name)
        tracing.note(self._settings, "request_id", name)
        began, status = time.monotonic(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER.encode(), name.encode())]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            seconds = time.monotonic() - began
            self._traffic.add(scope, status, seconds)
            if self._settings.access_log:
                client = (scope.get("client") or ("-",))[0]
                _access.info("%s %s %d %.3f s from %s", _method(scope), _address(scope), status, seconds, client)
            REQUEST.reset(mark)


def _route(scope: Scope) -> str:
    """The route that answered, as it is written, below the prefix of its router."""
    written = getattr(scope.get("route"), "path", None)
    if written is None or ":path}" in written:
        return NOWHERE
    parts = scope["path"].split("/")
    return "/".join(parts[: max(0, len(parts) - written.count("/"))]) + str(written)


def _method(scope: Scope) -> str:
    """The method, or that it is another: strangers may make up any number of them."""
    return scope["method"] if scope["method"] in _METHODS else _OTHER


def _address(scope: Scope) -> str:
    """What was asked for; a token in it lets in whoever has it, so a log does not."""
    token = scope.get("path_params", {}).get("token")
    return str(scope["path"]).replace(token, "...") if token else str(scope["path"])


def _named(scope: Scope) -> str:
    given = next((value.decode("latin-1") for key, value in scope["headers"] if key == HEADER.encode()), "")
    return given if _GIVEN.fullmatch(given) else secrets.token_hex(8)
