"""Workers placed on a Ray cluster, here one that only notes what it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

from oakmill.errors import Unavailable
from oakmill.jobs import queue, roster
from oakmill.jobs.executors.ray import RayPlacer, run_worker
from oakmill.jobs.notify import Notifier
from oakmill.jobs.tables import Job, JobStatus, WorkerRow
from oakmill.registry.tables import Team
from oakmill.storage.database import now
from tests.unit.jobs.conftest import Hub

MINUTE = timedelta(minutes=1)


class Task:
    """A worker that was sent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._future: Future[int] = Future()

    def future(self) -> Future[int]:
        return self._future

    def end(self, code: int = 0) -> None:
        self._future.set_result(code)


class Cluster:
    """What is used of the module ray."""

    def __init__(self) -> None:
        self.sent: list[Task] = []

    def remote(self, function: object) -> Cluster:
        assert function is run_worker
        cluster = self

        class Remote:
            def options(self, **_: Any) -> Remote:
                return self

            def remote(self, name: str, environment: dict[str, str]) -> Task:
                assert environment["OAKMILL_STORE"] == "s3://bucket/hub"
                cluster.sent.append(Task(name))
                return cluster.sent[-1]

        return Remote()  # type: ignore[return-value]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0}

    def wait(self, tasks: list[Task], **_: Any) -> tuple[list[Task], list[Task]]:
        ended = [task for task in tasks if task.future().done()]
        return ended, [task for task in tasks if task not in ended]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def placer(hub: Hub, cluster: Cluster) -> Iterator[RayPlacer]:
    settings = hub.settings.model_copy(update={"database": "postgresql+psycopg://h/x", "store": "s3://bucket/hub"})
    notifier = Notifier.of(hub.settings, hub.db)
    yield RayPlacer(settings, hub.db, notifier, ray=cluster)
    notifier.close()


def begins(hub: Hub, task: Task, lease: timedelta = MINUTE) -> Job:
    """A machine has become free for it: it takes a job."""
    with hub.db.session() as session:
        job = queue.claim(session, task.name, lease)
    assert job is not None
    return job


def ends(hub: Hub, task: Task, job: Job) -> None:
    with hub.db.session() as session:
        queue.finish(session, job.id, job.lease_token or "", JobStatus.SUCCEEDED, result={})
    task.end()


def test_a_worker_is_sent_for_each_job_and_again_when_its_task_ended_without_one(
    hub: Hub, placer: RayPlacer, cluster: Cluster
) -> None:
    hub.add_job()
    hub.add_job()
    placer.place()
    placer.place()
    assert len(cluster.sent) == 2
    cluster.sent[0].end(1)
    placer.place()
    assert len(cluster.sent) == 3
    ends(hub, cluster.sent[1], begins(hub, cluster.sent[1]))
    placer.place()
    assert len(cluster.sent) == 3


def test_a_team_that_comes_late_has_the_next_free_place_on_the_cluster_too(
    hub: Hub, placer: RayPlacer, cluster: Cluster
) -> None:
    """Jobs were sent by name as they came: what the cluster could not begin yet waited there, in that order, and the
    other team's one job behind all of them."""
    for _ in range(50):
        hub.add_job()
    placer.place()
    begins(hub, cluster.sent[0])
    with hub.db.session() as session:
        session.add(Team(id="ait_2", name="two", slug="two"))
    late = hub.add_job(team_id="ait_2")
    placer.place()
    assert begins(hub, cluster.sent[1]).id == late


def test_no_more_are_sent_than_a_teams_bound_lets_begin(hub: Hub, placer: RayPlacer, cluster: Cluster) -> None:
    """A job that was named to its worker began whatever its team had running."""
    with hub.db.session() as session:
        session.get_one(Team, "ait_1").most_running = 2
    for _ in range(5):
        hub.add_job()
    placer.place()
    assert len(cluster.sent) == 2
    first = begins(hub, cluster.sent[0])
    placer.place()
    assert len(cluster.sent) == 2
    ends(hub, cluster.sent[0], first)
    placer.place()
    assert len(cluster.sent) == 3


def test_no_more_wait_than_the_cluster_has_cores(hub: Hub, placer: RayPlacer, cluster: Cluster) -> None:
    """Each goes on with the next job: fifty that wait for one core would start, and find nothing to do."""
    for _ in range(50):
        hub.add_job()
    placer.place()
    assert len(cluster.sent) == 4
    begins(hub, cluster.sent[0])
    placer.place()
    assert len(cluster.sent) == 5


def test_another_is_sent_for_one_that_was_frozen(hub: Hub, placer: RayPlacer, cluster: Cluster) -> None:
    """With its job, which is lost with the lease, or before it had taken any: its task does not end."""
    hub.add_job()
    placer.place()
    begins(hub, cluster.sent[0], timedelta(seconds=-1))
    placer.place()
    placer.place()
    assert len(cluster.sent) == 2
    with hub.db.session() as session:
        roster.enter(session, cluster.sent[1].name, 1)
        session.flush()
        session.get_one(WorkerRow, cluster.sent[1].name).beat = now() - 5 * MINUTE
    placer.place()
    assert len(cluster.sent) == 3


def test_a_hub_whose_files_are_on_one_machine_cannot_be_spread(hub: Hub) -> None:
    with pytest.raises(Unavailable, match="a store that every machine reaches"):
        RayPlacer(hub.settings, hub.db, Notifier.of(hub.settings, hub.db), ray=Cluster())
