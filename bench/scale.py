"""How the hub grows with its machines, of which 1 to 8 are simulated on this one, and what the database bears.

    .venv/bin/python bench/scale.py nodes [1 2 4 8]      jobs a minute, plain workers and Ray side by side
    .venv/bin/python bench/scale.py kill                 what a killed worker and a killed node cost

A simulated node is a worker process of its own whose conversions are a sleep of WORK seconds, so that eight of them
have a core's work each on a machine that has two. All else is as always: PostgreSQL, an S3 server (moto, on this
machine), the queue's claims, leases and beats, log lines, the fetching of sources and the publishing of files. What is
published is a conversion of the tests' toy platform, made once.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
from scale_hub import ENVIRONMENT, LEASE, RECORDED, Hub, become, hub, record, served

from oakmill.jobs import worker
from oakmill.jobs.executors.local import environment_of
from oakmill.jobs.executors.ray import RayPlacer
from oakmill.jobs.notify import Notifier
from oakmill.jobs.tables import Job, JobStatus
from oakmill.settings import Settings
from oakmill.storage.database import Database
from oakmill.storage.stores import open_store
from tests import fakes, hub_servers

BENCHES = Path(__file__).resolve().parent
WORK = 4.0
"""Seconds of a simulated conversion."""
ROUNDS = 6
"""Jobs of each node."""


@click.group(help=__doc__)
def main() -> None:
    """Both."""


class Sleeping(fakes.Child):
    """A job's process whose work is a sleep: it tells its stages, and leaves what was recorded of a real conversion."""

    def send(self, request: Mapping[str, Any]) -> None:
        """Take the request."""
        self._folder = Path(request["folder"])

    def follow(self, hear: Any, say: object, look: Callable[[], None], wake: object = None) -> Any:
        """Sleep as long as it takes, and tell the stages meanwhile."""
        recorded = Path(ENVIRONMENT[RECORDED])
        stages = ("inspect", "prepare", "compile", "package", "verify")
        for stage in stages:
            hear({"stage": stage, "kind": "started"})
            end = time.monotonic() + WORK / len(stages)
            while time.monotonic() < end:
                look()
                time.sleep(0.1)
            hear({"stage": stage, "kind": "finished", "seconds": WORK / len(stages)})
        shutil.copytree(recorded / "out", self._folder / "out", dirs_exist_ok=True)
        return json.loads((recorded / "message.json").read_text())


@main.command("worker", hidden=True)
@click.argument("name")
def worker_of_a_node(name: str) -> None:
    """A simulated node's worker, until it is ended, or until there is no more to do if Ray has sent it."""
    with fakes.toys():
        become(Sleeping)
        settings = Settings()
        db = Database.of(settings)
        own = worker.Worker(settings, db, open_store(settings), Notifier.of(settings, db), name)
        if not name.startswith("ray-"):
            own.run()
        elif not own.run_some(20):
            sys.exit(worker.NOTHING_TO_DO)


def start(name: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A simulated node's worker."""
    command = [sys.executable, str(Path(__file__)), "worker", name]
    return subprocess.Popen(command, env={**ENVIRONMENT, **environment}, stderr=subprocess.DEVNULL)


def run_simulated(name: str, environment: dict[str, str]) -> int:
    """What Ray's task does in the place of `run_worker`."""
    return start(name, environment).wait()


class Plain:
    """So many workers beside each other."""

    def __init__(self, hub: Hub, nodes: int) -> None:
        self._hub = hub
        self.workers = {
            f"node-{number}": start(f"node-{number}", environment_of(hub.settings)) for number in range(nodes)
        }

    def kill(self, job: Job) -> None:
        """The worker that has the job."""
        self.workers[str(job.lease_owner)].kill()

    def close(self) -> None:
        """End them."""
        for process in self.workers.values():
            process.terminate()
            process.wait()


class OnRay:
    """So many nodes of one core in a Ray cluster, and a head without any."""

    def __init__(self, hub: Hub, nodes: int) -> None:
        from ray.cluster_utils import Cluster

        more: dict[str, Any] = {"object_store_memory": 80 << 20}
        self._cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **more})
        homes = [hub.settings.home.parent / f"node-{number}" for number in range(nodes)]
        self._nodes = {
            home: self._cluster.add_node(num_cpus=1, env_vars={"OAKMILL_BENCH_NODE": str(home)}, **more)
            for home in homes
        }
        environment = {**ENVIRONMENT, **environment_of(hub.settings), "RAY_ADDRESS": self._cluster.address}
        self._placer = subprocess.Popen(
            [sys.executable, __file__, "placer"], env=environment, stderr=subprocess.DEVNULL
        )

    def kill(self, job: Job) -> None:
        """The node on which the job is."""
        for pid in Path("/proc").glob("[0-9]*"):
            if str(job.lease_owner).encode() in _read(pid / "cmdline"):
                home = next(home for home in self._nodes if str(home).encode() in _read(pid / "environ"))
                self._cluster.remove_node(self._nodes.pop(home), allow_graceful=False)
                os.kill(int(pid.name), signal.SIGKILL)
                return

    def close(self) -> None:
        """End it."""
        self._placer.terminate()
        self._placer.wait()
        self._cluster.shutdown()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@main.command("placer", hidden=True)
def placer_of_nodes() -> None:
    """Sends simulated workers to the cluster that RAY_ADDRESS names."""
    settings = Settings()
    db = Database.of(settings)
    import scale  # by this name Ray's own processes find it

    RayPlacer(settings, db, Notifier.of(settings, db), run=scale.run_simulated).run()


WAYS: Mapping[str, Any] = {"plain": Plain, "ray": OnRay}


@contextmanager
def hub_of_nodes() -> Iterator[Hub]:
    """On PostgreSQL and S3, with a recorded conversion."""
    ENVIRONMENT.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0", PYTHONPATH=f"{BENCHES.parent}:{BENCHES}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oakmill-bench-")))
        database = hub_servers.make_database(stack.enter_context(served()), "hub")
        store = hub_servers.make_bucket(stack.enter_context(hub_servers.s3()))
        made = stack.enter_context(hub(folder, database=database, **store))
        record(made, folder / "recorded")
        yield made


@main.command()
@click.argument("counts", nargs=-1, type=int)
@click.option("--way", type=click.Choice(list(WAYS)), multiple=True)
def nodes(counts: tuple[int, ...], way: tuple[str, ...]) -> None:
    """Jobs a minute from 1 to 8 nodes; what each job costs beside its work; how soon the first one begins."""
    with hub_of_nodes() as made:
        for count in counts or (1, 2, 4, 8):
            for name in way or WAYS:
                asked, before, made.most_connections = time.time(), made.transactions() - made.looks, 0
                ids = made.ask(ROUNDS * count)
                own = WAYS[name](made, count)
                done = made.wait(ids, (JobStatus.SUCCEEDED, JobStatus.FAILED), len(ids))
                deals = made.transactions() - made.looks - before
                own.close()
                show_nodes(name, count, done, asked)
                click.echo(
                    f"{'':6} {deals / len(done):.0f} transactions for each job, {made.most_connections} connections"
                )


def show_nodes(name: str, count: int, done: list[Job], asked: float) -> None:
    """A row of medians: from a job's end to the beginning of the next one in its place is what the queue costs."""
    assert all(job.status == JobStatus.SUCCEEDED and job.attempt == 1 for job in done), [job.error for job in done]
    begun = sorted(job.started.timestamp() for job in done if job.started)
    ended = sorted(job.finished.timestamp() for job in done if job.finished)
    took = [(job.finished - job.started).total_seconds() for job in done if job.finished and job.started]
    gaps = [begin - end for begin, end in zip(begun[count:], ended, strict=False)]
    own, gap = statistics.median(took) - WORK, statistics.median(gaps)
    rate, ideal = 60 * count / (WORK + own + gap), 60 * count / WORK
    whole = 60 * len(done) / (ended[-1] - begun[0])
    click.echo(
        f"{name:6} {count} nodes: {rate:6.1f} jobs/min ({rate / ideal:4.0%} of {ideal:.0f}; {whole:.1f} with start and "
        f"end), job {own:5.2f} s beside its {WORK:.0f} s, between jobs {gap:5.2f} s, first begins after "
        f"{begun[0] - asked:5.1f} s, load {os.getloadavg()[0]:.1f}"
    )


@main.command()
def kill() -> None:
    """From the kill until the job runs again elsewhere, with a lease of LEASE seconds."""
    with hub_of_nodes() as made:
        for name in WAYS:
            ids = made.ask(4)
            own = WAYS[name](made, 2)
            running = made.wait(ids, (JobStatus.RUNNING,), 2)
            time.sleep(WORK / 2)
            job = next(job for job in running if job.status == JobStatus.RUNNING)
            own.kill(job)
            killed = time.time()
            done = {item.id: item for item in made.wait(ids, (JobStatus.SUCCEEDED,), len(ids))}
            own.close()
            again = done[job.id].started
            assert again and done[job.id].attempt == 2
            click.echo(
                f"{name:6} killed in mid-job: runs again {again.timestamp() - killed:.1f} s later (lease {LEASE:.0f} s)"
            )


if __name__ == "__main__":
    main()
