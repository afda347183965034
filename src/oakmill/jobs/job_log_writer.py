"""Gathers what a running job tells, and writes it into the database in batches, each fenced by the job's token."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from oakmill.errors import HubError
from oakmill.jobs import job_log, queue
from oakmill.jobs.tables import Job
from oakmill.jobs.told import Told
from oakmill.storage.database import Database

FLUSH_SECONDS = 0.15
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
class JobLogWriter(Told):
    """What one attempt has told. Stages and progress are written as they stand, lines once each, in order."""

    held: Held
    db: Database
    _flushed: float = 0.0

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Take an event of the conversion; that a stage begins is told at once."""
        super().add_event(event)
        if event["kind"] == "started":
            self.flush_soon()

    def flush_soon(self) -> None:
        """Write what there is, unless something was written just now."""
        if self.changed and time.monotonic() - self._flushed >= FLUSH_SECONDS:
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
            del self.lines[job_log.FIRST_LINES : -job_log.LAST_LINES]

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
            job_log.append(session, held.job_id, held.attempt, self.lines)
        self.lines, self.changed = [], False
