"""Nobody called what gives up old uploads and frees bytes: a hub's disk and database only ever grew."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from oakmill.jobs import housekeeping, workspace
from oakmill.jobs.housekeeping import Housekeeper, due
from oakmill.jobs.tables import LogLine
from oakmill.registry import teams
from oakmill.registry.tables import AuditEntry, Instance, InstanceFile, Trash
from oakmill.storage.database import now
from oakmill.storage.stores import open_store
from oakmill.storage.tables import Upload
from oakmill.storage.uploads import Uploads
from tests.unit.jobs.conftest import Hub

LONG_AGO = timedelta(days=1000)


@pytest.fixture
def keeper(hub: Hub) -> Iterator[Housekeeper]:
    store = open_store(hub.settings)
    uploads = Uploads(hub.db, store, hub.settings)
    yield Housekeeper(hub.settings, hub.db, store, uploads)
    uploads.close()


def count(hub: Hub, table: type[Upload] | type[AuditEntry] | type[LogLine]) -> int:
    with hub.db.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_what_nobody_needs_goes_and_the_rest_stays(hub: Hub, keeper: Housekeeper) -> None:
    store = open_store(hub.settings)
    kept, gone = store.put_bytes(b"kept"), store.put_bytes(b"gone")
    for stored in (kept, gone):
        path = store.local(stored.sha256)
        assert path is not None
        os.utime(path, (time.time() - 1e6,) * 2)
    old, new = (hub.add_job(finished=at) for at in (now() - LONG_AGO, now()))
    ran = hub.add_job(files={"quantization_data": f"{kept.sha256}:a.zip"})
    folder = hub.settings.hub / "uploads"
    with hub.db.session() as session:
        for number, job in enumerate((old, new, ran), 1):
            session.add(LogLine(job_id=job, number=1, text="line"))
            at = now() - (LONG_AGO if number == 1 else timedelta())
            session.add(AuditEntry(id=number, at=at, action="model.create"))
        for upload_id, expires in (("aiu_old", now() - LONG_AGO), ("aiu_new", now() + LONG_AGO)):
            (folder / upload_id).touch()
            session.add(Upload(id=upload_id, team_id="ait_1", name="a", max_size=1, expires=expires))
    (hub.settings.hub / "work" / old).mkdir(parents=True)
    assert keeper.tidy()
    assert [count(hub, table) for table in (Upload, AuditEntry, LogLine)] == [1, 2, 2]
    assert {path.name for path in folder.iterdir()} == {"aiu_new"}
    assert (store.has(kept.sha256), store.has(gone.sha256)) == (True, False)
    assert list((hub.settings.hub / "work").iterdir()) == []
    assert not keeper.tidy(), "once an hour"


def test_one_process_tidies_at_a_time_and_again_when_the_hour_is_over(hub: Hub) -> None:
    stamp = hub.settings.hub / "tidied"
    with due(stamp) as first, due(stamp) as second:
        assert (first, second) == (True, False)
    with due(stamp) as soon:
        assert not soon
    os.utime(stamp, (time.time() - housekeeping.EVERY_SECONDS - 1,) * 2)
    with due(stamp) as later:
        assert later


def test_an_upload_that_another_process_is_writing_is_not_given_up(hub: Hub, keeper: Housekeeper) -> None:
    uploads = Uploads(hub.db, open_store(hub.settings), hub.settings)
    with hub.db.session() as session:
        upload = uploads.create(session, team_id="ait_1", key_id=None, name="slow", size=9)
        upload.expires = now() - LONG_AGO
        upload_id = upload.id
    with uploads._locked(upload_id):  # as `append` holds it, for days with a slow line
        keeper.tidy()
        assert count(hub, Upload) == 1
    os.utime(hub.settings.hub / "tidied", (0, 0))
    keeper.tidy()
    assert count(hub, Upload) == 0
    uploads.close()


def test_what_fails_is_told_and_the_rest_is_done(
    hub: Hub, keeper: Housekeeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workspace, "sweep", full)
    with hub.db.session() as session:
        session.add(AuditEntry(id=1, at=now() - LONG_AGO, action="model.create"))
    assert keeper.tidy()
    assert count(hub, AuditEntry) == 0
    assert "work_left could not be done" in caplog.text


def test_rules_on_results_are_followed_and_the_trash_is_emptied(hub: Hub, keeper: Housekeeper) -> None:
    with hub.db.session() as session:
        source = session.scalars(select(Instance)).first()
        assert source is not None
        for number in range(3):
            at = now() - timedelta(days=40 + number)
            made = {"model_id": source.model_id, "variant_id": source.variant_id, "version_id": source.version_id}
            row = Instance(
                id=f"aimi_made{number}", **made, team_id=source.team_id, name="result", slug="r", model_type="RVC2",
                origin="converted", status="available", parent_id=source.id, job_id="aij_9", created=at, updated=at,
            )  # fmt: skip
            session.add(row)
            session.add(
                InstanceFile(id=f"aimf_made{number}", instance_id=row.id, name="a.blob", sha256="ab" * 32, size=9)
            )
        teams.keep(session, source.team_id, results=1, days=None)
    assert keeper.tidy()
    with hub.db.session() as session:
        assert sorted(map(str, session.scalars(select(Trash.instance_id)))) == ["aimi_made1", "aimi_made2"]
        session.execute(update(Trash).values(at=now() - LONG_AGO))
    os.utime(hub.settings.hub / "tidied", (0, 0))
    assert keeper.tidy()
    with hub.db.reading() as session:
        assert session.get(Instance, "aimi_made0") is not None and session.get(Instance, "aimi_made1") is None
        assert not session.scalars(select(Trash)).all()
