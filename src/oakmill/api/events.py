"""A job as it goes on: its log and its state as a stream of events (SSE), resumed by `Last-Event-ID`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from oakmill.api import answers
from oakmill.errors import NoKey, NotFound
from oakmill.hub import auth, visibility
from oakmill.hub.auth import Reader, TheHub
from oakmill.hub.routing import Id, router
from oakmill.hub.state import Hub
from oakmill.hub.wire import Job, Line
from oakmill.jobs import job_log
from oakmill.jobs.notify import job_topic
from oakmill.registry.callers import Caller

routes = router("jobs")

LINES = 500
_LOOK_SECONDS = 3.0
"""How often the database is asked although nobody notified, also whether the caller may still see it."""
_SIGN_OF_LIFE_SECONDS = 15.0
_RETRY_MS = 500
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_AS_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `line` (a line of the log; its number is the event's id), `job` (the job, whenever it "
        "has changed) and `end`, after which nothing comes.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@routes.get("/jobs/{job_id}/events", response_class=StreamingResponse, responses=_AS_STREAM)
async def stream_events(
    job_id: Id,
    request: Request,
    caller: Reader,
    at: TheHub,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
    after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> StreamingResponse:
    """Follow a job. Ended by the hub before the event `end`, it is to be asked for again with `Last-Event-ID`."""
    known = int(last_event_id) if last_event_id and last_event_id.isdecimal() else after
    first = await run_in_threadpool(_look, at, caller, job_id, known)
    return StreamingResponse(
        _events(at, caller, job_id, known, first), media_type="text/event-stream", headers=_HEADERS
    )


@dataclass(frozen=True)
class _Look:
    """What the database says: the lines that follow, and the job as it is."""

    lines: list[Line]
    job: Job

    @property
    def is_last(self) -> bool:
        return not self.job.is_live and len(self.lines) < LINES


def _look(at: Hub, caller: Caller, job_id: str, after: int) -> _Look:
    with at.db.reading() as session:
        row = visibility.job(session, auth.still(session, caller), job_id)
        job = answers.job(session, row)
        lines = job_log.read(session, job_id, after, LINES)
        return _Look([Line.model_validate(line) for line in lines], job)


async def _events(at: Hub, caller: Caller, job_id: str, known: int, look: _Look) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MS}\n\n"
    shown = ""
    looked = written = time.monotonic()
    with at.notifier.subscribe(job_topic(job_id)) as subscription:
        while not at.ending.is_set():
            for line in look.lines:
                known = line.number
                yield _event("line", line.model_dump_json(), known)
            if (state := look.job.model_dump_json()) != shown:
                shown = state
                yield _event("job", state, known)
            if look.is_last:
                yield _event("end", f'"{look.job.status}"', known)
                return
            if look.lines:
                written = time.monotonic()
            due = looked + (0 if len(look.lines) == LINES else _LOOK_SECONDS)
            while not at.ending.is_set() and time.monotonic() < due and not await subscription.wait_async(1.0):
                if time.monotonic() - written > _SIGN_OF_LIFE_SECONDS:
                    written = time.monotonic()
                    yield ": still here\n\n"
            try:
                look = await run_in_threadpool(_look, at, caller, job_id, known)
            except (NoKey, NotFound):  # who was let in is to see it no more
                return
            looked = time.monotonic()


def _event(kind: str, data: str, number: int) -> str:
    return f"id: {number}\nevent: {kind}\ndata: {data}\n\n"
