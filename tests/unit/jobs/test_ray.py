"""Jobs placed on a Ray cluster, here one that only notes what it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from oakmill.errors import Unavailable
from oakmill.jobs.executors.ray import RayPlacer, run_worker
from oakmill.jobs.notify import Notifier
from tests.unit.jobs.conftest import Hub


class Cluster:
    """What is used of the module ray."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.ended: list[int] = []

    def remote(self, function: object) -> Cluster:
        assert function is run_worker
        cluster = self

        class Task:
            def options(self, **_: Any) -> Task:
                return self

            def remote(self, job_id: str, environment: dict[str, str]) -> int:
                assert environment["OAKMILL_STORE"] == "s3://bucket/hub"
                cluster.sent.append(job_id)
                return len(cluster.sent)

        return Task()  # type: ignore[return-value]

    def wait(self, tasks: list[int], **_: Any) -> tuple[list[int], list[int]]:
        return [task for task in tasks if task in self.ended], [task for task in tasks if task not in self.ended]


def test_each_waiting_job_is_sent_once_and_again_when_its_task_ended_without_it(hub: Hub) -> None:
    settings = hub.settings.model_copy(update={"database": "postgresql+psycopg://h/x", "store": "s3://bucket/hub"})
    notifier, cluster = Notifier.of(hub.settings, hub.db), Cluster()
    workers = RayPlacer(settings, hub.db, notifier, ray=cluster)
    first, second = hub.add_job(), hub.add_job()
    workers.place()
    workers.place()
    assert cluster.sent == [first, second]
    cluster.ended = [1]
    workers.place()
    assert cluster.sent == [first, second, first]
    notifier.close()


def test_a_hub_whose_files_are_on_one_machine_cannot_be_spread(hub: Hub) -> None:
    with pytest.raises(Unavailable, match="a store that every machine reaches"):
        RayPlacer(hub.settings, hub.db, Notifier.of(hub.settings, hub.db), ray=Cluster())
