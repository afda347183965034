"""A team uses no more than it may: of the store, by uploads or by conversions, and of the queue, by priorities."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from oakmill.errors import TooLarge
from oakmill.jobs import publish, queue
from oakmill.jobs.job_log_writer import Held
from oakmill.jobs.tables import JobStatus
from oakmill.registry import teams
from oakmill.registry.tables import InstanceFile
from oakmill.settings import Settings
from tests.api.conftest import API, World, make_source, open_world, relu

QUOTA = 10_000


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from open_world(Settings(home=tmp_path_factory.mktemp("hub")))


@pytest.fixture(autouse=True)
def quota(hub: World) -> None:
    """What the team has now, and so much more."""
    hub.client.headers.update(hub.as_("Ours admin"))
    with hub.hub.db.session() as session:
        ours = teams.named(session, "ours")
        stored = teams.used_bytes(session, ours.id) + teams.coming_bytes(session, ours.id)
        ours.quota_bytes = stored + QUOTA


def announced(hub: World, name: str, size: int) -> tuple[int, str]:
    """What an announcement is answered, and the upload's identifier."""
    instance = make_source(hub.client, name, API)
    purpose = {"kind": "instance", "instance_id": instance}
    body = {"name": f"{name}.onnx", "size": size, "purpose": purpose}
    answer = hub.client.post(f"{API}/uploads", json=body)
    return answer.status_code, answer.json().get("id", "")


def test_uploads_on_their_way_are_counted(hub: World) -> None:
    """Each of a hundred uploads was held against what was stored alone, so all of them were let in, and on the disk."""
    assert announced(hub, "first", 6_000)[0] == 201
    assert announced(hub, "second", 6_000)[0] == 413
    status, third = announced(hub, "third", 3_000)
    assert status == 201
    assert announced(hub, "fourth", 3_000)[0] == 413
    hub.client.delete(f"{API}/uploads/{third}").raise_for_status()
    assert announced(hub, "fifth", 3_000)[0] == 201


def source(hub: World, name: str) -> str:
    """A source that is complete."""
    data = relu(opset=14)
    instance = make_source(hub.client, name, API)
    body = {"name": "m.onnx", "size": len(data), "purpose": {"kind": "instance", "instance_id": instance}}
    upload = hub.client.post(f"{API}/uploads", json=body).raise_for_status().json()["id"]
    path = f"{API}/uploads/{upload}"
    hub.client.patch(path, content=data, headers={"Upload-Offset": "0"}).raise_for_status()
    hub.client.post(f"{path}/complete").raise_for_status()
    return instance


def set_left(hub: World, left: int) -> None:
    with hub.hub.db.session() as session:
        ours = teams.named(session, "ours")
        ours.quota_bytes = teams.used_bytes(session, ours.id) + teams.coming_bytes(session, ours.id) + left


def test_a_conversion_beyond_the_quota_is_refused(hub: World) -> None:
    """Conversions were not asked: a team with a full quota went on to fill the store with results."""
    instance = source(hub, "full")
    set_left(hub, 0)
    answer = hub.client.post(f"{API}/instances/{instance}/conversions", json={"platform": "rvc2"})
    assert answer.status_code == 413
    assert "quota" in answer.json()["detail"]
    jobs = hub.client.get(f"{API}/jobs", params={"source_id": instance}).json()["items"]
    assert jobs == []  # nothing was queued


def test_a_result_that_is_too_large_for_the_quota_is_not_kept(hub: World, tmp_path: Path) -> None:
    instance = source(hub, "large")
    set_left(hub, 1_000)
    asked = hub.client.post(f"{API}/instances/{instance}/conversions", json={"platform": "rvc2"})
    job_id = asked.raise_for_status().json()["id"]
    db, blobs = hub.hub.db, hub.hub.blobs
    with db.session() as session:
        job = queue.claim(session, "worker", timedelta(seconds=60), job_id=job_id)
    assert job is not None
    (tmp_path / "large.superblob").write_bytes(b"x" * 1_001)
    with pytest.raises(TooLarge, match="1001 bytes, 1 more than the team's quota"):
        publish.succeeded(db, blobs, Held.of(job), job, tmp_path, {"files": ["large.superblob"]})
    with db.session() as session:
        assert session.query(InstanceFile).where(InstanceFile.instance_id == job.result_id).first() is None
        assert queue.finish(session, job.id, str(job.lease_token), JobStatus.FAILED)  # it is held still


def test_no_key_puts_a_teams_jobs_before_all_others(hub: World) -> None:
    """Any key that converts could give its jobs the priority 100, before those of all other teams."""
    instance = source(hub, "urgent")
    hub.client.headers.update(hub.as_("Ours convert"))
    asked = {"platform": "rvc2", "priority": 5}
    job = hub.client.post(f"{API}/instances/{instance}/conversions", json=asked).raise_for_status().json()["id"]
    with hub.hub.db.session() as session:
        teams.change(session, "ours", highest_priority=5)
    asked = {"platform": "rvc2", "priority": 6, "spec": {"number_of_shaves": 3}}
    assert hub.client.post(f"{API}/instances/{instance}/conversions", json=asked).status_code == 403
    assert hub.client.patch(f"{API}/jobs/{job}", json={"priority": 6}).status_code == 403
    assert hub.client.patch(f"{API}/jobs/{job}", json={"priority": 4}).json()["priority"] == 4
    hub.client.post(f"{API}/jobs/{job}/cancel").raise_for_status()
    assert hub.client.post(f"{API}/jobs/{job}/retry", json={"priority": 6}).status_code == 403
