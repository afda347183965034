"""A real Ray cluster of this machine, each node with a home of its own, beside PostgreSQL and an S3 server: workers and
nodes that are killed, nodes that come back, a head that is restarted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oakmill.jobs import job_log
from oakmill.jobs.executors.local import LocalWorkers
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import Instance, InstanceFile
from oakmill.spec import Rvc2Spec
from oakmill.storage.stores import open_store
from tests.crash.conftest import Hub, blob, command_line, eventually, living, made_hub, source_file
from tests.tools import link_toolchains

pytest.importorskip("ray", reason="Ray is not installed")

OBJECTS = 80 << 20
"""Bytes of a node's object store, the least that Ray takes."""


@dataclass
class Nodes:
    """A cluster whose nodes have one core each."""

    folder: Path
    cluster: Any = None
    homes: dict[Any, Path] = field(default_factory=dict)

    def add(self, name: str, **more: Any) -> Any:
        """Start a node; one of a known name comes back with what is in its home."""
        home = self.folder / name
        if not home.exists():
            home.mkdir()
            link_toolchains(home)
        more = {"num_cpus": 1, "object_store_memory": OBJECTS, "env_vars": {"OAKMILL_HOME": str(home)}, **more}
        node = self.cluster.add_node(**more)
        self.homes[node] = home
        return node

    def named(self, name: str) -> Any:
        """That node, started if it is not there."""
        return next((node for node, home in self.homes.items() if home.name == name), None) or self.add(name)

    def kill(self, node: Any) -> None:
        """As a machine that loses its power."""
        self.cluster.remove_node(node, allow_graceful=False)
        self.homes.pop(node)

    def of(self, job: Job) -> Any:
        """Where a job is at work; None where it is nowhere."""
        return next((node for node, home in self.homes.items() if (home / "hub" / "work" / job.id).exists()), None)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else its tasks starve beside other tests
        from ray.cluster_utils import Cluster

        nodes = Nodes(tmp_path_factory.mktemp("nodes"), Cluster())
        nodes.add("head")
        patch.setenv("RAY_ADDRESS", nodes.cluster.address)
        yield nodes
        nodes.cluster.shutdown()


@pytest.fixture
def hub(tmp_path: Path, postgres_url: str, s3_store: dict[str, Any], nodes: Nodes) -> Iterator[Hub]:
    with made_hub(tmp_path, postgres_url, **s3_store) as hub:
        yield hub


def workers() -> list[int]:
    """The processes that Ray's tasks have started."""
    return [pid for pid in living() if "--name ray-" in command_line(pid)]


def blob_of(hub: Hub, job: Job) -> str:
    """The sha256 of what was compiled; all of the result's files are in the store."""
    with hub.db.reading() as session:
        result = session.get_one(Instance, job.result_id)
        files = session.query(InstanceFile).where(InstanceFile.instance_id == result.id).all()
        assert all(open_store(hub.settings).has(file.sha256) for file in files) and len(files) == 4
        return next(file.sha256 for file in files if file.role == "model")


def kill_worker_of(hub: Hub, job: Job) -> None:
    owner = hub.job(job).lease_owner
    for pid in workers():
        if owner and owner in command_line(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_jobs_worker_is_killed_and_another_is_sent(hub: Hub) -> None:
    placer = hub.worker("--ray")
    first, second = hub.ask(), hub.ask(spec=blob(5))
    hub.compiling(first)
    kill_worker_of(hub, first)
    ends = [hub.ended(job) for job in (first, second)]
    assert [job.status for job in ends] == [JobStatus.SUCCEEDED] * 2
    assert [job.attempt for job in ends] == [2, 1]
    assert len({blob_of(hub, job) for job in ends}) == 2
    placer.terminate()
    assert placer.wait(240) == 0
    assert eventually(lambda: not workers())


@pytest.mark.slow  # that parts give the same bytes is shown without Ray too
def test_one_conversion_is_spread_over_machines_with_the_same_bytes(
    tmp_path: Path, postgres_url: str, s3_store: dict[str, Any], nodes: Nodes
) -> None:
    """A superblob in two parts on two nodes, and the same again by a worker that has nobody to ask."""
    nodes.named("one")
    with made_hub(tmp_path, postgres_url, source_file(tmp_path, layers=160, size=8), **s3_store) as hub:
        spec = Rvc2Spec(max_verification_images=2)
        placer = hub.worker("--ray")
        spread = hub.ended(hub.ask(spec=spec))
        placer.terminate()
        hub.worker()
        alone = hub.ended(hub.ask(spec=spec, force=True))
        assert spread.status == alone.status == JobStatus.SUCCEEDED, (spread.failure, alone.failure)
        assert [PARTS in log_of(hub, job) for job in (spread, alone)] == [True, False]
        assert blob_of(hub, spread) == blob_of(hub, alone)


PARTS = "compiled in 2 parts, on several machines"


def log_of(hub: Hub, job: Job) -> str:
    with hub.db.reading() as session:
        return "\n".join(line.text for line in job_log.read(session, job.id, limit=100_000))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_node_is_killed_in_the_middle_of_its_job_and_comes_back(hub: Hub, nodes: Nodes) -> None:
    """Three jobs on three nodes, one of which loses its power: its job is tried once more, and ends with the same bytes
    as on a machine that lives. The node is used again when it is back."""
    machines = {nodes.named(name) for name in ("one", "two")}
    hub.worker("--ray")
    jobs = [hub.ask(spec=blob(shaves)) for shaves in (9, 10, 11)]  # which no node has in its cache from another test
    for job in jobs:
        hub.compiling(job)
    assert {nodes.of(job) for job in jobs} == set(nodes.homes), "one job on each node"
    lost = next(job for job in jobs if nodes.of(job) in machines)
    machine = nodes.of(lost)
    home = nodes.homes[machine]
    nodes.kill(machine)
    ends = [hub.ended(job) for job in jobs]
    assert {job.status for job in ends} == {JobStatus.SUCCEEDED}
    assert [job.attempt for job in ends] == [2 if job.id == lost.id else 1 for job in jobs]
    back = nodes.add(home.name)
    again = [hub.ask(spec=blob(job.spec["number_of_shaves"]), force=True) for job in jobs]
    for job in again:
        hub.compiling(job)
    assert back in [nodes.of(job) for job in again], "a node that came back has no job"
    assert [blob_of(hub, hub.ended(job)) for job in again] == [blob_of(hub, job) for job in ends]
    assert not (home / "hub" / "work" / lost.id).exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_head_is_restarted_and_jobs_go_on(hub: Hub, nodes: Nodes) -> None:
    """With Ray's head all that runs on the cluster is lost, and who places jobs; neither is the truth about them."""
    with LocalWorkers(hub.settings, ray=True):
        job = hub.ask(spec=blob(12))
        hub.compiling(job)
        port = int(nodes.cluster.address.rpartition(":")[2])
        nodes.kill(nodes.cluster.head_node)
        for node in [*nodes.homes]:
            nodes.kill(node)
        assert eventually(lambda: not workers())
        nodes.add("head", gcs_server_port=port)
        done = hub.ended(job)
    assert (done.status, done.attempt) == (JobStatus.SUCCEEDED, 2)
    assert blob_of(hub, done)


def test_what_a_cluster_lacks_is_said(hub: Hub) -> None:
    """A hub whose files are on one machine is refused at once, not when the first job fails on another."""
    worker = hub.worker("--ray", store=None)
    assert worker.wait(240) != 0
