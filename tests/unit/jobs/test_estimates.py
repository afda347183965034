"""The place in the queue, and what past jobs say of the time."""

from __future__ import annotations

from datetime import timedelta

from oakmill.jobs import estimates, queue
from oakmill.jobs.tables import Job, JobStatus
from oakmill.storage.database import now
from tests.unit.jobs.conftest import Hub


def test_the_place_counts_those_before_it(hub: Hub) -> None:
    low, high, last = hub.add_job(), hub.add_job(priority=3), hub.add_job()
    with hub.db.reading() as session:
        places = {name: estimates.position(session, hub.job(name)) for name in (high, low, last)}
    assert places == {high: 1, low: 2, last: 3}


def test_past_jobs_say_how_long_it_takes(hub: Hub) -> None:
    ended = now()
    for seconds in (8, 10, 30):
        times = {"started": ended - timedelta(seconds=seconds), "finished": ended}
        stages = [{"name": "verify", "status": "done", "seconds": seconds}]
        hub.add_job(status=JobStatus.SUCCEEDED, source_id="aimi_1", stages=stages, **times)
    cached = {"started": ended, "finished": ended}  # its result was there: it went through no stage
    hub.add_job(status=JobStatus.SUCCEEDED, source_id="aimi_1", **cached)
    running, waiting = hub.add_job(source_id="aimi_1"), hub.add_job(source_id="aimi_1")
    with hub.db.session() as session:
        queue.claim(session, "w", timedelta(minutes=1), job_id=running)
        now_running = estimates.estimate(session, session.get_one(Job, running))
        then = estimates.estimate(session, session.get_one(Job, waiting))
    assert now_running.position is None and now_running.run is not None and 9 < now_running.run <= 10
    assert then.position == 1 and then.left is not None and 19 < then.left <= 20


def test_nothing_is_said_where_nothing_is_known(hub: Hub) -> None:
    job = hub.job(hub.add_job())
    with hub.db.reading() as session:
        found = estimates.estimate(session, job)
    assert (found.position, found.run, found.left) == (1, None, None)
