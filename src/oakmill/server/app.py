"""Puts the hub together: our own API, the APIs of others, and the pages."""

from __future__ import annotations

from fastapi import FastAPI

from oakmill.api.app import create_app
from oakmill.compat.blobconverter.routes import router as blobconverter
from oakmill.compat.hubai.routes import router as hubai
from oakmill.compat.zoo.routes import router as zoo
from oakmill.settings import Settings
from oakmill.web.app import router as pages


def create(settings: Settings) -> FastAPI:
    """The whole hub as one application; what is not our API is no part of its description."""
    app = create_app(settings)
    # The zoo's models/download would be a model's identifier to HubAI's routes.
    for router in (zoo, hubai, blobconverter, pages):
        app.include_router(router, include_in_schema=False)
    return app
