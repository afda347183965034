"""A worker: one slot that takes jobs from the queue, hands each to a new process, and keeps its promises meanwhile."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from oakmill.errors import DatabaseUnreachable, HubError, LimitExceeded, OakmillError, StoreUnreachable
from oakmill.jobs import presence, publish, queue, resources, roster, tracing, workspace
from oakmill.jobs.job_log_writer import Held, JobLogWriter, LeaseLost
from oakmill.jobs.lease import LeaseKeeper
from oakmill.jobs.notify import POLL_SECONDS, QUEUE, Notifier, Subscription
from oakmill.jobs.states import LeaseState
from oakmill.jobs.supervise import Child, Children
from oakmill.jobs.tables import Job, JobStatus
from oakmill.jobs.tracing import JobTrace
from oakmill.jobs.workspace import Workspace
from oakmill.settings import Settings
from oakmill.storage.blobs import BlobStore
from oakmill.storage.database import Database

T = TypeVar("T")
NOTHING_TO_DO = 3
"""The exit code of a worker that was to take one job, and found none."""
_LOADING_SECONDS = 0.1
PATIENCE_SECONDS = 600.0
"""How long an attempt waits for the database, or for the store of files; whoever has the lease by then decides whether
it still counts."""
_log = logging.getLogger(__name__)


class Cancelled(HubError):
    """The job was cancelled."""


class Stopping(HubError):
    """The worker was asked to end."""


class Worker:
    """Claims, runs and ends jobs, one at a time. Run it in a main thread: its children end with its thread."""

    def __init__(
        self, settings: Settings, db: Database, blobs: BlobStore, notifier: Notifier, name: str | None = None
    ) -> None:
        self.settings, self.db, self.blobs, self.notifier = settings, db, blobs, notifier
        self.name = name or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"
        self.memory_mb = resources.job_memory_mb(settings)
        self.stopping = False
        self._subscription: Subscription | None = None
        self._children = Children()
        self._child: Child | None = None
        self._heard = float("-inf")
        self._unread: SQLAlchemyError | None = None

    def run(self) -> None:
        """Take jobs until the worker is asked to end; a job that runs then is given back, untried."""
        with self._working() as subscription:
            while not self.stopping:
                if not self.warm():
                    subscription.wait(_LOADING_SECONDS)
                    continue
                job = self._next()
                if job is not None:
                    self._work(job)
                elif not self.stopping:
                    subscription.wait(POLL_SECONDS)

    def run_once(self, job_id: str | None = None) -> bool:
        """Take one job, the named one or the next, and run it to its end; False when there was none to take."""
        return self.run_some(1, job_id) == 1

    def run_some(self, most: int, job_id: str | None = None) -> int:
        """Take jobs one after another, so many at most, until there is none to take; how many there were.

        Raises:
            DatabaseUnreachable: whether there is one cannot be told.
        """
        done = 0
        with self._working() as subscription:
            while done < most and self._is_wanted() and not self.stopping:
                if not self.warm():  # a lease runs from the claim on
                    subscription.wait(_LOADING_SECONDS)
                    continue
                job = self._next(job_id)
                if job is None:
                    break
                self._work(job)
                done += 1
        if self._unread and not done:
            raise DatabaseUnreachable(
                f"The hub's queue cannot be read, so no job was taken: {self._unread}",
                remedy="Try again once the database answers; the setting OAKMILL_DATABASE names it.",
            )
        return done

    @contextmanager
    def _working(self) -> Iterator[Subscription]:
        previous = signal.signal(signal.SIGTERM, self._asked_to_end)
        try:
            with (
                presence.present(self.settings, self.name),
                self.notifier.subscribe(QUEUE) as self._subscription,
            ):
                self._children.warm()
                self._tidy()
                yield self._subscription
        finally:
            signal.signal(signal.SIGTERM, previous)
            self._subscription = None
            self._dismiss()
            self._children.close()
            self._leave()

    def _tidy(self) -> None:
        """Remove what workers left that were killed here, or whose machine was."""
        with suppress(SQLAlchemyError):
            workspace.sweep(self.settings, self.db)

    def _asked_to_end(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
        if self._subscription:
            self._subscription.wake()

    def warm(self) -> bool:
        """Whether a process waits for the next job: there is one as soon as all is loaded that it needs."""
        if self._child is not None and self._child.has_ended:
            self._dismiss()
        if self._child is None and self._children.warm():
            self._child = self._children.start()
        return self._child is not None

    def _dismiss(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _next(self, job_id: str | None = None) -> Job | None:
        """Claim a job; None when there is none, or no database."""
        lease = timedelta(seconds=self.settings.lease_seconds)
        try:
            if not self._is_wanted():
                return None
            with self.db.session() as session:
                queue.expire(session, timedelta(hours=self.settings.upload_hours))
                platforms = self.settings.worker_platforms
                return queue.claim(
                    session, self.name, lease, memory_mb=self.memory_mb, platforms=platforms, job_id=job_id
                )
        except SQLAlchemyError as error:
            self._cannot_read(error)
            return None

    def _is_wanted(self) -> bool:
        """Be heard of, and see whether there may be something to take: to load what a job needs takes seconds."""
        self._unread = None
        try:
            self._tell_alive()
            with self.db.reading() as session:
                return not queue.is_idle(session)
        except SQLAlchemyError as error:
            self._cannot_read(error)
            return False

    def _cannot_read(self, error: SQLAlchemyError) -> None:
        self._unread = error
        _log.warning("the queue cannot be read: %s", error)

    def _tell_alive(self) -> None:
        """Be heard of now and then, also without a job."""
        if time.monotonic() - self._heard < self.settings.beat_seconds:
            return
        with self.db.session() as session:
            if not roster.beat(session, self.name, None):
                roster.enter(session, self.name, self.memory_mb)
        self._heard = time.monotonic()

    def _leave(self) -> None:
        with suppress(SQLAlchemyError), self.db.session() as session:
            roster.leave(session, self.name)

    def _work(self, job: Job) -> None:
        """Run a job to its end, whatever happens: this is where everything is caught."""
        writer, workspace = JobLogWriter(Held.of(job), self.db), Workspace(self.settings, job)
        _log.info("job %s (%s), attempt %d", job.id, job.name, job.attempt)
        child, self._child = self._child, None
        try:
            with (
                LeaseKeeper(self.name, writer.held, self.db, self.notifier, self.settings) as keeper,
                tracing.of_job(self.settings, job) as trace,
            ):
                child = child or self._children.start()
                _Attempt(self, job, writer, workspace, keeper, child, trace).run()
        except LeaseLost:
            _log.warning("job %s was lost to another worker; nothing of this attempt is kept", job.id)
        except Exception:  # noqa: BLE001 - the worker goes on with the next job
            _log.exception("job %s cannot be ended; its lease will run out", job.id)
        finally:
            if child is not None:
                child.stop()
            workspace.clear()
            self._heard = float("-inf")


class _Attempt:
    """One attempt at a job."""

    def __init__(
        self, worker: Worker, job: Job, writer: JobLogWriter, workspace: Workspace, keeper: LeaseKeeper, child: Child,
        trace: JobTrace,
    ) -> None:  # fmt: skip
        self.worker, self.job, self.writer, self.workspace, self.keeper = worker, job, writer, workspace, keeper
        self.child, self.trace = child, trace
        self._is_ending = False
        limits = job.limits or {}
        self.memory_mb = min(worker.memory_mb, limits.get("memory_mb") or worker.memory_mb)
        self.seconds = job.deadline_seconds or worker.settings.job_seconds
        self.deadline = time.monotonic() + self.seconds

    def run(self) -> None:
        """Run it, and write its end.

        Raises:
            LeaseLost: the job is another worker's.
        """
        try:
            self._run()
        except Stopping:
            self._give_back("the worker was asked to end; the job waits for another")
        except StoreUnreachable:  # what was made is in the cache, and is published by the attempt that comes next
            self._give_back("the hub's store of files is away; the job waits for it")

    def _run(self) -> None:
        try:
            message = self._converted()
            if "failure" in message:
                self._failed(message["failure"])
                return
            self._patiently(self.writer.deliver)
            self._patiently(lambda: publish.succeeded(*self._ours(), message["result"]))
            self.trace.ended(JobStatus.SUCCEEDED)
        except Cancelled:
            self._end(JobStatus.CANCELLED)
        except (LeaseLost, Stopping, StoreUnreachable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the job ends with its explanation
            if not isinstance(error, OakmillError):
                _log.exception("job %s failed within the worker", self.job.id)
            self._failed(self._explained(error))

    def _converted(self) -> Any:
        """The child's last message; however it ends, nothing of it runs any more."""
        try:
            self.child.send(self._patiently(lambda: self.workspace.furnish(self.worker.db, self.worker.blobs)))
            return self.child.follow(self._hear, self.writer.add_line, self._look, self.keeper.changed)
        finally:
            self.child.stop()

    def _hear(self, event: Mapping[str, Any]) -> None:
        self.trace.add_event(event)
        self.writer.add_event(event)

    def _look(self) -> None:
        """What is done every tenth of a second: write what was told, keep the limits, do as the hub says."""
        self.keeper.changed.clear()
        self._heed()
        self.writer.flush_soon()
        self._keep_limits()

    def _keep_limits(self) -> None:
        if self.child.exceeds(self.memory_mb):
            self.child.stop(grace=0)
            raise LimitExceeded(
                f"The job needed more than {self.memory_mb} MB of memory, and was ended.",
                remedy="Give it more (memory_mb, or OAKMILL_JOB_MEMORY_MB of the hub), if the machine has it.",
            )
        if time.monotonic() > self.deadline:
            raise LimitExceeded(
                f"The job was not done after {self.seconds} s, and was ended.",
                remedy="Give it more time (OAKMILL_JOB_SECONDS of the hub), or ask for less.",
            )

    def _explained(self, error: Exception) -> dict[str, Any]:
        from oakmill.conversion.failures import Failure, explain
        from oakmill.jobs.submit import spec_of

        stage = next((item["name"] for item in self.writer.stages if item["status"] == "running"), "")
        try:
            return explain(error, stage, spec_of(self.job)).model_dump(mode="json")
        except Exception as second:  # noqa: BLE001 - a job ends, even if nobody can say why
            _log.exception("the failure of job %s cannot be explained", self.job.id)
            words = error.message if isinstance(error, OakmillError) else f"{type(error).__name__}: {error}"
            return Failure(
                stage=stage, code="Unexpected", exit_code=1, rule="", title="Unknown failure",
                sentence=words, details=f"{type(second).__name__}: {second}",
            ).model_dump(mode="json")  # fmt: skip

    def _failed(self, failure: dict[str, Any]) -> None:
        """Write the failure, and its words into the log."""
        self._is_ending = True
        self.writer.failed()
        self.writer.add_line(str(failure.get("sentence") or failure.get("title")), "error")
        self._patiently(self.writer.deliver)
        self._patiently(lambda: publish.failed(*self._ours(), failure))
        self.trace.ended(JobStatus.FAILED, str(failure.get("code")))

    def _end(self, status: JobStatus) -> None:
        self._is_ending = True
        self.writer.failed()
        self.writer.add_line(f"the job was {status.value}", "note")
        self._patiently(self.writer.deliver)
        self._patiently(lambda: self._finish(status))
        self.trace.ended(status)

    def _finish(self, status: JobStatus) -> None:
        with self.worker.db.session() as session:
            queue.finish(session, self.job.id, self.writer.held.token, status)

    def _ours(self) -> tuple[Database, BlobStore, Held, Job, Path]:
        """What publishing an end needs to know of this attempt."""
        return self.worker.db, self.worker.blobs, self.writer.held, self.job, self.workspace.out

    def _patiently(self, deed: Callable[[], T]) -> T:
        """Do it, and while database or store is away, again: what was made is not thrown away for its restart."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return deed()
            except (OperationalError, InterfaceError, StoreUnreachable) as error:
                self._heed()
                if time.monotonic() > until:
                    raise
                _log.warning("job %s waits: %s", self.job.id, error)
                time.sleep(POLL_SECONDS)

    def _heed(self) -> None:
        """Do as the hub says, also while waiting."""
        if self.keeper.state is LeaseState.LOST:
            raise LeaseLost(subject=self.job.id)
        if self.keeper.state is LeaseState.CANCEL and not self._is_ending:
            raise Cancelled(subject=self.job.id)
        if self.worker.stopping:
            raise Stopping(subject=self.job.id)

    def _give_back(self, why: str) -> None:
        self.trace.ended("given back")
        self.writer.add_line(why, "note")
        self.writer.flush()
        with self.worker.db.session() as session:
            queue.release(session, self.job.id, self.writer.held.token)
