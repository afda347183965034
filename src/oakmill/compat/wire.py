"""How these APIs answer: bare JSON, times without a zone, and refusals that say all in `detail`, which clients show."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from oakmill.compat import advice
from oakmill.errors import OakmillError
from oakmill.hub import problems
from oakmill.hub.routing import LimitedRoute

MODELS = "/models/api/v1"
JOBS = "/jobs/api/v1"
STORAGE = "/storage"

Json = dict[str, Any]


class Asked(BaseModel):
    """What a client sends. What is not known here is refused: nothing that is asked for is dropped in silence."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class DetailRoute(LimitedRoute):
    """A route whose refusals are what FastAPI's are, for clients read no more of them than `detail`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, with its refusals translated."""
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except OakmillError as error:
                if error.status >= 500:
                    raise  # the hub's own way logs it
                return refusal(error)
            except RequestValidationError as error:
                return _invalid(error)

        return answered


def router() -> APIRouter:
    """A router for a part of such an API."""
    return APIRouter(route_class=DetailRoute)


def refusal(error: OakmillError) -> JSONResponse:
    """The hub's own problem, with the remedy in `detail`."""
    problem = problems.of(error)
    return problems.response(problem.model_copy(update={"detail": in_words(error.message, error.remedy)}))


def in_words(message: str, remedy: str = "") -> str:
    """What happened, and what to do, in the client's words."""
    sentence = message if not remedy or message.endswith((".", "!", "?")) else f"{message}."
    return advice.translated(f"{sentence} {remedy}".strip())


def naive(moment: datetime) -> str:
    """A time as HubAI writes it: UTC, with no zone, and always with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _invalid(error: RequestValidationError) -> JSONResponse:
    wrong = [{"loc": list(item["loc"]), "msg": item["msg"], "type": item["type"]} for item in error.errors()[:20]]
    return JSONResponse({"detail": wrong}, 422)
