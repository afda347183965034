"""Keeps a job's lease while it runs, in a thread of its own, and notes when the job is cancelled or lost."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from oakmill.jobs import queue, roster
from oakmill.jobs.job_log_writer import Held
from oakmill.jobs.notify import Notifier, Subscription, control_topic
from oakmill.jobs.states import LeaseState
from oakmill.settings import Settings
from oakmill.storage.database import Database

_log = logging.getLogger(__name__)


class LeaseKeeper:
    """Extends the lease every `beat_seconds`, and at once when notified of the job; `changed` wakes for a new state."""

    def __init__(self, worker: str, held: Held, db: Database, notifier: Notifier, settings: Settings) -> None:
        self.state = LeaseState.HELD
        self.changed = Subscription()
        self._worker, self._held, self._db, self._notifier = worker, held, db, notifier
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._pause = settings.beat_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._notifier.notify(control_topic(self._held.job_id))
        self._thread.join()
        self.changed.close()

    def _run(self) -> None:
        with self._notifier.subscribe(control_topic(self._held.job_id)) as subscription:
            while not self._stopped.is_set() and self.state is not LeaseState.LOST:
                self._beat()
                subscription.wait(self._pause)

    def _beat(self) -> None:
        try:
            with self._db.session() as session:
                state = queue.beat(session, self._held.job_id, self._held.token, self._lease)
                roster.beat(session, self._worker, self._held.job_id)
        except SQLAlchemyError as error:  # it may be back before the lease is over
            _log.warning("the lease of job %s was not extended: %s", self._held.job_id, error)
            return
        if state is not self.state:
            self.state = state
            self.changed.wake()
