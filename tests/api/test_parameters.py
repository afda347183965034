"""Files that parameters name: a client could upload them for quantization only, and a retry with an edit lost them."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from oakmill.jobs.tables import Job
from oakmill.registry import callers, datasets, instances, teams
from oakmill.registry.tables import Instance, Role
from tests.api.conftest import API, World, relu


def pictures() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("one.png", b"a picture")
    return buffer.getvalue()


@pytest.fixture
def source(world: World) -> str:
    """A source that is available."""
    instance_id = world.ids["Ours team instance"]
    stored = world.hub.blobs.put_bytes(relu())
    with world.hub.db.session() as session:
        row = session.get_one(Instance, instance_id)
        world.hub.blobs.record(session, stored)
        instances.add_file(session, row, name="r.onnx", sha256=stored.sha256, size=stored.size, role=Role.MODEL)
        instances.set_available(session, row)
    return instance_id


def post(world: World, path: str, who: str = "Ours convert", **body: Any) -> Any:
    return world.client.post(f"{API}{path}", headers=world.as_(who), json=body)


def uploaded(world: World, name: str, data: bytes, parameter: str, *, complete: bool = True) -> str:
    """The reference of a file, once it has come."""
    made = post(world, "/uploads", name=name, purpose={"kind": "file", "parameter": parameter}).json()
    path = f"/uploads/{made['id']}"
    headers = {**world.as_("Ours convert"), "Upload-Offset": "0"}
    assert world.client.patch(f"{API}{path}", headers=headers, content=data).status_code == 204
    if complete:
        assert post(world, f"{path}/complete").json()["reference"] == made["id"]
    return str(made["id"])


def files_of(world: World, job_id: str) -> dict[str, str]:
    with world.hub.db.reading() as session:
        return dict(session.get_one(Job, job_id).files)


def convert(world: World, source: str, who: str = "Ours convert", **spec: Any) -> Any:
    return post(world, f"/instances/{source}/conversions", who, platform="rvc4", spec=spec)


def ended(world: World, job: Any) -> str:
    assert post(world, f"/jobs/{job['id']}/cancel").json()["status"] == "cancelled"
    return str(job["id"])


def test_an_uploaded_file_is_named_by_its_upload_and_kept_by_a_retry(world: World, source: str) -> None:
    images = uploaded(world, "seen.zip", pictures(), "verification_images")
    encodings = uploaded(world, "aimet.json", b"{}", "aimet_encodings")
    spec = {"target_precision": "CUSTOM", "aimet_encodings": encodings, "verification_images": images}
    answer = convert(world, source, **spec)
    assert answer.status_code == 201, answer.text
    job = ended(world, answer.json())
    before = files_of(world, job)
    assert {name: value.partition(":")[2] for name, value in before.items()} == {
        "verification_images": "seen.zip",
        "aimet_encodings": "aimet.json",
    }
    again = post(world, f"/jobs/{job}/retry", edits={"proof_images": 2}).json()
    assert (files_of(world, again["id"]), again["spec"]["proof_images"]) == (before, 2)


def test_a_retry_may_name_a_calibration_set_of_the_team_or_another_upload(world: World, source: str) -> None:
    with world.hub.db.session() as session:
        team = teams.named(session, "ours")
        by = callers.of_team(team.id, team.slug)
        stored = world.hub.blobs.put_bytes(pictures())
        world.hub.blobs.record(session, stored)
        pets = datasets.create(session, by, name="Pets", sha256=stored.sha256, size=stored.size, count=1, report={}).id
    first = ended(world, convert(world, source, quantization_data="food").json())
    second = post(world, f"/jobs/{first}/retry", edits={"quantization_data": "pets"}).json()
    assert files_of(world, second["id"]) == {"quantization_data": f"dataset:{pets}"}
    images = uploaded(world, "mine.zip", pictures(), "quantization_data")
    third = post(world, f"/jobs/{ended(world, second)}/retry", edits={"quantization_data": images}).json()
    assert files_of(world, third["id"])["quantization_data"].endswith(":mine.zip")
    fourth = post(world, f"/jobs/{ended(world, third)}/retry", edits={"quantization_data": "driving"}).json()
    assert (files_of(world, fourth["id"]), fourth["spec"]["quantization_data"]) == ({}, "driving")
    missing = post(world, f"/jobs/{ended(world, fourth)}/retry", edits={"quantization_data": "nowhere"})
    assert (missing.status_code, missing.json()["subject"]) == (404, "quantization_data")


def test_an_upload_is_named_only_by_who_sent_it_and_only_whole(world: World, source: str) -> None:
    part = uploaded(world, "seen.zip", pictures(), "verification_images", complete=False)
    assert convert(world, source, verification_images=part).status_code == 409
    whole = uploaded(world, "seen.zip", pictures(), "verification_images")
    assert convert(world, source, "Ours admin", verification_images=whole).status_code == 201
    with world.hub.db.session() as session:
        theirs = session.get_one(Instance, world.ids["Theirs team instance"])
        theirs.status, theirs.sha256 = "available", "a" * 64
    other = convert(world, theirs.id, "Theirs admin", verification_images=whole)
    assert (other.status_code, other.json()["code"]) == (404, "NotFound")


@pytest.mark.parametrize(("data", "why"), [(b"PK no zip", "zip"), (None, "image")])
def test_a_zip_that_holds_no_images_is_refused_when_it_comes(world: World, data: bytes | None, why: str) -> None:
    """It was taken as it was, and minutes later the conversion failed for want of images."""
    if data is None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("words.txt", "no picture")
        data = buffer.getvalue()
    reference = uploaded(world, "hands.zip", data, "quantization_data", complete=False)
    answer = post(world, f"/uploads/{reference}/complete")
    assert answer.status_code == 422
    assert why in answer.json()["detail"]
