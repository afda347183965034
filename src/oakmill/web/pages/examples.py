"""Puts the examples into a hub that has no models: a click, some seconds, and there is something to convert."""

from __future__ import annotations

from fastapi.responses import Response

from oakmill.hub import examples
from oakmill.web.page_context import Changing
from oakmill.web.routing import page_router

pages = page_router()


@pages.post("/examples")
def load(context: Changing) -> Response:
    """Draw and train the examples, and show the models."""
    examples.load(context.at, context.caller)
    return context.go("/models")
