"""Keeps a hub from growing by itself: once an hour it removes what nobody needs any more, a little at a time.

Each web process asks once a minute whether it is due; a file's time says so, and its lock lets one of them do it.
Hubs that share a database each do it: what one has removed, the next does not find.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, exists, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from oakmill.errors import OakmillError
from oakmill.jobs import workspace
from oakmill.jobs.rounds import Rounds
from oakmill.jobs.tables import Job, LogLine
from oakmill.jobs.webhooks import deliverer
from oakmill.registry import keys, models, retention, teams, trash
from oakmill.registry.callers import HOUSEKEEPING
from oakmill.registry.tables import AuditEntry, EndedSession, Team
from oakmill.settings import Settings
from oakmill.storage import blobs
from oakmill.storage.blobs import BlobStore
from oakmill.storage.database import Database, now
from oakmill.storage.uploads import Uploads

EVERY_SECONDS = 3600.0
_ASK_SECONDS = 60.0
_JOBS, _ENTRIES = 100, 2000  # of one transaction: others write meanwhile
_log = logging.getLogger(__name__)


class Housekeeper(Rounds):
    """A thread that tidies when it is due; what fails is tried again an hour later."""

    def __init__(self, settings: Settings, db: Database, store: BlobStore, uploads: Uploads) -> None:
        self._settings, self._db, self._store, self._uploads = settings, db, store, uploads
        super().__init__("housekeeping", _ASK_SECONDS)

    def round(self) -> None:
        """Tidy if it is due; where it is to end, the step that is going on is the last."""
        self.tidy()

    def tidy(self) -> bool:
        """Do all that is to be done, if it is due; whether it was."""
        with due(self._settings.hub / "tidied") as mine:
            kept = (self._quick, self._retention, self._trash)
            records = (self._logs, self._deliveries, self._audit, self._sessions, self._keys)
            for step in (self._uploads_left, self._work_left, *kept, *records, self._bytes) if mine else ():
                if not self._ending.is_set():
                    _attempt(step)
        return mine

    def _uploads_left(self) -> None:
        with self._db.session() as session:
            self._uploads.expire(session)

    def _work_left(self) -> None:
        workspace.sweep(self._settings, self._db)

    def _quick(self) -> None:
        self._repeat(lambda session: models.expire_quick(session, self._settings.quick_days))

    def _retention(self) -> None:
        with self._db.reading() as session:
            wanted = [(team, model) for team in teams.listed(session) for model in retention.models_due(session, team)]
        for team, model_id in wanted:
            with self._db.session() as session:
                mine = session.get_one(Team, team.id)
                retention.run(session, mine, model_id, keep=self._settings.trash_days > 0)

    def _trash(self) -> None:
        days = timedelta(days=self._settings.trash_days)
        self._repeat(lambda session: trash.empty(session, HOUSEKEEPING, older_than=days))

    def _logs(self) -> None:
        self._repeat(lambda session: trim_logs(session, self._settings.log_days))

    def _deliveries(self) -> None:
        self._repeat(lambda session: deliverer.trim(session, self._settings.log_days))

    def _audit(self) -> None:
        self._repeat(lambda session: trim_audit(session, self._settings.audit_days))

    def _sessions(self) -> None:
        with self._db.session() as session:
            session.execute(delete(EndedSession).where(EndedSession.until < now()))

    def _keys(self) -> None:
        with self._db.session() as session:
            keys.forget_spent(session)

    def _bytes(self) -> None:
        self._repeat(lambda session: self._store.sweep(session).count >= blobs.MOST)

    def _repeat(self, step: Callable[[Session], bool]) -> None:
        """Take the step, each time in a transaction of its own, until it says that there is no more to do."""
        more = True
        while more and not self._ending.is_set():
            with self._db.session() as session:
                more = step(session)


def _attempt(step: Callable[[], None]) -> None:
    try:
        step()
    except (OakmillError, SQLAlchemyError, OSError) as error:
        _log.warning("housekeeping: %s could not be done: %s", step.__name__.strip("_"), error)


@contextmanager
def due(stamp: Path) -> Iterator[bool]:
    """Whether the hour is over and nobody else is at it; when the block ends, the next hour begins."""
    with stamp.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        done = os.fstat(file.fileno())
        if done.st_size and time.time() - done.st_mtime < EVERY_SECONDS:
            yield False
            return
        yield True
        file.truncate(0)
        file.write(f"{now().isoformat(timespec='seconds')}\n")


def trim_logs(session: Session, days: int) -> bool:
    """Remove the lines of jobs that ended so long ago; whether there may be more. 0 days keep all."""
    if not days:
        return False
    old = select(Job.id).where(Job.finished < now() - timedelta(days=days))
    kept = old.where(exists().where(LogLine.job_id == Job.id)).limit(_JOBS)
    found = session.scalars(kept).all()
    session.execute(delete(LogLine).where(LogLine.job_id.in_(found)))
    return len(found) == _JOBS


def trim_audit(session: Session, days: int) -> bool:
    """Remove entries of the audit log that are so old; whether there may be more. 0 days keep all."""
    if not days:
        return False
    oldest = session.execute(select(AuditEntry.id, AuditEntry.at).order_by(AuditEntry.id).limit(_ENTRIES)).all()
    cutoff = now() - timedelta(days=days)
    gone = [entry for entry, at in oldest if at < cutoff]
    session.execute(delete(AuditEntry).where(AuditEntry.id.in_(gone)))
    return len(gone) == _ENTRIES
