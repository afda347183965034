"""Keeps a job's lease while it runs, in a thread of its own, and hears when the job is cancelled or lost."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from oakmill.jobs import queue
from oakmill.jobs.job_log_writer import Held
from oakmill.jobs.notify import Bell, Ear, control_topic
from oakmill.jobs.queue import Verdict
from oakmill.settings import Settings
from oakmill.storage.database import Database

_log = logging.getLogger(__name__)


class Heart:
    """Beats every `beat_seconds`, and at once when the job's bell rings. `wake` is rung when the verdict changes."""

    def __init__(self, held: Held, db: Database, bell: Bell, settings: Settings) -> None:
        self.verdict = Verdict.RUN
        self.wake = Ear()
        self._held, self._db, self._bell = held, db, bell
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._pause = settings.beat_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._bell.ring(control_topic(self._held.job_id))
        self._thread.join()
        self.wake.close()

    def _run(self) -> None:
        with self._bell.listening(control_topic(self._held.job_id)) as ear:
            while not self._stopped.is_set() and self.verdict is not Verdict.LOST:
                self._beat()
                ear.wait(self._pause)

    def _beat(self) -> None:
        try:
            with self._db.session() as session:
                verdict = queue.beat(session, self._held.job_id, self._held.token, self._lease)
        except SQLAlchemyError as error:  # it may be back before the lease is over
            _log.warning("no beat for job %s: %s", self._held.job_id, error)
            return
        if verdict is not self.verdict:
            self.verdict = verdict
            self.wake.ring()
