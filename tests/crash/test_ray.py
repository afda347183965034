"""Jobs on a real Ray cluster of this machine, with the hub's rows in PostgreSQL and its files in an S3 server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oakmill.jobs.tables import JobStatus
from oakmill.registry.tables import Instance, InstanceFile
from oakmill.storage.stores import open_store
from tests.crash.conftest import Hub, blob, command_line, eventually, living, made_hub
from tests.hub_servers import s3_server, s3_store

__all__ = ["s3_server", "s3_store"]

pytest.importorskip("ray", reason="Ray is not installed")


@pytest.fixture
def hub(tmp_path: Path, postgres_url: str, s3_store: dict[str, Any]) -> Iterator[Hub]:
    with made_hub(tmp_path, postgres_url, **s3_store) as hub:
        yield hub


def workers_of(job_id: str) -> list[int]:
    """The processes that Ray's tasks for that job have started."""
    return [pid for pid in living() if f"worker --once {job_id}" in command_line(pid)]


def test_jobs_run_on_the_cluster_and_one_whose_worker_is_killed_is_sent_again(hub: Hub) -> None:
    placer = hub.worker("--ray")
    first, second = hub.ask(), hub.ask(spec=blob(5))
    hub.compiling(first)
    for pid in workers_of(first.id):
        os.kill(pid, signal.SIGKILL)
    ends = [hub.ended(job) for job in (first, second)]
    assert [job.status for job in ends] == [JobStatus.SUCCEEDED] * 2
    assert [job.attempt for job in ends] == [2, 1]
    with hub.db.reading() as session:
        for job in ends:
            result = session.get_one(Instance, job.result_id)
            files = session.query(InstanceFile).where(InstanceFile.instance_id == result.id).all()
            assert all(open_store(hub.settings).has(file.sha256) for file in files) and len(files) == 4
    placer.terminate()
    assert placer.wait(60) == 0
    assert eventually(lambda: not [pid for job in ends for pid in workers_of(job.id)])


def test_what_a_cluster_lacks_is_said(hub: Hub) -> None:
    """A hub whose files are on one machine is refused at once, not when the first job fails on another."""
    worker = hub.worker("--ray", store=None)
    assert worker.wait(60) != 0
