"""blobconverter's API as its Python client asks it: a model is sent, and the blob is the answer.

The key comes in the address that the client is given, as http://key:oak_...@hub/blobconverter, or as a bearer's.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi import Query as Parameters
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from oakmill.compat import advice, wire
from oakmill.compat.blobconverter import asks, models
from oakmill.compat.blobconverter.asks import Form, Query
from oakmill.compat.wire import Json
from oakmill.errors import NoKey, OakmillError, SpecError
from oakmill.hub import auth, files, visibility
from oakmill.hub import jobs as services
from oakmill.hub.auth import TheHub
from oakmill.hub.state import Hub
from oakmill.jobs.tables import LIVE, Job, JobStatus
from oakmill.registry import access, instances
from oakmill.registry.callers import Caller
from oakmill.registry.tables import Instance, Role

router = wire.router()

BASE = "/blobconverter"
_LOOK_SECONDS = 0.5
_GONE = 499
_OWN_STATUS = {401, 403, 413, 429}
"""Refusals that stay what they are; of all others the client shows a 400 alone."""


def holder(request: Request, at: TheHub) -> Caller:
    """Who asks, with a key that may convert.

    Raises:
        NoKey: none was given, or it is not in force.
        Forbidden: it may not convert.
    """
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    key = _of_basic(given) if kind.lower() == "basic" else given if kind.lower() == "bearer" else ""
    if not key:
        raise NoKey(remedy='Give the key with the address: set_defaults(url="http://key:oak_...@HUB/blobconverter").')
    found = auth.identify(at, key, request.client.host if request.client else "")
    found.require("convert")
    return found


def _of_basic(given: str) -> str:
    try:
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return password or name


Holder = Annotated[Caller, Depends(holder)]


@router.get(f"{BASE}/zoo_models")
def zoo_models() -> Json:
    """There is no zoo of models here."""
    return {"version": "2", "available": [], "unavailable": []}


@router.post(f"{BASE}/compile")
async def compile_model(
    request: Request, asked: Annotated[Query, Parameters()], caller: Holder, at: TheHub
) -> Response:
    """Convert what is sent, and answer with the blob when it is there."""
    try:
        sent = await models.receive(request, at, caller, asks.arguments_of)
        job_id = await run_in_threadpool(_start, at, caller, asked, sent)
        while (row := await run_in_threadpool(_look, at, caller, job_id)).status in LIVE:
            if await request.is_disconnected():
                return Response(
                    status_code=_GONE
                )  # nobody reads it; the job goes on, and is answered at once next time
            await asyncio.sleep(_LOOK_SECONDS)
        return await run_in_threadpool(_answer, at, request, caller, row)
    except OakmillError as error:
        if error.status >= 500 or error.status in _OWN_STATUS:
            raise
        return _refusal(wire.in_words(error.message, error.remedy), error.log, error.exit_code)


def _start(at: Hub, caller: Caller, asked: Query, sent: models.Sent) -> str:
    form = _form(sent.fields)
    asks.require_possible(asked, form)
    arguments = asks.arguments_of(sent.config)
    with at.db.session() as session:
        source = access.changeable(session, caller, Instance, sent.instance_id)
        values = asks.values(asked, form, arguments, source.facts.get("inputs") or [])
        spec, named = services.parse(session, caller, "rvc2", values)
        return services.convert(session, caller, at, source, spec, files=named, force=asked.no_cache).id


def _form(fields: Mapping[str, str]) -> Form:
    try:
        return Form.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _look(at: Hub, caller: Caller, job_id: str) -> Job:
    with at.db.reading() as session:
        return visibility.job(session, auth.still(session, caller), job_id)


def _answer(at: Hub, request: Request, caller: Caller, job: Job) -> Response:
    if job.status != JobStatus.SUCCEEDED:
        failure: Mapping[str, Any] = job.failure or {}
        said = [str(failure.get("title") or ""), str(failure.get("sentence") or job.error or f"The job {job.status}.")]
        words = "\n".join([*map(advice.translated, filter(None, said)), *advice.remedies(failure)])
        return _refusal(words, "\n".join(failure.get("log") or ()), int(failure.get("exit_code") or 1))
    with at.db.reading() as session:
        row = instances.instance(session, caller, str(job.result_id))
        blob = next(file for file in row.files if file.role == Role.MODEL)
        answer = files.send(at, request, blob.sha256, blob.size, blob.name)
    answer.headers["X-HASH"] = blob.sha256
    return answer


def _refusal(message: str, stderr: str, exit_code: int) -> JSONResponse:
    """As the client prints it."""
    return JSONResponse({"message": message, "stderr": stderr, "stdout": "", "exit_code": exit_code}, 400)
