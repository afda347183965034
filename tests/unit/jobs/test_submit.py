"""Requests: what is refused, what counts as the same, and what is answered without a worker."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete

from oakmill.errors import Conflict, SpecError
from oakmill.jobs import job_log, kinds, queue, submit
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry.callers import LOCAL
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Variant
from oakmill.spec import Rvc2Spec
from oakmill.storage.database import now
from tests.unit.jobs.conftest import Hub


def ask(hub: Hub, spec: Any = None, **options: Any) -> Job:
    with hub.db.session() as session:
        source = session.get_one(Instance, "aimi_1")
        return submit.request(session, LOCAL, source, spec or Rvc2Spec(), settings=hub.settings, **options)


def succeed(hub: Hub, job: Job) -> None:
    """As a worker ends it."""
    from datetime import timedelta

    with hub.db.session() as session:
        held = queue.claim(session, "w", timedelta(minutes=1), job_id=job.id)
        assert held and held.lease_token
        result = session.get_one(Instance, job.result_id)
        result.status, result.sha256, result.verdict = InstanceStatus.AVAILABLE, "b" * 64, "ok"
        session.add(InstanceFile(id="aimf_2", instance_id=result.id, name="r.tar.xz", sha256="b" * 64, size=2))
        queue.finish(session, job.id, held.lease_token, JobStatus.SUCCEEDED, result={"verdict": "ok"})


def test_the_same_request_twice_is_one_job_with_one_result(hub: Hub) -> None:
    first, second = ask(hub, name="one"), ask(hub, name="one", instance_name="another")
    assert first.id == second.id
    other = ask(hub, Rvc2Spec(number_of_shaves=5, blob=True))
    assert other.id != first.id
    with hub.db.reading() as session:
        result = session.get_one(Instance, first.result_id)
        assert (result.name, result.parent_id, result.status) == ("one", "aimi_1", InstanceStatus.PENDING)


def test_what_an_earlier_job_made_is_answered_without_a_worker(hub: Hub) -> None:
    first = ask(hub)
    succeed(hub, first)
    again = ask(hub, instance_name="again")
    assert (again.name, first.name) == ("again", "m-v.rvc2")
    assert (again.status, again.answered_by, again.result) == (JobStatus.SUCCEEDED, first.id, {"verdict": "ok"})
    with hub.db.reading() as session:
        result = session.get_one(Instance, again.result_id)
        assert (result.id != first.result_id, result.status, result.verdict) == (True, "available", "ok")
        names = session.query(InstanceFile.name, InstanceFile.sha256).filter_by(instance_id=result.id).all()
        assert [tuple(row) for row in names] == [("r.tar.xz", "b" * 64)]
        assert job_log.read(session, again.id)[0].text == "the same was asked before: answered by job 1"


def test_what_another_calls_its_model_is_nobodys_business(hub: Hub) -> None:
    """An answer had the archive, metadata.name and recipe of whoever converted first, a private model's among them."""
    succeed(hub, ask(hub, name="secret-product"))
    with hub.db.session() as session:
        variant = session.get_one(Variant, "aimv_1")
        variant.slug = "same weights".replace(" ", "-")
    for job in (ask(hub), ask(hub, name="mine"), ask(hub, Rvc2Spec(name="also-mine"))):
        assert (job.status, job.answered_by) == (JobStatus.QUEUED, None)
        assert job.spec["name"] == job.name != "secret-product"


def test_a_name_in_any_alphabet_names_a_file(hub: Hub) -> None:
    with hub.db.session() as session:
        session.get_one(Variant, "aimv_1").slug = "測" * 255
    assert len(f"{ask(hub).spec['name']}.passport.json".encode()) < 255


def test_an_answer_that_was_deleted_is_made_again(hub: Hub) -> None:
    first = ask(hub)
    succeed(hub, first)
    with hub.db.session() as session:
        session.execute(delete(Instance).where(Instance.id == first.result_id))
    assert ask(hub).status == JobStatus.QUEUED


def test_force_makes_it_anew_beside_what_is_there(hub: Hub) -> None:
    succeed(hub, ask(hub))
    job = ask(hub, force=True)
    assert (job.status, job.kind, job.key) == (JobStatus.QUEUED, kinds.REBUILD, None)


@pytest.mark.parametrize(
    "values",
    [
        {"verification_images": "/etc"},
        {"platform": "rvc4", "quantization_data": "/etc"},
        {"platform": "rvc4", "quantization_data": "../up"},
        {"platform": "rvc4", "quantization_data": "a.zip"},
        {"platform": "rvc4", "target_precision": "CUSTOM", "aimet_encodings": "/etc/passwd"},
        {"platform": "rvc9"},
        {"seed": -1},
    ],
)
def test_paths_of_the_hub_and_nonsense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        submit.parse({"platform": "rvc2", **values})


def test_a_named_set_and_a_file_of_the_hub_are_taken(hub: Hub) -> None:
    assert submit.parse({"platform": "RVC4", "quantization_data": "driving"}).platform == "rvc4"
    files = {"aimet_encodings": f"{'c' * 64}:../../my encodings.json"}
    spec = submit.parse({"platform": "rvc4", "target_precision": "CUSTOM"}, files)
    job = ask(hub, spec, files=files)
    assert job.spec["aimet_encodings"] == "_.._my_encodings.json"


def test_a_file_decides_by_its_content_and_by_the_name_that_a_recipe_has_of_it(hub: Hub) -> None:
    jobs = [
        ask(hub, submit.parse({"platform": "rvc4"}, files), files=files)
        for files in (
            {"quantization_data": f"{'c' * 64}:a.zip"},
            {"quantization_data": f"{'d' * 64}:a.zip"},
            {"quantization_data": f"{'c' * 64}:b.zip"},
            {"quantization_data": f"{'c' * 64}:a.zip"},
        )
    ]
    assert jobs[0].id == jobs[3].id
    assert len({job.id for job in jobs}) == 3


def test_limits_may_be_lowered_not_raised(hub: Hub) -> None:
    assert ask(hub, limits={"seconds": 60}).deadline_seconds == 60
    with pytest.raises(SpecError, match="seconds=7200 at most"):
        ask(hub, Rvc2Spec(seed=1), limits={"seconds": 7201})
    with pytest.raises(SpecError, match="no limit"):
        ask(hub, Rvc2Spec(seed=1), limits={"cores": 2})


def test_a_source_that_is_not_complete_cannot_be_converted(hub: Hub) -> None:
    with hub.db.session() as session:
        session.get_one(Instance, "aimi_1").status = InstanceStatus.PENDING
    with pytest.raises(Conflict):
        ask(hub)


def test_a_job_waits_for_its_upload_and_is_queued_with_it(hub: Hub) -> None:
    job = ask(hub, submit.parse({"platform": "rvc4"}), wait_for_upload=True)
    assert (job.status, job.key) == (JobStatus.WAITING, None)
    with hub.db.session() as session:
        files = {"quantization_data": f"{'c' * 64}:set.zip"}
        queued = submit.release_waiting(session, job.id, files, settings=hub.settings)
        assert queued.key and queued.spec["quantization_data"] == "set.zip"
        assert queued.status == JobStatus.QUEUED
        with pytest.raises(Conflict):
            submit.release_waiting(session, job.id, files, settings=hub.settings)


def test_a_failed_job_can_be_asked_for_again_with_edits(hub: Hub) -> None:
    job = ask(hub)
    with hub.db.session() as session, pytest.raises(Conflict):
        submit.again(session, LOCAL, session.get_one(Job, job.id), settings=hub.settings)
    with hub.db.session() as session:
        queue.cancel(session, job.id)
    with hub.db.session() as session:
        old = session.get_one(Job, job.id)
        retried = submit.again(session, LOCAL, old, settings=hub.settings)
        edited = submit.again(session, LOCAL, old, settings=hub.settings, spec=Rvc2Spec(seed=7))
    assert retried.retry_of == edited.retry_of == job.id
    assert (retried.key, edited.spec["seed"]) == (job.key, 7)
    assert retried.queued <= now()
