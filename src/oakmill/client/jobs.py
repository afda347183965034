"""Jobs of a hub: listed, waited for, followed, cancelled, tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from oakmill.client.connection import Connection
from oakmill.client.following import Told, follow
from oakmill.hub.wire import Job, Line

Watch = Callable[[Told], None]


def unwatched(told: Told) -> None:
    """Tell nobody."""


class Jobs:
    """Jobs of the key's team. Methods raise as those of `Models` do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, **filters: Any) -> Iterator[Job]:
        """The jobs, the latest first; filters are those of GET /api/v1/jobs: status, model_id, platform."""
        return map(Job.model_validate, self._connection.pages("/jobs", **filters))

    def get(self, job_id: str) -> Job:
        """A job, and what is expected of it."""
        return Job.model_validate(self._connection.get(f"/jobs/{job_id}"))

    def log(self, job_id: str, after: int = 0) -> Iterator[Line]:
        """The lines of its log that are there, from line `after` on."""
        while True:
            page = self._connection.get(f"/jobs/{job_id}/log", after=after)
            yield from map(Line.model_validate, page["items"])
            if page.get("next_cursor") is None:
                return
            after = int(page["next_cursor"])

    def follow(self, job_id: str, after: int = 0) -> Iterator[Told]:
        """What it tells, to its end: lines of the log, once each, and the job whenever it has changed."""
        return follow(self._connection, job_id, after)

    def wait(self, job: Job | str, watch: Watch = unwatched) -> Job:
        """The job as it has ended, however it has; `Job.require_success` raises what it failed with."""
        job_id = job if isinstance(job, str) else job.id
        for told in self.follow(job_id):
            watch(told)
        return self.get(job_id)

    def cancel(self, job_id: str) -> Job:
        """Cancel it; one that has ended stays as it ended."""
        return Job.model_validate(self._connection.ask("POST", f"/jobs/{job_id}/cancel", again=True))

    def retry(self, job_id: str, **edits: Any) -> Job:
        """Ask for an ended job again, as it was or with other values of its spec.

        Raises:
            Conflict: it has not ended, or its source is gone.
            SpecError: a value is not valid.
        """
        return Job.model_validate(self._connection.ask("POST", f"/jobs/{job_id}/retry", json={"edits": edits}))

    def prioritise(self, job_id: str, priority: int) -> Job:
        """Move a job that waits: higher goes first.

        Raises:
            Conflict: it waits no more.
        """
        return Job.model_validate(self._connection.ask("PATCH", f"/jobs/{job_id}", json={"priority": priority}))
