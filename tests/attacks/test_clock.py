"""A machine whose clock is wrong steals no jobs: the database's clock alone says whether a lease is over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from oakmill.jobs import queue
from oakmill.jobs.tables import Job, JobStatus
from oakmill.storage.database import Database, now
from tests.unit.jobs.conftest import add_source

AHEAD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int found = real(clock, at);
    if (clock == CLOCK_REALTIME) at->tv_sec += 300;
    return found;
}
"""
STEAL = """
import sys
from datetime import timedelta
from oakmill.jobs import queue
from oakmill.storage.database import Database, now
db = Database(sys.argv[1])
with db.session() as session:
    print(now().isoformat(), len(queue.expire(session)), queue.claim(session, "thief", timedelta(seconds=60)))
"""


@pytest.fixture
def ahead(tmp_path: Path) -> str:
    """A library before which a process's clock is five minutes ahead."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    (tmp_path / "ahead.c").write_text(AHEAD)
    command = "cc -shared -fPIC -o ahead.so ahead.c -ldl"
    subprocess.check_call(command.split(), cwd=tmp_path)
    return str(tmp_path / "ahead.so")


@pytest.fixture
def db(postgres_tables: str) -> Iterator[Database]:
    with closing(Database(postgres_tables)) as found:
        with found.session() as session:
            add_source(session)
            queue.add(session, Job(id="aij_1", name="job", team_id="ait_1", platform="rvc2"))
            assert queue.claim(session, "honest", timedelta(seconds=60))
        yield found


def test_a_worker_whose_clock_is_ahead_steals_nothing(db: Database, ahead: str) -> None:
    """Of five minutes' difference all running jobs were lost, to whoever's clock was ahead."""
    variables = {**os.environ, "LD_PRELOAD": ahead}  # noqa: TID251 - a process of its own
    command = [sys.executable, "-c", STEAL, db.engine.url.render_as_string(hide_password=False)]
    said = subprocess.check_output(command, env=variables, text=True)
    assert said.split()[0] > (now() + timedelta(seconds=240)).isoformat(), "its clock is not ahead"
    assert said.split()[1:] == ["0", "None"]
    with db.reading() as session:
        job = session.get_one(Job, "aij_1")
        assert (job.status, job.lease_owner) == (JobStatus.RUNNING, "honest")
