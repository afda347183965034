"""Agents over HTTP: what a key may claim, what a token may write, and what is taken of what an agent sends."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from oakmill.jobs.tables import Job
from oakmill.registry.tables import Instance, InstanceFile, InstanceStatus, Origin
from oakmill.settings import Settings
from oakmill.storage.database import now
from tests.api.conftest import API, World, open_world

CAMERA = {"identifier": "18443010", "name": "1.2", "platform": "RVC4", "state": "free"}
DEVICE = {"product": "OAK4-D", "platform": "RVC4", "identifier": "18443010", "firmware": "OS 1.20.5"}
FIGURES = {
    "device": DEVICE, "fps": 61.5, "latency_ms": 16.2, "latency_p95_ms": 17.0, "frames": 600, "seconds": 10,
    "method": "by hand",
}  # fmt: skip
PASSPORT = {
    "passport_version": 3, "platform": "rvc4", "images": {"source": "four", "names": ["0.png"]},
    "checks": [{"name": "camera", "method": "the file", "ok_from_db": 40, "error_below_db": 20, "outputs": []}],
    "measured_on": {"device": DEVICE, "when": "2026-01-01T00:00:00", "check": "camera", "speed": FIGURES},
    "vendor_reader": {"<script>": "anything"},
}  # fmt: skip


def post(world: World, path: str, who: str = "Ours convert", **body: Any) -> httpx.Response:
    answer: httpx.Response = world.client.post(f"{API}{path}", json=body, headers=world.as_(who))
    return answer


def finished(world: World, word: str = "Ours team") -> str:
    """The identifier of a result for RVC4."""
    source = world.ids[f"{word} instance"]
    with world.hub.db.session() as session:
        row = session.get_one(Instance, source)
        row.status = InstanceStatus.AVAILABLE
        made = Instance(
            id=f"{row.id[:40]}_r", name="result", slug=f"r{row.id}", model_type="RVC4", origin=Origin.CONVERTED,
            status=InstanceStatus.AVAILABLE, is_nn_archive=True, parent_id=row.id, precision="FP16_STANDARD",
            team_id=row.team_id, model_id=row.model_id, variant_id=row.variant_id, version_id=row.version_id,
            visibility=row.visibility,
        )  # fmt: skip
        session.add(made)
        return made.id


def asked(world: World, kind: str = "benchmark", **body: Any) -> str:
    answer = post(world, f"/instances/{finished(world)}/measurements", kind=kind, **body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def claimed(world: World, who: str = "Ours convert", name: str = "m:1", *cameras: dict[str, str]) -> Any:
    answer = post(world, f"/agents/{name}/claim", who, machine="m", cameras=[*(cameras or (CAMERA,))])
    assert answer.status_code == 200, answer.text
    return answer.json()


def told(world: World, job_id: str, token: str, who: str = "Ours convert", **more: Any) -> httpx.Response:
    return post(world, f"/jobs/{job_id}/word", who, token=token, agent="m:1", **more)


def job(world: World, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = world.client.get(f"{API}/jobs/{job_id}", headers=world.as_("Ours read")).json()
    return found


def uploaded(world: World, job_id: str, token: str, data: bytes) -> httpx.Response:
    purpose = {"kind": "proof", "job_id": job_id, "token": token}
    announced = post(world, "/uploads", name="passport.json", size=len(data), purpose=purpose)
    if announced.status_code != 201:
        return announced
    path = f"{API}/uploads/{announced.json()['id']}"
    headers = {**world.as_("Ours convert"), "Upload-Offset": "0"}
    world.client.patch(path, content=data, headers=headers).raise_for_status()
    answer: httpx.Response = world.client.post(f"{path}/complete", headers=world.as_("Ours convert"))
    return answer


def test_a_benchmark_is_told_of_ended_and_noted(world: World) -> None:
    job_id = asked(world)
    held = claimed(world)
    assert held["job"]["id"] == job_id and held["token"]
    line = {"text": "begun", "kind": "note", "at": "2026-01-01T00:00:00Z"}
    stages = [{"name": "verify", "status": "running"}]
    answer = told(world, job_id, held["token"], stages=stages, lines=[line], progress={"stage": "verify", "text": "x"})
    assert answer.json() == {"state": "held"}
    assert job(world, job_id)["progress"] == {"stage": "verify", "text": "x", "done": 0, "total": 0}
    assert post(world, f"/jobs/{job_id}/end", token=held["token"], benchmark=FIGURES).status_code == 204
    assert job(world, job_id)["status"] == "succeeded"
    row = world.client.get(f"{API}/instances/{job(world, job_id)['source_id']}", headers=world.as_("Ours read")).json()
    assert row["facts"]["measured"]["speed"]["fps"] == 61.5
    agents = world.client.get(f"{API}/agents", headers=world.as_("Ours read")).json()["items"]
    assert [agent["cameras"][0]["platform"] for agent in agents] == ["RVC4"]
    assert world.client.get(f"{API}/agents", headers=world.as_("Theirs read")).json()["items"] == []


def test_another_teams_key_claims_nothing_and_its_token_writes_nothing(world: World) -> None:
    job_id = asked(world)
    assert claimed(world, "Theirs admin", "t:1") is None
    token = claimed(world)["token"]
    for who in ("Theirs admin", "Ours read"):
        bodies: dict[str, dict[str, Any]] = {"word": {"agent": "m:1"}, "end": {"benchmark": FIGURES}, "release": {}}
        for path, body in bodies.items():
            answer = post(world, f"/jobs/{job_id}/{path}", who, token=token, **body)
            assert answer.status_code == (404 if who == "Theirs admin" else 403)
    assert job(world, job_id)["status"] == "running"


def test_a_failure_in_a_cameras_words_ends_its_job(world: World) -> None:
    """PostgreSQL stores no zero byte: a job whose failure had one was refused its end, and began again and again."""
    job_id = asked(world)
    failure = {"code": "DeviceError", "message": "it says: a\0b", "log": "one\0\ntwo", "stage": "veri\0"}
    assert post(world, f"/jobs/{job_id}/end", token=claimed(world)["token"], failure=failure).status_code == 204
    found = job(world, job_id)
    assert found["status"] == "failed" and "\0" not in json.dumps(found, ensure_ascii=False)
    assert "a\N{REPLACEMENT CHARACTER}b" in found["error"]


def test_a_key_for_one_model_claims_that_models_jobs_alone(world: World) -> None:
    other = post(world, f"/instances/{finished(world, 'Ours public')}/measurements", kind="benchmark").json()["id"]
    assert claimed(world, "narrow") is None
    mine = asked(world)
    assert claimed(world, "narrow")["job"]["id"] == mine
    assert claimed(world)["job"]["id"] == other


def test_a_lease_that_was_lost_writes_nothing(world: World) -> None:
    """The agent was frozen; another had the job when it woke, and what it sent must not count."""
    job_id = asked(world, "prove")
    lost = claimed(world)["token"]
    with world.hub.db.session() as session:
        session.execute(update(Job).values(lease_until=now() - timedelta(seconds=1)))
    held = claimed(world, name="m:2")
    assert held["job"]["id"] == job_id and held["job"]["attempt"] == 2
    assert told(world, job_id, lost, lines=[{"text": "late", "at": "2026-01-01T00:00:00Z"}]).json() == {"state": "lost"}
    assert uploaded(world, job_id, lost, json.dumps(PASSPORT).encode()).status_code == 409
    failure = {"code": "DeviceLost", "message": "gone"}
    ends: tuple[dict[str, Any], ...] = ({"failure": failure}, {})
    for body in ends:
        assert post(world, f"/jobs/{job_id}/end", token=lost, **body).status_code == 409
    assert post(world, f"/jobs/{job_id}/release", token=lost).status_code == 409
    assert job(world, job_id)["status"] == "running"
    log = world.client.get(f"{API}/jobs/{job_id}/log", headers=world.as_("Ours read")).json()["items"]
    assert log == []


def test_a_proof_is_read_by_its_schema_and_its_page_is_made_here(world: World) -> None:
    job_id = asked(world, "prove")
    token = claimed(world)["token"]
    data = json.dumps({**PASSPORT, "verdict": "ok", "reasons": []}).encode()
    answer = uploaded(world, job_id, token, data)
    assert answer.status_code == 200, answer.text
    found = job(world, job_id)
    assert found["status"] == "succeeded" and found["result"]["measured"]["proof"]["device"] == DEVICE
    with world.hub.db.reading() as session:
        files = {file.role: file for file in session.query(InstanceFile).filter_by(instance_id=found["source_id"])}
        assert set(files) == {"measured", "measured_page"}
        page = b"".join(world.hub.blobs.stream(files["measured_page"].sha256)).decode()
    assert "OAK4-D" in page and "<script>" not in page


@pytest.mark.parametrize(
    "change",
    [
        {"checks": "none"},
        {"checks": []},
        {"measured_on": None},
        {"measured_on": {**PASSPORT["measured_on"], "device": {**DEVICE, "platform": "RVC2"}}},  # type: ignore[dict-item]
        {"measured_on": {**PASSPORT["measured_on"], "device": {**DEVICE, "product": "x" * 300}}},  # type: ignore[dict-item]
        {"thumbnails": {"0.png": "https://elsewhere.example/x.png"}},
        {"platform": "rvc2"},
        {"measured_on": {**PASSPORT["measured_on"], "speed": {**FIGURES, "fps": float("nan")}}},  # type: ignore[dict-item]
        {"measured_on": {**PASSPORT["measured_on"], "speed": {**FIGURES, "frames": -(10**30)}}},  # type: ignore[dict-item]
        {"measured_on": {**PASSPORT["measured_on"], "speed": {**FIGURES, "device": {**DEVICE, "product": "x" * 300}}}},  # type: ignore[dict-item]
    ],
)
def test_what_is_no_passport_of_such_a_camera_is_refused(world: World, change: dict[str, Any]) -> None:
    job_id = asked(world, "prove")
    token = claimed(world)["token"]
    answer = uploaded(world, job_id, token, json.dumps({**PASSPORT, **change}).encode())
    assert answer.status_code == 422, answer.text
    found = job(world, job_id)
    assert found["status"] == "running", "the agent says itself that it failed"
    failure = {"code": answer.json()["code"], "message": answer.json()["detail"]}
    assert post(world, f"/jobs/{job_id}/end", token=token, failure=failure).status_code == 204
    assert job(world, job_id)["failure"]["code"] == "SourceError"


@pytest.mark.parametrize("moment", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_that_no_database_holds_is_refused(world: World, moment: str) -> None:
    """A line of a log without a zone, or out of all years in UTC, was an error of the hub's own; so was a key's end."""
    job_id = asked(world)
    answer = told(world, job_id, claimed(world)["token"], lines=[{"text": "x", "at": moment}])
    assert answer.status_code == 422 and "lines.0.at" in answer.json()["detail"]
    answer = post(world, "/keys", "Ours admin", name="k", scopes=["read"], expires=moment)
    assert answer.status_code == 422 and "expires" in answer.json()["detail"]


def test_a_proof_beyond_all_measure_is_refused_before_it_is_sent(world: World) -> None:
    job_id = asked(world, "prove")
    purpose = {"kind": "proof", "job_id": job_id, "token": claimed(world)["token"]}
    for size in (None, 1 << 30):
        answer = post(world, "/uploads", name="passport.json", size=size, purpose=purpose)
        assert answer.status_code == 413
    nested = b"[" * 100_000 + b"]" * 100_000
    assert uploaded(world, job_id, purpose["token"], nested).status_code == 422


def test_what_no_camera_can_measure_is_not_asked(world: World) -> None:
    source = world.ids["Ours team instance"]
    assert post(world, f"/instances/{source}/measurements", kind="prove").status_code == 409
    result = finished(world)
    with world.hub.db.session() as session:
        session.get_one(Instance, result).is_nn_archive = False
    answer = post(world, f"/instances/{result}/measurements", kind="benchmark")
    assert answer.status_code == 409 and "bare file" in answer.json()["detail"]


def test_a_proof_whose_set_was_deleted_fails_with_what_to_do(world: World) -> None:
    result = finished(world)
    with world.hub.db.session() as session:
        session.get_one(Instance, result).parameters = {"verification_images": "dataset:aid_gone"}
    job_id = str(post(world, f"/instances/{result}/measurements", kind="prove").json()["id"])
    assert claimed(world) is None
    failure = job(world, job_id)["failure"]
    assert (
        "images of this proof are gone" in failure["sentence"] and "calibration set" in failure["remedies"][0]["text"]
    )


def test_a_failure_has_its_errors_name_and_a_measurement_no_parameters(world: World) -> None:
    job_id = asked(world)
    token = claimed(world)["token"]
    failure = {"code": "DeviceLost", "message": "OAK4-D has vanished", "remedy": "look at its cable", "log": "x\ny"}
    assert post(world, f"/jobs/{job_id}/end", token=token, failure=failure).status_code == 204
    found = job(world, job_id)["failure"]
    assert (found["code"], found["exit_code"]) == ("DeviceLost", 12)
    assert found["title"] == "The camera vanished in the middle of its work"
    assert found["sentence"] == "OAK4-D has vanished" and found["remedies"][0]["text"] == "look at its cable"
    assert found["log"] == ["x", "y"]
    answer = post(world, f"/jobs/{job_id}/retry", edits={"seconds": 3})
    assert answer.status_code == 409 and "no conversion" in answer.json()["detail"]
    again = post(world, f"/jobs/{job_id}/retry")
    assert again.status_code == 201 and again.json()["retry_of"] == job_id


def test_postgresql_gives_jobs_to_agents_as_sqlite_does(tmp_path: Path, postgres_url: str) -> None:
    """The same claim with rows that are locked, and the same proof."""
    for world in open_world(Settings(home=tmp_path / "home", database=postgres_url)):
        job_id = asked(world, "prove")
        assert claimed(world, "Theirs admin", "t:1") is None
        token = claimed(world)["token"]
        assert claimed(world, name="m:2") is None
        assert told(world, job_id, token).json() == {"state": "held"}
        answer = uploaded(world, job_id, token, json.dumps(PASSPORT).encode())
        assert answer.status_code == 200, answer.text
        assert job(world, job_id)["status"] == "succeeded"
