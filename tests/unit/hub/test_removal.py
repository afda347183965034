"""Deleting and the jobs that go on meanwhile: who holds what first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from sqlalchemy.orm import Session

from oakmill.hub import removal
from oakmill.hub.state import Hub
from oakmill.jobs import queue
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry import faces
from oakmill.registry.tables import Instance, Model
from oakmill.settings import Settings
from oakmill.storage.database import Database
from tests.unit.registry.conftest import (  # noqa: F401 - fixtures
    People,
    a_model,
    a_version,
    an_instance,
    db,
    people,
    session,
)
from tests.unit.registry.racing import behind


def test_a_job_that_publishes_while_its_model_is_deleted_is_not_in_its_way(
    db: Database,  # noqa: F811
    session: Session,  # noqa: F811
    people: People,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The one held the job and wanted the model, the other the model and wanted the job: PostgreSQL ended one."""
    mine = people.mine
    source = an_instance(session, mine, a_version(session, mine, a_model(session, mine)))
    job = Job(id="aij_1", name="job", team_id=people.ours.id, source_id=source.id, platform="rvc2")
    queue.add(session, job)
    job.status, job.lease_token = JobStatus.RUNNING, "token"
    model_id, source_id = source.model_id, source.id
    session.commit()
    at: Hub = SimpleNamespace(settings=Settings(home=tmp_path))  # type: ignore[assignment]

    def publish(racing: Session) -> None:
        assert queue.finish(racing, "aij_1", "token", JobStatus.SUCCEEDED, result={})
        faces.choose(racing, model_id)

    def delete(racing: Session) -> None:
        removal.remove(at, racing, mine, "models", model_id, force=True)

    assert behind(db, publish, delete) is None
    with db.session() as after:
        assert after.get_one(Job, "aij_1").status == "succeeded"
        assert after.get_one(Model, model_id).trash_id == after.get_one(Instance, source_id).trash_id is not None
