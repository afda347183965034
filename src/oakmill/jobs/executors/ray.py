"""Places jobs on a Ray cluster: for each that waits, one task that runs `oakmill worker --once JOB` on some machine.

The queue stays the hub's own: Ray may lose a task or run it twice, and the job is run once all the same. The hub's
database must be PostgreSQL and its store S3, so that every machine reaches them.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from types import FrameType
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from oakmill.errors import Unavailable
from oakmill.jobs import queue
from oakmill.jobs.executors.local import environment_of
from oakmill.jobs.notify import QUEUE, Notifier, Subscription
from oakmill.processes import sandbox
from oakmill.settings import Settings
from oakmill.storage.database import Database

_AGAIN_SECONDS = 5.0
_log = logging.getLogger(__name__)


def run_worker(job_id: str, environment: dict[str, str]) -> int:
    """What the task does: a worker in a process of its own, whose main thread it needs; returns its exit code."""
    command = sandbox.leashed([sys.executable, "-m", "oakmill", "worker", "--once", job_id])
    return subprocess.call(command, env={**os.environ, **environment})  # noqa: TID251 - in Ray's own process


class RayPlacer:
    """Sends every job that waits to the cluster. Run it in a main thread: it ends by SIGTERM or SIGINT."""

    def __init__(
        self, settings: Settings, db: Database, notifier: Notifier, *, cores: float = 1, ray: Any = None
    ) -> None:
        """Use the cluster that RAY_ADDRESS names, else one of this machine's own; or `ray`, a module of that interface.

        Raises:
            Unavailable: Ray is not installed or not reached, or the hub's files are on this machine only.
        """
        if settings.database is None or not (settings.store or "").startswith("s3://"):
            raise Unavailable(
                "On a Ray cluster the hub needs a database and a store that every machine reaches.",
                remedy="Set OAKMILL_DATABASE=postgresql+psycopg://... and OAKMILL_STORE=s3://...",
            )
        self._ray = ray or _load()
        self._db, self._notifier = db, notifier
        self._environment = environment_of(settings)
        self._task = self._ray.remote(run_worker).options(num_cpus=cores, max_retries=0)
        self._sent: dict[tuple[str, int], Any] = {}
        self._subscription: Subscription | None = None
        self._ending = False

    def run(self) -> None:
        """Send jobs until asked to end; what runs on the cluster then ends by itself."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_end)
        with self._notifier.subscribe(QUEUE) as self._subscription:
            while not self._ending:
                try:
                    self.place()
                except SQLAlchemyError as error:
                    _log.warning("the queue cannot be read: %s", error)
                self._subscription.wait(_AGAIN_SECONDS)

    def _asked_to_end(self, number: int, frame: FrameType | None) -> None:
        self._ending = True
        if self._subscription:
            self._subscription.wake()

    def place(self) -> None:
        """Send the jobs that wait and were not sent yet, or whose task has ended without them."""
        with self._db.session() as session:
            queue.expire(session)
            waiting = queue.queued(session)  # with attempts: a frozen machine's task has not ended, and its job is lost
        self._forget_ended()
        for job in waiting:
            if job not in self._sent:
                _log.info("job %s goes to the cluster, attempt %d", job[0], job[1] + 1)
                self._sent[job] = self._task.remote(job[0], self._environment)

    def _forget_ended(self) -> None:
        if self._sent:
            ended, _ = self._ray.wait(list(self._sent.values()), num_returns=len(self._sent), timeout=0)
            self._sent = {job: task for job, task in self._sent.items() if task not in ended}


def _load() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # noqa: TID251 - Ray tells its makers of its use unless told not to
    try:
        import ray
    except ImportError:
        raise Unavailable("Ray is not installed.", remedy="Install it: uv pip install 'oakmill[ray]'.") from None
    try:
        ray.init()
    except (ConnectionError, ValueError) as error:
        raise Unavailable(f"The Ray cluster is not reached: {error}", remedy="Look at RAY_ADDRESS.") from error
    return ray
