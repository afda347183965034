"""What a worker leans on goes away: its database in the middle of a job, the room on its disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from oakmill.jobs.tables import JobStatus
from oakmill.registry.tables import InstanceStatus
from tests.crash.conftest import Hub, eventually
from tests.crash.test_workers import lines, result_of
from tests.hub_servers import POSTGRES, make_database, make_postgres, postgres


@dataclass
class Server:
    """A PostgreSQL server that can be ended, and started again with what it held."""

    folder: Path
    user: str | None
    running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        self.running.enter_context(postgres(self.folder, self.user, signal.SIGINT))

    def end(self) -> None:
        self.running.close()


@pytest.fixture
def server() -> Iterator[Server]:
    if not POSTGRES or shutil.which("psql") is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="oakmill-pg-", dir="/tmp"))  # a socket's path must be short
    found = Server(folder, "postgres" if os.geteuid() == 0 else None)
    if found.user:
        shutil.chown(folder, found.user)
    make_postgres(folder, found.user)
    found.start()
    yield found
    found.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str | None:
    if "server" not in request.fixturenames:
        return None
    found: Server = request.getfixturevalue("server")
    return make_database(f"postgresql+psycopg://hub@/{{name}}?host={found.folder}", "outage")


def test_a_job_outlives_a_restart_of_its_database(server: Server, hub: Hub) -> None:
    """A conversion that ended while the database was restarted was failed for want of it, and its result thrown away.

    The database is away from the middle of the compile until nothing of the conversion runs any more.
    """
    hub.worker()
    job = hub.ask()
    hub.compiling(job)
    assert eventually(lambda: len(hub.processes(job)) > 0)
    hub.db.close()
    server.end()
    assert eventually(lambda: not hub.processes(job)), "the conversion goes on without a database"
    server.start()
    done = hub.ended(job)
    assert (done.status, done.attempt, done.error) == (JobStatus.SUCCEEDED, 1, None)
    result, roles = result_of(hub, done)
    assert (result.status, len(roles)) == (InstanceStatus.AVAILABLE, 4)
    assert {stage["status"] for stage in done.stages} == {"done"}, "what was told meanwhile was not delivered"
    assert ("verify", "finished") in {(line.stage, line.kind) for line in lines(hub, job)}
    numbers = [line.number for line in lines(hub, job)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_full_disk_fails_the_job_and_says_so(hub: Hub) -> None:
    """The work folder is a file system of its own with no room for the source."""
    work = hub.settings.hub / "work"
    work.mkdir()
    if subprocess.call(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", work]):
        pytest.skip("a small file system cannot be mounted here")
    try:
        (work / "full").write_bytes(b"x" * 40_000)
        hub.worker()
        done = hub.ended(hub.ask())
        assert done.status == JobStatus.FAILED
        assert done.error and "disk" in done.error, done.error
        assert done.failure and done.failure["remedies"], done.failure
        assert result_of(hub, done)[0].status == InstanceStatus.FAILED
    finally:
        for worker in hub.workers:
            worker.terminate()
            worker.wait()
        subprocess.check_call(["umount", "-l", work])
