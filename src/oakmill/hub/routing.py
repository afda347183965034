"""The routers of the hub's API: bodies are limited, and every refusal is described."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message, Receive

from oakmill.errors import TooLarge
from oakmill.hub.problems import MEDIA_TYPE, Problem

LARGEST_BODY = 1 << 20

Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Its identifier.")]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "It was refused; the problem says why and what to do.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
    503: {
        "description": "Not at the moment; ask again.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
}


class LimitedRoute(APIRoute):
    """A route that reads its body into memory, and no more than a megabyte of it.

    Routes that take a body as a stream declare none, and are not touched. (FastAPI's `max_body_size` answers in plain
    text, before our problems do.)
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, behind the limit."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def limited(request: Request) -> Response:
            _check_announced(request)
            return await handle(Request(request.scope, _limited(request.receive)))

        return limited


def router(tag: str) -> APIRouter:
    """A router for one kind of resource."""
    tags: list[str | Enum] = [tag]
    return APIRouter(tags=tags, route_class=LimitedRoute, responses=PROBLEMS)


def problem_schema() -> dict[str, Any]:
    """The schema that the refusals above point to."""
    return Problem.model_json_schema(ref_template="#/components/schemas/{model}")


def _check_announced(request: Request) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > LARGEST_BODY:
        raise _too_large()


def _limited(receive: Receive) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_BODY:
            raise _too_large()
        return message

    return counted


def _too_large() -> TooLarge:
    return TooLarge(f"The request's body is larger than {LARGEST_BODY >> 20} MB.", remedy="Send files as an upload.")
