"""Agents of a hub: which there are; and, for one, the jobs that it claims, tells of and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oakmill.client.connection import Connection
from oakmill.client.downloads import fetch
from oakmill.client.uploads import Progress, Uploads, unwatched
from oakmill.hub.wire import File, Job
from oakmill.hub.wire_agents import Agent, Claimed, Standing

SECONDS = 10.0
"""That a word about a job may take; the next one comes soon."""
_LONGEST = {"code": 64, "message": 4000, "remedy": 2000, "subject": 1000, "stage": 16}
_LOG = 50_000


class Agents:
    """Agents of the key's team. Methods raise as those of `Models` do; Conflict of a job that is held no more."""

    def __init__(self, connection: Connection, uploads: Uploads) -> None:
        self._connection, self._uploads = connection, uploads

    def list(self) -> Sequence[Agent]:
        """Those that were heard of in the last hour."""
        return [Agent.model_validate(item) for item in self._connection.pages("/agents")]

    def measure(self, instance_id: str, kind: str, **asked: Any) -> Job:
        """The job that measures an instance's file on a camera: prove or benchmark; the same request, the same job."""
        body = {"kind": kind, **asked}
        found = self._connection.ask("POST", f"/instances/{instance_id}/measurements", again=True, json=body)
        return Job.model_validate(found)

    def claim(self, name: str, machine: str, version: str, cameras: Sequence[dict[str, str]]) -> Claimed | None:
        """The next job for one of these cameras; None when there is none."""
        body = {"machine": machine, "version": version, "cameras": [*cameras]}
        found = self._connection.ask("POST", f"/agents/{name}/claim", json=body)
        return Claimed.model_validate(found) if found else None

    def leave(self, name: str) -> None:
        """Say that an agent ends."""
        self._connection.send("DELETE", f"/agents/{name}")

    def tell(self, job_id: str, word: dict[str, Any]) -> Standing:
        """Extend the lease, and tell how it goes; asked once, for who tells comes again anyway."""
        answer = self._connection.send("POST", f"/jobs/{job_id}/word", json=word, timeout=SECONDS)
        return Standing.model_validate(answer.json())

    def images(self, held: Claimed, target: Path, progress: Progress = unwatched) -> Path:
        """Bring a job's images to `target`."""
        assert held.images is not None
        file = File(id="", role="", **held.images.model_dump())
        url = f"{self._connection.url}/api/v1/jobs/{held.job.id}/images"
        headers = {**self._connection.authorization, "Job-Token": held.token}
        return fetch(self._connection, file, lambda: url, target, progress=progress, headers=headers)

    def release(self, held: Claimed) -> None:
        """Give a job back, untried."""
        self._connection.ask("POST", f"/jobs/{held.job.id}/release", json={"token": held.token})

    def fail(self, held: Claimed, failure: Mapping[str, Any]) -> None:
        """End a job with what went wrong: an error as plain data, and its `stage`."""
        told = {name: str(failure.get(name, ""))[:most] for name, most in _LONGEST.items()}
        self._end(held, failure={**told, "log": str(failure.get("log", ""))[-_LOG:]})

    def cancelled(self, held: Claimed) -> None:
        """End a job that was cancelled."""
        self._end(held)

    def timed(self, held: Claimed, benchmark: dict[str, Any]) -> None:
        """End a benchmark with its figures."""
        self._end(held, benchmark=benchmark)

    def proved(self, held: Claimed, passport: Path, progress: Progress = unwatched) -> None:
        """End a proof with its passport."""
        purpose = {"kind": "proof", "job_id": held.job.id, "token": held.token}
        self._uploads.file(passport, purpose, progress=progress)

    def _end(self, held: Claimed, **how: Any) -> None:
        self._connection.ask("POST", f"/jobs/{held.job.id}/end", json={"token": held.token, **how})
