"""Places workers on a Ray cluster: for each job that may begin, one task that runs `oakmill worker --most N` somewhere.

A task names no job. When it begins, wherever and whenever that is, it takes the job that is next by then, and goes on
with the next one while any waits, for to load what a conversion needs takes seconds. So teams' turns, their bounds and
priorities hold on a cluster as they do on one machine. No more tasks wait than the cluster has cores. The queue stays
the hub's own: Ray may lose a task or run it twice, and each job is run once all the same. The hub's database must be
PostgreSQL and its store S3, so that every machine reaches them.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from oakmill.errors import Unavailable
from oakmill.jobs import fair, queue, roster
from oakmill.jobs.executors.local import environment_of
from oakmill.jobs.executors.ray_parts import Desk, on_this_machine
from oakmill.jobs.notify import QUEUE, Notifier, Subscription
from oakmill.jobs.worker import NOTHING_TO_DO
from oakmill.processes import parts_socket, sandbox
from oakmill.processes.parts_socket import HELPERS_FD
from oakmill.settings import Settings
from oakmill.storage.database import Database

_AGAIN_SECONDS = 5.0
_JOBS = "20"
"""That a task runs at most: then others who use the cluster have their turn."""
_log = logging.getLogger(__name__)


def run_worker(name: str, environment: dict[str, str]) -> int:
    """What the task does: a worker of that name in a process of its own, whose main thread it needs; its exit code.

    Meanwhile it has parts of that worker's conversions done by other tasks.
    """
    import ray

    command = sandbox.leashed([sys.executable, "-m", "oakmill", "worker", "--most", _JOBS, "--name", name])
    desk, asking = parts_socket.pair()
    with desk:
        with asking:
            variables = {**os.environ, **on_this_machine(environment), HELPERS_FD: str(asking.fileno())}  # noqa: TID251
            worker = subprocess.Popen(command, env=variables, pass_fds=(asking.fileno(),))
        Desk(ray, desk, environment).serve(worker)
        return worker.wait()


class RayPlacer:
    """Sends a worker to the cluster for each job that may begin. Run it in a main thread: SIGTERM or SIGINT ends it."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        notifier: Notifier,
        *,
        cores: float = 1,
        run: Callable[[str, dict[str, str]], int] = run_worker,
        ray: Any = None,
    ) -> None:
        """Use the cluster that RAY_ADDRESS names, else one of this machine's own; or `ray`, a module of that interface.

        `run` is what a task does, with a worker's name and its variables; the worker's exit code comes back.

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
        self._task = self._ray.remote(run).options(num_cpus=cores, max_retries=0)
        self._sent: dict[str, Any] = {}
        self._begun: set[str] = set()
        self._subscription: Subscription | None = None
        self._ending = False

    def run(self) -> None:
        """Send workers until asked to end; what runs on the cluster then ends by itself."""
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
        """Send as many workers as there are jobs that may begin, less those sent that have not taken one yet."""
        with self._db.session() as session:
            self._begun |= roster.begun(session)  # before leases end: a frozen worker has a job no more, nor takes one
            queue.expire(session)
            wanted = min(fair.beginning(session), self._places())
        self._forget_ended()
        for _ in range(wanted - len(self._sent.keys() - self._begun)):
            name = f"ray-{secrets.token_hex(8)}"
            self._sent[name] = task = self._task.remote(name, self._environment)
            task.future().add_done_callback(self._ended)
            _log.info("worker %s goes to the cluster", name)

    def _places(self) -> int:
        """The cluster's cores, busy or not: so many tasks may wait, and an autoscaler sees them do so."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 0)))

    def _ended(self, task: Any) -> None:
        """Look again at once, but not after a worker that found nothing it could take: the next would find no more."""
        if not self._ending and self._subscription and (task.exception() or task.result() != NOTHING_TO_DO):
            self._subscription.wake()

    def _forget_ended(self) -> None:
        if self._sent:
            ended, _ = self._ray.wait(list(self._sent.values()), num_returns=len(self._sent), timeout=0)
            self._sent = {name: task for name, task in self._sent.items() if task not in ended}
        self._begun &= self._sent.keys()


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
