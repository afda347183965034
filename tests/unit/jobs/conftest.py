"""A hub's database with a team, a model and a source, and jobs in its queue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from oakmill.jobs import queue
from oakmill.jobs.tables import Job
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Model, Team, Variant, Version
from oakmill.settings import Settings
from oakmill.storage.database import Database
from tests.databases import sqlite_at


@dataclass
class Hub:
    settings: Settings
    db: Database
    count: int = 0

    def add_job(self, **values: object) -> str:
        """A job in the queue; its id."""
        self.count += 1
        named = {"id": f"aij_{self.count}", "name": f"job {self.count}", "team_id": "ait_1", "platform": "rvc2"}
        job = Job(**{**named, **values})
        with self.db.session() as session:
            queue.add(session, job)
        return job.id

    def job(self, job_id: str) -> Job:
        with self.db.reading() as session:
            return session.get_one(Job, job_id)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    settings = Settings(home=tmp_path)
    settings.hub.mkdir(parents=True)
    db = sqlite_at(settings.hub / "hub.sqlite")
    with db.session() as session:
        add_source(session)
    yield Hub(settings, db)
    db.close()


def add_source(session: Session, sha256: str = "a" * 64) -> None:
    session.add(Team(id="ait_1", name="team", slug="team"))
    session.flush()
    session.add(Model(id="aim_1", team_id="ait_1", name="m", slug="m"))
    session.flush()
    session.add(Variant(id="aimv_1", model_id="aim_1", name="v", slug="v"))
    session.flush()
    session.add(Version(id="aimw_1", team_id="ait_1", model_id="aim_1", variant_id="aimv_1", version="0.1.0"))
    session.flush()
    places = {"team_id": "ait_1", "model_id": "aim_1", "variant_id": "aimv_1", "version_id": "aimw_1"}
    source = Instance(
        id="aimi_1", name="small", slug="small", model_type="ONNX", status=InstanceStatus.AVAILABLE, **places
    )
    session.add(source)
    session.flush()
    session.add(InstanceFile(id="aimf_1", instance_id="aimi_1", name="small.onnx", sha256=sha256, size=1))
