"""The queue on one thread: who gets what, whose writes count, and how jobs end."""

from __future__ import annotations

from datetime import timedelta

from oakmill.jobs import estimates, fair, queue
from oakmill.jobs.states import LeaseState
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.tables import Instance, InstanceStatus
from tests.unit.jobs.conftest import Hub

MINUTE = timedelta(minutes=1)
PAST = timedelta(seconds=-1)


def claim(hub: Hub, worker: str = "w", lease: timedelta = MINUTE, **which: object) -> Job | None:
    with hub.db.session() as session:
        return queue.claim(session, worker, lease, **which)  # type: ignore[arg-type]


def token(job: Job | None) -> str:
    assert job is not None and job.lease_token
    return job.lease_token


def test_the_oldest_of_the_highest_priority_goes_first(hub: Hub) -> None:
    for priority in (0, 5, 0, 5):
        hub.add_job(priority=priority)
    found = [claim(hub) for _ in range(5)]
    assert [job.id if job else None for job in found] == ["aij_2", "aij_4", "aij_1", "aij_3", None]


def test_a_job_that_asks_for_more_than_a_worker_has_waits_for_another(hub: Hub) -> None:
    hub.add_job(memory_mb=8000)
    assert claim(hub, memory_mb=4000) is None
    assert claim(hub, memory_mb=8000) is not None


def test_a_worker_for_some_platforms_leaves_the_others(hub: Hub) -> None:
    """One with the memory for RVC4's tools took jobs of RVC2, and those of RVC4 waited behind them."""
    hub.add_job(platform="rvc2")
    hub.add_job(platform="rvc4")
    found = [claim(hub, platforms=("rvc4",)) for _ in range(2)]
    assert [job.id if job else None for job in found] == ["aij_2", None]
    assert claim(hub, platforms=("rvc4",), job_id="aij_1") is not None


def test_a_named_job_is_claimed_by_its_name_only_once(hub: Hub) -> None:
    hub.add_job()
    second = hub.add_job()
    found = claim(hub, job_id=second)
    assert found is not None and found.id == second
    assert claim(hub, job_id=second) is None


def test_a_worker_that_was_frozen_past_its_lease_writes_nothing(hub: Hub) -> None:
    name = hub.add_job()
    first = token(claim(hub, "frozen", PAST))
    with hub.db.session() as session:
        assert queue.expire(session) == [name]
    second = token(claim(hub, "next"))
    with hub.db.session() as session:
        assert queue.beat(session, name, first, MINUTE) is LeaseState.LOST
        assert not queue.record(session, name, first, progress={"text": "woken"})
        assert not queue.finish(session, name, first, JobStatus.FAILED, error="woken")
        assert queue.finish(session, name, second, JobStatus.SUCCEEDED, result={})
    job = hub.job(name)
    assert (job.status, job.attempt, job.error, job.progress) == (JobStatus.SUCCEEDED, 2, None, {})


def test_a_job_that_loses_all_its_workers_fails_and_says_so(hub: Hub) -> None:
    name = hub.add_job(max_attempts=2)
    for _ in range(2):
        claim(hub, lease=PAST)
        with hub.db.session() as session:
            queue.expire(session)
    job = hub.job(name)
    assert job.status == JobStatus.FAILED and job.error and "each of 2 times" in job.error
    assert job.failure and job.failure["sentence"] == job.error


def test_cancelled_while_queued_is_cancelled_at_once_with_its_result(hub: Hub) -> None:
    name = hub.add_job()
    add_result(hub, name)
    with hub.db.session() as session:
        assert queue.cancel(session, name) is JobStatus.CANCELLED
        result = session.get_one(Instance, "aimi_result")
        assert result.status == InstanceStatus.FAILED
    assert claim(hub) is None


def test_cancelled_while_running_is_heard_at_the_next_beat(hub: Hub) -> None:
    name = hub.add_job()
    held = token(claim(hub))
    with hub.db.session() as session:
        assert queue.cancel(session, name) is JobStatus.RUNNING
        assert queue.beat(session, name, held, MINUTE) is LeaseState.CANCEL


def test_cancelled_after_its_end_stays_as_it_ended(hub: Hub) -> None:
    name = hub.add_job()
    held = token(claim(hub))
    with hub.db.session() as session:
        queue.finish(session, name, held, JobStatus.SUCCEEDED)
        assert queue.cancel(session, name) is JobStatus.SUCCEEDED
        assert queue.cancel(session, "no such job") is None


def test_a_cancelled_job_whose_worker_was_lost_is_not_tried_again(hub: Hub) -> None:
    name = hub.add_job()
    claim(hub, lease=PAST)
    with hub.db.session() as session:
        queue.cancel(session, name)
        queue.expire(session)
    assert hub.job(name).status == JobStatus.CANCELLED


def test_a_job_given_back_has_lost_no_attempt(hub: Hub) -> None:
    name = hub.add_job()
    held = token(claim(hub))
    with hub.db.session() as session:
        assert queue.release(session, name, held)
        assert not queue.release(session, name, held)
    assert (hub.job(name).status, hub.job(name).attempt) == (JobStatus.QUEUED, 0)


def test_an_upload_that_never_comes_ends_its_job(hub: Hub) -> None:
    name = hub.add_job(status=JobStatus.WAITING)
    with hub.db.session() as session:
        assert queue.expire(session, timedelta(hours=1)) == []
        assert queue.expire(session, PAST) == [name]
    assert hub.job(name).error == queue.UPLOAD_MISSING


def test_numbers_follow_each_other(hub: Hub) -> None:
    assert [hub.job(hub.add_job()).number for _ in range(3)] == [1, 2, 3]


def add_result(hub: Hub, job_id: str) -> None:
    with hub.db.session() as session:
        source = session.get_one(Instance, "aimi_1")
        places = {
            name: getattr(source, name) for name in ("team_id", "model_id", "variant_id", "version_id", "model_type")
        }
        session.add(Instance(id="aimi_result", job_id=job_id, name="r", slug="r", **places))


def test_workers_leave_cameras_jobs_to_agents_and_agents_leave_conversions_to_workers(hub: Hub) -> None:
    """The queue knew no kinds: whoever asked first got whatever was first."""
    for values in ({"kind": "prove"}, {"kind": "benchmark", "platform": "rvc4"}, {}):
        hub.add_job(**values)
    with hub.db.session() as session:
        mine = queue.claim_on_camera(session, "agent", MINUTE, ("rvc4", "rvc3"))
        assert mine is not None and mine.id == "aij_2"
        assert queue.claim_on_camera(session, "agent", MINUTE, ("rvc4",)) is None
    assert claim(hub, job_id="aij_1") is None
    found = claim(hub)
    assert found is not None and found.id == "aij_3"
    assert claim(hub) is None
    with hub.db.reading() as session:
        assert queue.is_idle(session), "a worker would load all that a conversion needs, and find nothing to take"
        assert fair.beginning(session) == 0


def test_places_in_the_queue_are_among_those_that_wait_for_the_same(hub: Hub) -> None:
    for values in ({}, {"kind": "prove"}, {"kind": "prove", "platform": "rvc4"}, {"kind": "benchmark"}, {}):
        hub.add_job(**values)
    with hub.db.reading() as session:
        jobs = [hub.job(f"aij_{number}") for number in range(1, 6)]
        assert [estimates.position(session, job) for job in jobs] == [1, 1, 1, 2, 2]


def test_a_lost_agent_is_called_one(hub: Hub) -> None:
    hub.add_job(kind="prove", max_attempts=1)
    hub.add_job(max_attempts=1)
    with hub.db.session() as session:
        assert queue.claim_on_camera(session, "agent", PAST, ("rvc2",)) is not None
    claim(hub, lease=PAST)
    with hub.db.session() as session:
        queue.expire(session)
    assert [hub.job(name).error for name in ("aij_1", "aij_2")] == [
        queue.AGENT_LOST.format(attempts=1), queue.WORKER_LOST.format(attempts=1),
    ]  # fmt: skip
