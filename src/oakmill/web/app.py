"""Puts the pages together: one router, with what each kind of page adds to it, and the files that they load."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

from oakmill.web.pages import (
    aliases,
    arrival,
    assets,
    batch,
    bundles,
    card,
    colours,
    compare,
    conversions,
    convert,
    datasets,
    device,
    docs,
    evidence,
    examples,
    graph,
    imports,
    instances,
    job_actions,
    jobs,
    keys,
    matrix,
    models,
    on_camera,
    quick,
    removal,
    session,
    sights,
    storage,
    toolchains,
    trash,
    troubleshooting,
    webhooks,
    workers,
)
from oakmill.web.routing import Nowhere

PARTS = (
    assets, session, imports, models, sights, removal, aliases, arrival, bundles, card, instances, convert, batch,
    matrix, quick,
    conversions, jobs, job_actions, evidence, troubleshooting, examples, compare, datasets, toolchains, keys, graph,
    colours, docs, workers, on_camera, webhooks, device, trash, storage,
)  # fmt: skip
"""In the order in which their routes are tried."""

router = APIRouter()
for part in PARTS:
    router.include_router(part.pages)


@router.get("/")
def home() -> RedirectResponse:
    """The models are what one comes for."""
    return RedirectResponse("/models", 303)


router.routes.append(Nowhere())
