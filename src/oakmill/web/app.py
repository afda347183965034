"""Puts the pages together: one router, with what each kind of page adds to it, and the files that they load."""

from __future__ import annotations

from importlib import import_module

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

from oakmill.web.pages import Nowhere

PARTS = (
    "assets", "session", "models", "removal", "arrival", "card", "instances", "convert", "conversions", "jobs",
    "retrying", "evidence", "troubleshooting", "compare", "datasets", "toolchains", "keys", "graph", "colours",
)  # fmt: skip
"""Modules of `oakmill.web` with `pages`, a router of their own."""

router = APIRouter()
for part in PARTS:
    router.include_router(import_module(f"oakmill.web.{part}").pages)


@router.get("/")
def home() -> RedirectResponse:
    """The models are what one comes for."""
    return RedirectResponse("/models", 303)


router.routes.append(Nowhere())
