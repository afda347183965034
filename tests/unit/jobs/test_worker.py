"""A job's whole way through a worker, on the toy and in this process: queued, run, published; failed; answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from oakmill.errors import DatabaseUnreachable
from oakmill.jobs import queue, submit, worker
from oakmill.jobs.notify import Notifier
from oakmill.jobs.tables import Job, JobStatus
from oakmill.jobs.worker import Worker
from oakmill.registry import callers, instances
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Role
from oakmill.storage.blobs import BlobStore
from oakmill.storage.stores import open_store
from tests import fakes
from tests.unit.jobs.conftest import Hub


class Workshop:
    """A hub with a model of real bytes, and its only worker."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        fakes.Copier(hub.settings).install()
        self.blobs: BlobStore = open_store(hub.settings)
        stored = self.blobs.put_file(fakes.model(folder / "small.onnx"))
        with hub.db.session() as session:
            self.blobs.record(session, stored)
            source = session.get_one(InstanceFile, "aimf_1")
            source.sha256, source.size = stored.sha256, stored.size
        self.worker = Worker(hub.settings, hub.db, self.blobs, Notifier.of(hub.settings, hub.db))

    def ask(self, *, force: bool = False, **values: Any) -> str:
        """Ask for a conversion of the source to the toy; the job's id."""
        with self.hub.db.session() as session:
            source, by = session.get_one(Instance, "aimi_1"), callers.of_team("ait_1", "team")
            spec = submit.parse({"platform": "toy", **values})
            return submit.request(session, by, source, spec, settings=self.hub.settings, force=force).id

    def done(self, **values: Any) -> Job:
        """The same, run."""
        job_id = self.ask(**values)
        self.worker.run_once()
        return self.hub.job(job_id)

    def files(self, job: Job) -> dict[str, str]:
        """The result's files: their roles by name."""
        with self.hub.db.reading() as session:
            rows = instances.files_of(session, session.get_one(Instance, job.result_id))
            return {row.name: row.role for row in rows if self.blobs.has(row.sha256)}


@pytest.fixture
def workshop(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setattr(worker, "Children", fakes.Children)
    with fakes.toys():
        yield Workshop(hub, tmp_path)


def test_a_job_becomes_an_instance_with_its_files(workshop: Workshop) -> None:
    job = workshop.done(paint=2)
    assert job.status == JobStatus.SUCCEEDED, job.failure
    assert workshop.files(job) == {
        "m-v.toy.tar.xz": Role.MODEL,
        "m-v.toy.passport.json": Role.PASSPORT,
        "m-v.toy.passport.html": Role.PASSPORT_PAGE,
        "m-v.toy.recipe.yaml": Role.RECIPE,
    }
    assert job.result is not None
    with workshop.hub.db.reading() as session:
        made = session.get_one(Instance, job.result_id)
        assert (made.model_type, made.status, made.parent_id) == ("TOY", InstanceStatus.AVAILABLE, "aimi_1")
        assert made.parameters["paint"] == 2
        assert made.facts["cost"] == job.result["passport"]["cost"]
        assert made.facts["cost"]["multiply_adds"] > 0
    assert "layers" not in job.result["passport"]  # 140 kB of YOLOX-nano's, which its file has
    assert [stage["name"] for stage in job.stages] == [
        "inspect", "preflight", "prepare", "compile", "package", "verify",
    ]  # fmt: skip


def test_a_job_that_fails_says_why_and_leaves_its_evidence(workshop: Workshop) -> None:
    job = workshop.done(refused="Relu")
    assert job.status == JobStatus.FAILED
    assert "Relu" in str(job.error)
    assert list(workshop.files(job).values()) == [Role.DEBUG_BUNDLE]


def test_what_was_made_is_answered_at_once(workshop: Workshop) -> None:
    first = workshop.done()
    second = workshop.hub.job(workshop.ask())
    assert (second.status, second.answered_by) == (JobStatus.SUCCEEDED, first.id)
    assert workshop.files(second) == workshop.files(first)
    assert fakes.Toy.ran == ["compile", "passport"]


def test_a_rebuild_takes_nothing_from_the_cache(workshop: Workshop) -> None:
    workshop.done()
    again = workshop.done(force=True)
    assert again.status == JobStatus.SUCCEEDED, again.failure
    assert fakes.Toy.ran == ["compile", "passport"] * 2
    assert again.result is not None
    assert again.result["rebuilt"]["same"] is True


@pytest.mark.parametrize("once", [True, False])
def test_a_process_is_warmed_for_another_job_only_where_one_may_come(
    once: bool, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of one job, as an engine places it, began a second process of two seconds' work, and ended it."""
    started = []

    class Counted(fakes.Child):
        def __init__(self) -> None:
            super().__init__()
            started.append(self)

    def next_or_end(self: Worker, job_id: str | None = None) -> Job | None:
        job = claimed(self, job_id)
        self.stopping = job is None
        return job

    claimed = Worker._next
    monkeypatch.setattr(workshop.worker, "_children", fakes.Children(Counted))
    monkeypatch.setattr(Worker, "_next", next_or_end)
    job_id = workshop.ask()
    workshop.worker.run_once() if once else workshop.worker.run()
    assert workshop.hub.job(job_id).status == JobStatus.SUCCEEDED
    assert len(started) == (1 if once else 2)


def test_nothing_of_an_attempt_stays_in_the_workspace(workshop: Workshop) -> None:
    workshop.done()
    workshop.done(refused="Conv")
    assert not [path for path in (workshop.hub.settings.hub / "work").rglob("*") if path.is_file()]


def test_one_that_is_to_take_several_ends_when_none_waits(workshop: Workshop) -> None:
    """An engine's task started a process for each job, and each loaded for seconds what a conversion needs."""
    jobs = [workshop.ask(paint=paint) for paint in (1, 2, 3)]
    assert [workshop.worker.run_some(2), workshop.worker.run_some(2), workshop.worker.run_some(2)] == [2, 1, 0]
    assert {workshop.hub.job(job).status for job in jobs} == {JobStatus.SUCCEEDED}


def test_what_lies_of_jobs_that_were_lost_with_their_machine_goes(workshop: Workshop) -> None:
    """A worker that an engine starts for some jobs left it: nodes that had lost their power filled up with folders."""
    left = workshop.hub.settings.hub / "work" / "aij_lost" / "1"
    left.mkdir(parents=True)
    assert workshop.worker.run_some(2) == 0
    assert not left.parent.exists()


def test_a_database_that_is_away_is_no_queue_without_jobs(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --none-ok the engine took it for done, and the job that waited stayed where it was."""
    workshop.ask()

    def away(session: Session) -> bool:
        raise OperationalError("select", {}, Exception("connection refused"))

    monkeypatch.setattr(queue, "is_idle", away)
    with pytest.raises(DatabaseUnreachable, match="connection refused"):
        workshop.worker.run_some(1)
