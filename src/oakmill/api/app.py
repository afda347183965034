"""The hub's application: all routes under /api/v1, errors as problems, and the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.telemetry import TelemetryConfig

from oakmill import __version__
from oakmill.api import (
    agents,
    aliases,
    bundles,
    conversions,
    datasets,
    documents,
    events,
    files,
    health,
    imports,
    instances,
    jobs,
    keys,
    metrics,
    models,
    oauth,
    specs,
    storage,
    teams,
    toolchains,
    trash,
    uploads,
    variants,
    webhooks,
)
from oakmill.hub import problems
from oakmill.hub.observing import Observed, Traffic
from oakmill.hub.routing import problem_schema
from oakmill.hub.state import Hub
from oakmill.jobs import tracing
from oakmill.settings import Settings

PREFIX = "/api/v1"
PARTS = (
    health, teams, models, variants, aliases, instances, files, documents, specs, conversions, jobs, agents,
    events, uploads, datasets, toolchains, keys, webhooks, oauth, trash, storage, bundles, imports,
)  # fmt: skip
NO_TELEMETRY: TelemetryConfig = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False,
}  # fmt: skip
"""FastAPI reports to wherever the environment says, unless told not to; the hub reports to nobody by itself."""
_ABOUT = "Converts models for OAK cameras. Lists come in pages: `next_cursor` of one is the `cursor` of the next."


def create_app(settings: Settings) -> FastAPI:
    """The application with the hub's own API; `oakmill.server.app` adds what else there is."""
    app = FastAPI(
        title="Oakmill",
        version=__version__,
        description=_ABOUT,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
        telemetry=_telemetry(settings),
    )
    app.state.settings = settings
    app.state.traffic = Traffic()
    app.add_middleware(Observed, traffic=app.state.traffic, settings=settings)
    for part in PARTS:
        app.include_router(part.routes, prefix=PREFIX)
    app.add_route(f"{PREFIX}/{{rest:path}}", _nothing, ["GET", "POST", "PATCH", "DELETE"], include_in_schema=False)
    app.include_router(metrics.routes)
    problems.install(app)
    _describe_problems(app)
    return app


def _telemetry(settings: Settings) -> TelemetryConfig:
    """Traces of requests, where the operator wants them, through what we have made ourselves."""
    traces = tracing.provider(settings)
    return NO_TELEMETRY if traces is None else {**NO_TELEMETRY, "tracing": True, "tracer_provider": traces}


async def _nothing(request: Request) -> Response:
    """What is not there is a problem below our prefix, whatever pages say of other addresses."""
    raise HTTPException(404, "Not Found")


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    hub = app.state.hub = await run_in_threadpool(Hub.open, app.state.settings)
    hub.housekeeper.start()
    hub.later.start()
    hub.deliverer.start()
    try:
        yield
    finally:
        await run_in_threadpool(hub.close)
        await run_in_threadpool(tracing.flush, app.state.settings)


def _describe_problems(app: FastAPI) -> None:
    """The OpenAPI document with the problem's schema, which no route names as its own answer."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        document = plain()
        schema = problem_schema()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= schema.pop("$defs", {}) | {"Problem": schema}
        return document

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way to extend the document
