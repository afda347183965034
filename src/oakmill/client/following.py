"""Follows a job by the hub's stream of events (SSE): goes on after a break where it was, until the job has ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import httpx
from pydantic import TypeAdapter

from oakmill.client.connection import API, Connection, checked
from oakmill.client.problems import unreachable
from oakmill.errors import HubUnreachable, OakmillError, Unavailable
from oakmill.hub.wire import Job, Line

Told = Line | Job
"""A line of the log, or the job, whenever it has changed."""
_SILENCE = httpx.Timeout(40, connect=10)
"""The hub gives a sign of life every quarter of a minute."""
_KINDS: dict[str, TypeAdapter[Told]] = {"line": TypeAdapter(Line), "job": TypeAdapter(Job)}


@dataclass
class _Event:
    kind: str = "message"
    id: str = ""
    data: list[str] = field(default_factory=list)


def follow(connection: Connection, job_id: str, after: int = 0) -> Iterator[Told]:
    """What a job tells from line `after` on, to its end: each line once, through restarts of the hub.

    Raises:
        NotFound: there is no such job.
        HubUnreachable, Unavailable: the hub does not answer for longer than there is patience.
        OakmillError: what else the hub refuses it with, by name.
    """
    last, patience = after, connection.patient()
    while True:
        try:
            for event in _stream(connection, job_id, last):
                patience.renew()
                last = int(event.id or last)
                if event.kind == "end":
                    return
                if event.kind in _KINDS:
                    yield _KINDS[event.kind].validate_json("\n".join(event.data))
            trouble: OakmillError = unreachable(connection.url, "it ends the stream of events again and again")
        except (HubUnreachable, Unavailable) as error:
            trouble = error
        patience.rest(trouble)


def _stream(connection: Connection, job_id: str, last: int) -> Iterator[_Event]:
    headers = {**connection.authorization, "Accept": "text/event-stream", "Last-Event-ID": str(last)}
    url = f"{connection.url}{API}/jobs/{job_id}/events"
    with connection.reaching(), connection.http.stream("GET", url, headers=headers, timeout=_SILENCE) as answer:
        checked(answer, connection.url)
        yield from events(answer.iter_lines())


def events(lines: Iterable[str]) -> Iterator[_Event]:
    """The events of a stream; one that was cut off in the middle is none."""
    event = _Event()
    for line in lines:
        if not line:
            if event.data:
                yield event
            event = _Event()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            event.data.append(value)
        elif name == "event":
            event.kind = value
        elif name == "id":
            event.id = value
