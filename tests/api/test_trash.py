"""Deleting over HTTP: into the trash, with the jobs that have not ended; restored, emptied, or not kept at all."""

from __future__ import annotations

from typing import Any

import pytest

from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry import instances, keys
from oakmill.registry.tables import Instance, Model, Version
from tests.api.conftest import API, World
from tests.api.test_jobs import add_jobs


def a_model(world: World, name: str) -> dict[str, Any]:
    """A model of ours with a source that has a file."""
    headers = world.as_("Ours convert")
    model = world.client.post(f"{API}/models", json={"name": name}, headers=headers).json()
    version = world.client.post(f"{API}/models/{model['id']}/versions", json={"variant": "small"}, headers=headers)
    with world.hub.db.session() as session:
        caller = keys.authenticate(session, world.keys["Ours convert"])
        row = instances.create(session, caller, version.json()["id"], name="net", model_type="ONNX")
        instances.add_file(session, row, name="net.onnx", sha256="ab" * 32, size=100)
        instances.set_available(session, row)
        return {**model, "version": version.json()["id"], "source": row.id}


def test_what_is_deleted_ends_its_jobs_and_comes_back_without_them(world: World) -> None:
    """A job of a deleted model went on for hours, for a result that nobody could see."""
    made, headers = a_model(world, "Deleted"), world.as_("Ours convert")
    jobs = [*add_jobs(world, 1), *add_jobs(world, 1, JobStatus.RUNNING), *add_jobs(world, 1, JobStatus.SUCCEEDED)]
    with world.hub.db.session() as session:
        for job_id in jobs:
            session.get_one(Job, job_id).source_id = made["source"]
    path = f"{API}/models/{made['id']}"
    refused = world.client.delete(path, headers=headers)
    assert refused.status_code == 409 and "2 jobs under way" in refused.json()["detail"]
    assert world.client.delete(path, params={"force": True}, headers=headers).status_code == 204
    for gone in (path, f"{API}/instances/{made['source']}", f"{API}/jobs/{jobs[0]}"):
        assert world.client.get(gone, headers=headers).status_code == 404
    with world.hub.db.reading() as session:
        rows = [session.get_one(Job, job_id) for job_id in jobs]
        assert [row.status for row in rows] == ["cancelled", "running", "succeeded"] and rows[1].cancel_requested
    (entry,) = world.client.get(f"{API}/trash", headers=headers).json()["items"]
    assert (entry["kind"], entry["name"], entry["size"]) == ("model", "Deleted", 100) and entry["until"]
    assert world.client.get(f"{API}/trash", headers=world.as_("Theirs admin")).json()["items"] == []
    assert world.client.post(f"{API}/trash/{entry['id']}/restore", json={}, headers=headers).status_code == 200
    assert world.client.get(path, headers=headers).json()["instances"] == 1
    assert world.client.get(f"{API}/jobs/{jobs[0]}", headers=headers).json()["status"] == "cancelled"


def test_the_trash_is_emptied_by_the_teams_admins_and_one_entry_by_who_may_delete(world: World) -> None:
    made, headers = a_model(world, "Emptied"), world.as_("Ours convert")
    other = a_model(world, "Emptied too")
    for row in (made, other):
        world.client.delete(f"{API}/models/{row['id']}", params={"force": True}, headers=headers)
    newest, _ = world.client.get(f"{API}/trash", headers=headers).json()["items"]
    assert world.client.delete(f"{API}/trash/{newest['id']}", headers=headers).status_code == 204
    assert world.client.delete(f"{API}/trash", headers=headers).status_code == 403
    assert world.client.delete(f"{API}/trash", headers=world.as_("Ours admin")).status_code == 204
    with world.hub.db.reading() as session:
        assert session.get(Model, made["id"]) is None and session.get(Model, other["id"]) is None


@pytest.mark.usefixtures("nothing_kept")
def test_where_nothing_is_kept_it_is_deleted_at_once(world: World) -> None:
    made, headers = a_model(world, "At once"), world.as_("Ours convert")
    world.client.delete(f"{API}/versions/{made['version']}", params={"force": True}, headers=headers)
    assert world.client.get(f"{API}/trash", headers=headers).json()["items"] == []
    with world.hub.db.reading() as session:
        assert session.get(Version, made["version"]) is None and session.get(Instance, made["source"]) is None


@pytest.fixture
def nothing_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.hub, "settings", world.hub.settings.model_copy(update={"trash_days": 0}))
