"""What the database bears, and what parts of one conversion cost: the figures of the model in docs/explain/scale.md.

.venv/bin/python bench/scale_costs.py rates                claims, beats and looks, on SQLite and PostgreSQL
.venv/bin/python bench/scale_costs.py parts MODEL.onnx     a superblob whole and in parts, in processor seconds
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import onnx
import psutil
from scale_hub import ENVIRONMENT, Hub, hub, served
from sqlalchemy import func, select
from superblob import prepared

from oakmill.jobs import queue, roster
from oakmill.jobs.executors.local import environment_of
from oakmill.jobs.tables import Job, JobStatus
from oakmill.settings import Settings, current
from oakmill.storage.database import Database
from oakmill.toolchains.rvc2 import parts as cutting
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain
from tests import hub_servers

MEASURED = 2.0
MINUTE = timedelta(minutes=1)


@click.group(help=__doc__)
def main() -> None:
    """All of them."""


@main.command()
def rates() -> None:
    """What a claim and its end, a beat, and a look cost, by how many jobs wait."""
    with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder, served(durable=True) as server:
        for name, database in (("postgres", hub_servers.make_database(server, "rates")), ("sqlite", None)):
            with hub(Path(folder) / name, database=database) as made:
                for waiting in (100, 5_000):
                    fill(made, waiting)
                    show_costs(made, name, waiting)


def fill(made: Hub, count: int) -> None:
    """So many jobs that wait."""
    with made.db.session() as session:
        there = session.scalar(select(func.count()).where(Job.status == JobStatus.QUEUED)) or 0
        first = session.scalar(select(func.max(Job.number))) or 0
        for number in range(first, first + count - there):
            row = {"id": f"aij_{number}", "number": number + 1, "name": "job", "team_id": "ait_1", "platform": "toy"}
            session.add(Job(**row, source_id="aimi_1"))


def show_costs(made: Hub, name: str, waiting: int) -> None:
    """A row: milliseconds of a core for each deed, of who does it and of the database's server, whatever else runs."""
    words = []
    for deed in DEEDS:
        before = server_seconds(made)
        command = [sys.executable, __file__, "deed", deed]
        environment = {**ENVIRONMENT, **environment_of(made.settings)}
        said = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True).stdout  # noqa: TID251
        count, own, wall = map(float, said.split())
        server = server_seconds(made) - before
        words.append(f"{deed} {1000 * own / count:5.2f} + {1000 * server / count:5.2f} ms ({count / wall:4.0f}/s)")
    click.echo(f"{name:8} {waiting:6} waiting: {', '.join(words)}, load {os.getloadavg()[0]:.1f}")


def server_seconds(made: Hub) -> float:
    """Of processor time that PostgreSQL's processes have used by now; none where there are none."""
    folder = str(made.settings.database or "").rpartition("host=")[2]
    if not folder:
        return 0.0
    (server,) = [one for one in psutil.process_iter(["cmdline"]) if f"{folder}/data" in (one.info["cmdline"] or [])]
    times = [server.cpu_times(), *(child.cpu_times() for child in server.children(recursive=True))]
    return sum(one.user + one.system for one in times) + times[0].children_user + times[0].children_system


def claim_and_end(db: Database, name: str) -> None:
    """As a job's beginning and end are written; it is queued again, so that as many wait as before."""
    with db.session() as session:
        job = queue.claim(session, name, MINUTE)
        assert job is not None
        held = job.id, str(job.lease_token)
    with db.session() as session:
        queue.release(session, *held)


def beat(db: Database, name: str) -> None:
    """As a worker does every five seconds."""
    with db.session() as session:
        queue.beat(session, "aij_0", "token", MINUTE)
        roster.beat(session, name, None)


def look(db: Database, name: str) -> None:
    """As a worker without a job does whenever the queue changes, and every second."""
    with db.reading() as session:
        queue.is_idle(session)


DEEDS: Mapping[str, Callable[[Database, str], None]] = {"claim": claim_and_end, "beat": beat, "look": look}


@main.command("deed", hidden=True)
@click.argument("name", type=click.Choice(list(DEEDS)))
def deed(name: str) -> None:
    """Do it again and again; print how often, in how many seconds of processor time, and of time."""
    db, own = Database.of(Settings()), f"bench-{os.getpid()}"
    with db.session() as session:
        roster.enter(session, own, 1)
    DEEDS[name](db, own)
    began, used, count = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began < MEASURED:
        DEEDS[name](db, own)
        count += 1
    click.echo(f"{count} {time.process_time() - used} {time.monotonic() - began}")


@main.command()
@click.argument("models", nargs=-1, type=click.Path(exists=True, path_type=Path))
def parts(models: tuple[Path, ...]) -> None:
    """Processor seconds of a superblob as a whole, and of each of four parts."""
    tools = Rvc2Toolchain(current().model_copy(update={"workers": 1}))
    for source in models:
        with tempfile.TemporaryDirectory(prefix="oakmill-bench-") as folder:
            model = prepared(source, Path(folder) / source.name)
            whole = timed(lambda: tools.compile(model, Path(folder) / "whole"))  # noqa: B023
            asked: dict[str, Any] = {"config": {}, "ports": {"inputs": {}, "outputs": {}}}
            each = [
                timed(lambda: tools.compile_part(model, Path(folder) / f"{n}", {**asked, "only": only}))  # noqa: B023
                for n, only in enumerate(cutting.cut(4))
            ]
        told = " ".join(f"{one:.1f}" for one in each)
        click.echo(
            f"{source.name}: {nodes_of(source)} nodes, whole {whole:.1f} s, parts {told} s of processor time: "
            f"{whole / max(each):.1f} times as fast on four cores, for {sum(each) / whole - 1:.0%} more work"
        )


def nodes_of(source: Path) -> int:
    """Of its graph."""
    return len(onnx.load(source, load_external_data=False).graph.node)


def timed(work: Callable[[], Any]) -> float:
    """Seconds of processor time that it takes, of all processes that it starts and that have ended."""
    before = os.times()
    work()
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
