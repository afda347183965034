"""Workers that are killed, frozen, cancelled and outnumbered: every job is run to one end, and nothing is left over."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import func, select

from oakmill.jobs import job_log, presence
from oakmill.jobs.tables import Job, JobStatus, LogLine
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus
from oakmill.spec import Rvc2Spec
from oakmill.storage.database import now
from tests.crash.conftest import LEASE, PATIENCE, Hub, blob, eventually

ON_ONE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For what ends processes: which database knows of it makes no difference."""
FIRST_ON_POSTGRES = pytest.mark.parametrize(
    "database", [pytest.param("sqlite", marks=pytest.mark.slow), "postgres"], indirect=True
)
"""For what takes half a minute: on the database of a hub with many workers, and on the other in a whole run."""


def result_of(hub: Hub, job: Job) -> tuple[Instance, list[str]]:
    with hub.db.reading() as session:
        files = session.scalars(select(InstanceFile).where(InstanceFile.instance_id == job.result_id)).all()
        return session.get_one(Instance, job.result_id), [str(file.role) for file in files]


@FIRST_ON_POSTGRES
def test_a_worker_killed_in_mid_compile_is_followed_by_another_within_the_lease(hub: Hub) -> None:
    first = hub.worker()
    job = hub.ask()
    hub.compiling(job)
    assert eventually(lambda: len(hub.processes(job)) > 1)
    first.kill()
    first.wait()
    killed = now()
    assert eventually(lambda: not hub.processes(job)), "its tools live on"
    lease_until = hub.job(job).lease_until
    hub.worker()
    again = hub.wait(job, lambda found: found.attempt == 2)
    assert lease_until and again.started and lease_until < killed + timedelta(seconds=LEASE)
    assert again.started >= lease_until
    done = hub.ended(job)
    assert (done.status, again.attempt) == (JobStatus.SUCCEEDED, 2)
    result, roles = result_of(hub, done)
    assert result.status == InstanceStatus.AVAILABLE
    assert sorted({*roles} - {"face"}) == ["model", "passport", "passport_page", "recipe"]
    assert [line.number for line in lines(hub, job)] == list(range(1, len(lines(hub, job)) + 1))
    assert {line.attempt for line in lines(hub, job)} == {1, 2}


def at_work(job: Job, attempt: int) -> bool:
    return job.attempt == attempt and bool(job.stages)


@ON_ONE
def test_a_hub_that_was_killed_takes_its_jobs_up_at_once_and_at_no_cost(hub: Hub) -> None:
    """They waited for their leases, and failed when their hub was restarted twice."""
    job = hub.ask()
    for attempt in (1, 2):
        worker = hub.worker(lease_seconds=600)
        hub.wait(job, partial(at_work, attempt=attempt))
        worker.kill()
        worker.wait()
        assert presence.take_up(hub.settings, hub.db) == [job.id]
    hub.worker(lease_seconds=600)
    done = hub.ended(job)
    assert (done.status, done.attempt) == (JobStatus.SUCCEEDED, 3)
    assert presence.take_up(hub.settings, hub.db) == [], "a living worker's job was taken"


def lines(hub: Hub, job: Job) -> list[LogLine]:
    with hub.db.reading() as session:
        return list(job_log.read(session, job.id, limit=100_000))


@FIRST_ON_POSTGRES
def test_a_worker_frozen_past_its_lease_and_woken_cannot_overwrite(hub: Hub) -> None:
    frozen = hub.worker()
    job = hub.ask()
    hub.compiling(job)
    hub.freeze(frozen)
    hub.worker()
    hub.wait(job, lambda found: found.attempt == 2)
    frozen.send_signal(signal.SIGCONT)
    done = hub.ended(job)
    result, roles = result_of(hub, done)
    assert (done.status, done.attempt, len(roles)) == (JobStatus.SUCCEEDED, 2, 4)
    time.sleep(1)
    after = hub.job(job)
    assert (after.status, after.attempt, after.finished) == (done.status, 2, done.finished)
    assert len(result_of(hub, done)[1]) == 4 and result.status == InstanceStatus.AVAILABLE
    assert frozen.poll() is None, "it goes on with the next job"
    assert hub.ended(hub.ask(spec=blob(5))).status == JobStatus.SUCCEEDED


@ON_ONE
def test_cancelled_while_queued_it_never_runs_and_while_running_its_whole_tree_ends(hub: Hub) -> None:
    job, queued, other = hub.ask(), hub.ask(spec=blob(5)), hub.ask(spec=blob(6))
    hub.cancel(queued)
    assert hub.job(queued).status == JobStatus.CANCELLED
    assert result_of(hub, queued)[0].status == InstanceStatus.FAILED
    hub.worker()
    hub.compiling(job)
    assert eventually(lambda: len(hub.processes(job)) > 1)
    began = time.monotonic()
    hub.cancel(job)
    assert eventually(lambda: not hub.processes(job))
    print(f"its tree was gone after {time.monotonic() - began:.1f} s")
    done = hub.ended(job)
    assert done.status == JobStatus.CANCELLED
    assert done.stages[-1]["status"] == "failed"
    assert eventually(lambda: not (hub.settings.hub / "work" / job.id).exists())
    assert result_of(hub, job)[0].status == InstanceStatus.FAILED
    assert hub.ended(other).status == JobStatus.SUCCEEDED
    assert hub.job(queued).attempt == 0


@FIRST_ON_POSTGRES
def test_cancelled_at_its_end_is_whole_or_not_at_all(hub: Hub) -> None:
    hub.worker()
    job = hub.ask()
    hub.wait(job, lambda found: bool(found.stages) and found.stages[-1] == {**found.stages[-1], "name": "verify"})
    hub.wait(job, lambda found: found.stages[-1]["status"] == "done" or found.status in ("succeeded", "failed"))
    hub.cancel(job)
    done = hub.ended(job)
    result, roles = result_of(hub, done)
    if done.status == JobStatus.SUCCEEDED:
        assert result.status == InstanceStatus.AVAILABLE and len(roles) == 4
    else:
        assert (done.status, result.status, roles) == (JobStatus.CANCELLED, InstanceStatus.FAILED, [])


@ON_ONE
def test_a_worker_asked_to_end_gives_its_job_back_untried(hub: Hub) -> None:
    worker = hub.worker()
    job = hub.ask()
    hub.compiling(job)
    worker.terminate()
    assert worker.wait(PATIENCE) == 0
    found = hub.job(job)
    assert (found.status, found.attempt) == (JobStatus.QUEUED, 0)
    assert not hub.processes(job)


@ON_ONE
def test_a_job_whose_failure_cannot_be_explained_ends_all_the_same(hub: Hub) -> None:
    """A row whose parameters this version does not know once hung until its lease ran out, twice."""
    job = hub.ask()
    with hub.db.session() as session:
        session.get_one(Job, job.id).spec = {"platform": "rvc2", "of_another_version": 1}
    hub.worker()
    done = hub.ended(job)
    assert (done.status, done.attempt) == (JobStatus.FAILED, 1)
    assert done.failure and "of_another_version" in done.failure["details"]


def nothing_runs(hub: Hub, job: Job) -> bool:
    return not hub.processes(job)


@ON_ONE
def test_a_job_beyond_its_limits_says_which(hub: Hub) -> None:
    hub.worker()
    for limits, words in (({"memory_mb": 300}, "needed more than 300 MB"), ({"seconds": 5}, "not done after 5 s")):
        job = hub.ask(limits=limits, spec=Rvc2Spec(max_verification_images=2))
        done = hub.ended(job)
        assert done.status == JobStatus.FAILED
        assert done.error and words in done.error
        assert done.failure and done.failure["remedies"]
        assert eventually(partial(nothing_runs, hub, job))


CLAIMERS = """
import os, sys
from datetime import timedelta
from functools import partial
from oakmill.jobs import queue
from oakmill.jobs.tables import JobStatus
from oakmill.storage.database import Database
if all(os.fork() for _ in range(8)):
    sys.exit(any(os.wait()[1] for _ in range(8)))
db, name, taken = Database(sys.argv[1]), str(os.getpid()), 0
while True:
    with db.session() as session:
        job = queue.claim(session, name, timedelta(minutes=1))
    if job is None:
        break
    with db.session() as session:
        assert queue.finish(session, job.id, job.lease_token, JobStatus.SUCCEEDED, result={"by": name})
    taken += 1
os.write(1, f"{taken} ".encode())  # of one piece, whoever else writes
"""


def test_eight_claimers_take_two_hundred_jobs_once_each(hub: Hub) -> None:
    from oakmill.jobs import queue

    with hub.db.session() as session:
        for number in range(200):
            queue.add(session, Job(id=f"aij_{number}", name=str(number), team_id="ait_1", platform="rvc2"))
    url = hub.db.engine.url.render_as_string(hide_password=False)
    taken = subprocess.check_output([sys.executable, "-c", CLAIMERS, url], text=True, timeout=PATIENCE).split()
    assert len(taken) == 8 and sum(map(int, taken)) == 200
    with hub.db.reading() as session:
        ended = select(func.count()).where(Job.status == JobStatus.SUCCEEDED, Job.attempt == 1)
        assert session.scalar(ended) == 200


ASKERS = """
import os, sys
from oakmill.jobs import submit
from oakmill.registry.callers import LOCAL
from oakmill.registry.tables import Instance
from oakmill.settings import Settings
from oakmill.spec import Rvc2Spec
from oakmill.storage.database import Database
if all(os.fork() for _ in range(4)):
    sys.exit(any(os.wait()[1] for _ in range(4)))
db = Database(sys.argv[1])
with db.session() as session:
    source = session.get_one(Instance, "aimi_1")
    job = submit.request(session, LOCAL, source, Rvc2Spec(), settings=Settings(home=sys.argv[2]))
os.write(1, f"{job.id} ".encode())
"""


def test_the_same_request_from_many_processes_at_once_is_one_job(hub: Hub) -> None:
    url = hub.db.engine.url.render_as_string(hide_password=False)
    asked = [sys.executable, "-c", ASKERS, url, str(hub.settings.home)]
    answers = subprocess.check_output(asked, text=True, timeout=PATIENCE).split()
    assert len(answers) == 4 and len(set(answers)) == 1
    with hub.db.reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 1
        assert session.scalar(select(func.count()).where(Instance.job_id.is_not(None))) == 1
