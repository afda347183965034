"""Places jobs on a Ray cluster: for each that waits, one task that runs `oakmill worker --once JOB` on some machine.

The queue stays the hub's own: Ray may lose a task or run it twice, and the job is run once all the same. The hub's
database must be PostgreSQL and its store S3, so that every machine reaches them.
"""

from __future__ import annotations

import threading
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from oakmill.errors import Unavailable
from oakmill.jobs import queue
from oakmill.jobs.bell import QUEUE, Bell
from oakmill.jobs.executors.local import environment_of
from oakmill.settings import Settings
from oakmill.storage.database import Database

_AGAIN_SECONDS = 5.0


def run_worker(job_id: str, environment: dict[str, str]) -> int:
    """What the task does, in a process of its own, whose main thread the worker needs; returns its exit code."""
    import os
    import subprocess
    import sys

    command = [sys.executable, "-m", "oakmill", "worker", "--once", job_id]
    return subprocess.call(command, env={**os.environ, **environment})  # noqa: TID251 - in Ray's own process


class RayWorkers:
    """Sends every job that waits to the cluster, for the time of the block."""

    count = 0

    def __init__(self, settings: Settings, db: Database, bell: Bell, *, cores: float = 1, ray: Any = None) -> None:
        """Use the cluster that Ray finds, or `ray`, a module of that interface.

        Raises:
            Unavailable: Ray is not installed, or the hub's files are on this machine only.
        """
        if settings.database is None or not (settings.store or "").startswith("s3://"):
            raise Unavailable(
                "On a Ray cluster the hub needs a database and a store that every machine reaches.",
                remedy="Set OAKMILL_DATABASE=postgresql+psycopg://... and OAKMILL_STORE=s3://...",
            )
        self._ray = ray or _load()
        self._db, self._bell = db, bell
        self._environment = environment_of(settings)
        self._task = self._ray.remote(run_worker).options(num_cpus=cores, max_retries=0)
        self._sent: dict[str, Any] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="ray", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send no more; what runs there ends by itself."""
        self._ending.set()
        self._bell.ring(QUEUE)
        self._thread.join()

    def _keep(self) -> None:
        with self._bell.listening(QUEUE) as ear:
            while not self._ending.is_set():
                self.place()
                ear.wait(_AGAIN_SECONDS)

    def place(self) -> None:
        """Send the jobs that wait and were not sent yet, or whose task has ended without them."""
        with self._db.session() as session:
            queue.expire(session)
            waiting = queue.queued(session)
        ended, _ = (
            self._ray.wait(list(self._sent.values()), num_returns=max(1, len(self._sent)), timeout=0)
            if (self._sent)
            else ([], [])
        )
        self._sent = {job_id: task for job_id, task in self._sent.items() if task not in ended}
        for job_id in waiting:
            if job_id not in self._sent:
                self._sent[job_id] = self._task.remote(job_id, self._environment)


def _load() -> Any:
    try:
        ray = import_module("ray")
    except ImportError:
        raise Unavailable("Ray is not installed.", remedy="Install it: uv pip install 'oakmill[ray]'.") from None
    ray.init(ignore_reinit_error=True)
    return ray
