"""Gathers what a running job tells, and writes it into the database in batches, each fenced by the job's token."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from oakmill.errors import HubError
from oakmill.jobs import job_log, queue
from oakmill.jobs.job_log import Line, storable
from oakmill.jobs.tables import Job
from oakmill.storage.database import Database

FLUSH_SECONDS = 0.15
_LONGEST_TEXT, _LONGEST_UNIT = 300, 16
_MOST_PHASES = 40
_log = logging.getLogger(__name__)


class LeaseLost(HubError):
    """The job is another worker's now; nothing of this attempt counts."""


@dataclass(frozen=True)
class Held:
    """A job that this worker holds: only with the token can anything be written about it."""

    job_id: str
    token: str
    attempt: int

    @classmethod
    def of(cls, job: Job) -> Held:
        """Of a job that was claimed just now."""
        return cls(job.id, str(job.lease_token), job.attempt)


@dataclass
class JobLogWriter:
    """What one attempt has told. Stages and progress are written as they stand, lines once each, in order."""

    held: Held
    db: Database
    stages: list[dict[str, Any]] = field(default_factory=list)
    progress: dict[str, Any] = field(default_factory=dict)
    _lines: list[Line] = field(default_factory=list)
    _changed: bool = False
    _flushed: float = 0.0

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Take an event of the conversion."""
        stage, kind, text = str(event["stage"]), str(event["kind"]), str(event.get("text", ""))
        if kind == "started":
            self.stages.append({"name": stage, "status": "running", "seconds": 0.0})
        elif kind == "finished":
            seconds = round(float(event.get("seconds", 0.0)), 3)
            self.stages[-1] |= {"name": stage, "status": "done", "seconds": seconds}
            text = f"{seconds:.2f} s"
        if kind in ("started", "progress"):
            done, total = int(event.get("done", 0)), int(event.get("total", 0))
            if kind == "progress" and total > 0:
                self._count(done, total, round(float(event.get("seconds", 0.0)), 2))
            self.progress = {"stage": stage, "text": storable(text)[:_LONGEST_TEXT], "done": done, "total": total}
            if unit := str(event.get("unit", "")):
                self.progress["unit"] = storable(unit)[:_LONGEST_UNIT]
        if kind != "progress":
            self._lines.append(Line(text or stage, stage, kind))
        self._changed = True
        if kind == "started":
            self.flush_soon()

    def _count(self, done: int, total: int, seconds: float) -> None:
        """Note when each phase of the stage that counts its steps begins and ends: later jobs are measured by it."""
        if not self.stages:
            return
        phases: list[list[float]] = self.stages[-1].setdefault("phases", [])
        goes_on = self.progress.get("total") == total and int(self.progress.get("done", 0)) <= done
        if not phases or (not goes_on and len(phases) < _MOST_PHASES):
            phases.append([seconds, seconds])
        phases[-1][1] = seconds

    def add_line(self, text: str, kind: str = "log") -> None:
        """Take a line that belongs to no event."""
        self._lines.append(Line(text, self.progress.get("stage", ""), kind))
        self._changed = True

    def flush_soon(self) -> None:
        """Write what there is, unless something was written just now."""
        if self._changed and time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what there is; without a database it is kept until there is one.

        Raises:
            LeaseLost: the job is another worker's.
        """
        try:
            self.deliver()
        except SQLAlchemyError as error:
            _log.warning("the log of job %s waits for the database: %s", self.held.job_id, error)
            del self._lines[job_log.FIRST_LINES : -job_log.LAST_LINES]

    def deliver(self) -> None:
        """Write what there is. Before a job is ended all that it told is delivered: nobody can write it later.

        Raises:
            LeaseLost: the job is another worker's.
            SQLAlchemyError: the database is away; what there is, is kept.
        """
        self._flushed = time.monotonic()
        with self.db.session() as session:
            held = self.held
            values = {"progress": dict(self.progress), "stages": [dict(stage) for stage in self.stages]}
            if not queue.record(session, held.job_id, held.token, **values):
                raise LeaseLost(subject=held.job_id)
            job_log.append(session, held.job_id, held.attempt, self._lines)
        self._lines, self._changed = [], False

    def failed(self) -> None:
        """The stage that was running is where it ended."""
        for stage in self.stages:
            if stage["status"] == "running":
                stage["status"] = "failed"
        self._changed = True
