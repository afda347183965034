"""Errors as HTTP answers: application/problem+json (RFC 9457), with what happened, on what, and what to do next."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from oakmill.errors import OakmillError, SpecError, Unavailable
from oakmill.hub.log_lines import request_id
from oakmill.spec import wrong

MEDIA_TYPE = "application/problem+json"
LONGEST = 4000
NOBODY = 499
"""As servers note a request whose client left before it was answered."""
_log = logging.getLogger(__name__)
_SECONDS = re.compile(r"in (\d+) seconds")


class Wrong(BaseModel):
    """One value of a request that is not valid."""

    where: str = Field(description="Place in the request: body.name, query.limit.")
    message: str


class Problem(BaseModel):
    """Why a request was refused, or failed."""

    type: str = Field(description="A URN that names the kind of problem.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The answer's HTTP status.")
    detail: str = Field(description="What happened.")
    code: str = Field(description="The error's name, for programs.")
    subject: str = Field("", description="What it is about: an identifier, a name, a field.")
    remedy: str = Field("", description="What to do next.")
    errors: list[Wrong] = Field(default_factory=list, description="The values of the request that are not valid.")
    request_id: str = Field(default_factory=request_id, description="What the hub's log calls the request.")


def of(error: OakmillError, home: Path | None = None) -> Problem:
    """The problem that an error is; of files below `home` it tells the names, not where they lie."""
    title = (type(error).__doc__ or error.code).partition("\n")[0].rstrip(".")
    below = re.compile(re.escape(str(home.absolute())) + r"/(?:[^\s'\"/]+/)*") if home else None
    detail, subject, remedy = (
        (below.sub("", text) if below else text)[:LONGEST] for text in (error.message, error.subject, error.remedy)
    )
    return Problem(
        type=_urn(error.code),
        title=title,
        status=error.status,
        detail=detail,
        code=error.code,
        subject=subject,
        remedy=remedy,
    )


def response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """The problem as an answer."""
    extra = _headers(problem) | (headers or {})
    return JSONResponse(problem.model_dump(), problem.status, headers=extra, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of the application as a problem."""
    app.add_exception_handler(OakmillError, _oakmill)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for busy in (OperationalError, PoolTimeout):
        app.add_exception_handler(busy, _busy)
    app.add_exception_handler(DataError, _unstorable)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _unexpected)


def _urn(code: str) -> str:
    return f"urn:oakmill:problem:{code}"


def _headers(problem: Problem) -> dict[str, str]:
    if problem.status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if problem.status == 429:
        named = _SECONDS.search(problem.remedy)
        return {"Retry-After": named.group(1) if named else "60"}
    return {"Retry-After": "2"} if problem.status == 503 else {}


def _oakmill(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OakmillError)
    if error.status >= 500:
        _log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    return response(of(error, request.app.state.settings.home))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [_wrong(item) for item in error.errors()[:20]]
    first = found[0] if found else Wrong(where="request", message="it cannot be read")
    return response(
        Problem(
            type=_urn("InvalidRequest"),
            title="The request is not valid",
            status=422,
            detail=f"{first.where}: {first.message}",
            code="InvalidRequest",
            subject=first.where,
            remedy="See /api/v1/openapi.json for what is taken.",
            errors=found,
        )
    )


def _wrong(item: dict[str, Any]) -> Wrong:
    return Wrong(where=wrong.place_of(item)[:LONGEST], message=wrong.in_words(item)[:LONGEST])


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    return response(
        Problem(
            type=_urn("HttpError"),
            title=detail,
            status=error.status_code,
            detail=f"{request.method} {request.url.path}: {detail}"[:LONGEST],
            code="HttpError",
        ),
        dict(error.headers or {}),
    )


def _busy(request: Request, error: Exception) -> JSONResponse:
    """The database is held by others for too long, or is away: the client is to ask again."""
    _log.error("%s %s: the database does not answer", request.method, request.url.path, exc_info=error)
    return response(of(Unavailable("The hub's database does not answer at the moment.", remedy="Ask again soon.")))


def _unstorable(request: Request, error: Exception) -> JSONResponse:
    """A value that the database cannot hold: a number too large for its column, text with a zero byte."""
    _log.warning("%s %s: %s", request.method, request.url.path, error)
    return response(of(SpecError("A value of the request cannot be stored: too large, or with a zero byte.")))


def _left(request: Request, error: Exception) -> Response:
    """Somebody typed on, or their line broke: nobody hears the answer."""
    return Response(status_code=NOBODY)


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("%s %s", request.method, request.url.path, exc_info=error)
    return response(
        Problem(
            type=_urn("InternalError"),
            title="Something went wrong inside Oakmill",
            status=500,
            detail="The hub met an error that it does not know; its log has the details.",
            code="InternalError",
            remedy="Ask the operator to look into the hub's log.",
        )
    )
