"""What webhooks are to tell is written with what it tells of, or not at all."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from oakmill.findings import Severity
from oakmill.jobs import queue, worker
from oakmill.jobs.states import Event
from oakmill.jobs.tables import Delivery, Job, JobStatus, Webhook
from oakmill.jobs.webhooks import outbox
from oakmill.registry.tables import Instance, Team
from tests import fakes
from tests.unit.jobs.conftest import Hub
from tests.unit.jobs.test_worker import Workshop

LEASE = timedelta(seconds=60)


@pytest.fixture
def listening(hub: Hub) -> Hub:
    with hub.db.session() as session:
        session.add(Team(id="ait_2", name="others", slug="others"))
        session.flush()
        session.add(Webhook(id="aiw_1", team_id="ait_1", url="https://a.example", events=[*Event], secret="whsec_YQ=="))
        session.add(Webhook(id="aiw_2", team_id="ait_1", url="https://b.example", events=["job.failed"], secret="x"))
        session.add(Webhook(id="aiw_3", team_id="ait_2", url="https://c.example", events=[*Event], secret="x"))
    return hub


def told(hub: Hub) -> list[tuple[str, str, dict[str, Any]]]:
    with hub.db.reading() as session:
        rows = session.scalars(select(Delivery).order_by(Delivery.created, Delivery.webhook_id)).all()
    return [(row.webhook_id, row.event, json.loads(row.body)["data"]) for row in rows]


def claimed(hub: Hub) -> Job:
    with hub.db.session() as session:
        job = queue.claim(session, "worker", LEASE)
    assert job is not None
    assert job.lease_token is not None
    return job


def finish(hub: Hub, job: Job, status: JobStatus, **values: Any) -> None:
    with hub.db.session() as session:
        assert queue.finish(session, job.id, str(job.lease_token), status, **values)


def test_the_end_of_a_job_is_told_to_who_asked_for_it(listening: Hub) -> None:
    listening.add_job()
    finish(listening, claimed(listening), JobStatus.SUCCEEDED, result={"verdict": "ok"})
    listening.add_job()
    finish(listening, claimed(listening), JobStatus.FAILED, error="it is too large")
    found = told(listening)
    assert [(webhook, event) for webhook, event, _ in found] == [
        ("aiw_1", "job.succeeded"),
        ("aiw_1", "job.failed"),
        ("aiw_2", "job.failed"),
    ]
    job = found[0][2]["job"]
    assert (job["id"], job["name"], job["status"], job["verdict"]) == ("aij_1", "job 1", "succeeded", "ok")
    assert job["finished"].endswith("Z")
    assert found[1][2]["job"]["error"] == "it is too large"


def test_ends_that_no_worker_writes_are_told_too(listening: Hub) -> None:
    """A job whose worker is lost, or that is cancelled while it waits, is ended by whoever looks."""
    for _ in range(2):
        listening.add_job(max_attempts=1)
    with listening.db.session() as session:
        assert queue.claim(session, "worker", -LEASE)
    with listening.db.session() as session:
        assert queue.expire(session) == ["aij_1"]
        queue.cancel(session, "aij_2")
    assert {(webhook, event) for webhook, event, _ in told(listening)} == {
        ("aiw_1", "job.failed"), ("aiw_2", "job.failed"), ("aiw_1", "job.cancelled"),
    }  # fmt: skip


def test_what_is_rolled_back_is_not_told(listening: Hub) -> None:
    listening.add_job()
    job = claimed(listening)
    with pytest.raises(ZeroDivisionError), listening.db.session() as session:
        queue.finish(session, job.id, str(job.lease_token), JobStatus.SUCCEEDED)
        1 / 0  # noqa: B018 - the transaction fails after the end was written
    assert told(listening) == []
    assert listening.job(job.id).status == JobStatus.RUNNING


def test_a_job_that_is_given_back_has_not_ended(listening: Hub) -> None:
    listening.add_job()
    job = claimed(listening)
    with listening.db.session() as session:
        assert queue.release(session, job.id, str(job.lease_token))
    assert told(listening) == []


@pytest.mark.parametrize(("verdict", "count"), [("ok", 0), ("note", 0), ("warning", 1), ("error", 1), (None, 0)])
def test_a_result_that_may_disappoint_is_told_of(listening: Hub, verdict: str | None, count: int) -> None:
    with listening.db.session() as session:
        found = session.get_one(Instance, "aimi_1")
        found.verdict = verdict
        outbox.flagged(session, found)
    assert [event for _, event, _ in told(listening)] == ["instance.flagged"] * count


def test_a_whole_jobs_end_is_told_with_its_verdict_and_so_is_one_that_was_answered(
    listening: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that an earlier one answers has ended before any worker could tell of it."""
    monkeypatch.setattr(worker, "Children", fakes.Children)
    monkeypatch.setattr(outbox, "_FLAGS", tuple(Severity))  # the toy's copies disappoint nobody
    with fakes.toys():
        workshop = Workshop(listening, tmp_path)
        job = workshop.done()
        again = workshop.ask()
    found = [(event, data) for webhook, event, data in told(listening) if webhook == "aiw_1"]
    ends = {data["job"]["id"]: data["job"] for event, data in found if event == "job.succeeded"}
    assert set(ends) == {job.id, again}
    assert ends[again]["answered_by"] == job.id
    assert ends[job.id]["verdict"] == ends[again]["verdict"] == (job.result or {})["verdict"]
    flags = [data["instance"]["id"] for event, data in found if event == "instance.flagged"]
    assert flags == [job.result_id, listening.job(again).result_id]
