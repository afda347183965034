"""Puts the hub together: our own API, the APIs of others, and the pages; and runs it so that it can be renewed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from fastapi import FastAPI

from oakmill.api.app import create_app
from oakmill.settings import Settings

OTHERS = ("oakmill.compat.zoo.routes", "oakmill.compat.hubai.routes", "oakmill.web.app")
"""Modules with a `router` of their own; they are no part of our API's description.

The zoo goes first: its models/download would be a model's identifier to HubAI's routes.
"""


def create(settings: Settings) -> FastAPI:
    """The whole hub as one application."""
    app = create_app(settings)
    for name in OTHERS:
        if _exists(name):
            app.include_router(import_module(name).router, include_in_schema=False)
    return app


def _exists(name: str) -> bool:
    parent = name.rpartition(".")[0]
    if parent != "oakmill" and not _exists(parent):
        return False
    return find_spec(name) is not None
