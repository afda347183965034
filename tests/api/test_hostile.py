"""Hostile uploads, one after the other against one hub: each is refused by name, and leaves nothing behind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from oakmill.settings import Settings
from tests.api.conftest import API, World, open_world, relu
from tests.api.hostile import ARCHIVES, MODELS, SETS, Hostile


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from open_world(settings_of(tmp_path_factory), wall=True)


@pytest.fixture(scope="module")
def nearby(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hub without the wall, for files that are small."""
    yield from open_world(settings_of(tmp_path_factory))


def settings_of(factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=factory.mktemp("hostile"), upload_max_mb=200, tool_memory_mb=2048)


def new_instance(world: World, model_type: str = "ONNX") -> str:
    body = {"version_id": world.ids["Ours team version"], "name": "sent", "model_type": model_type}
    found: str = world.client.post(f"{API}/instances", headers=world.as_("Ours convert"), json=body).json()["id"]
    return found


def send(world: World, name: str, data: bytes, purpose: dict[str, Any], **more: Any) -> Any:
    """Announce, send, complete; the first answer that refuses, else the last."""
    headers = world.as_("Ours convert")
    body = {"name": name, "purpose": purpose, **more}
    answer = world.client.post(f"{API}/uploads", headers=headers, json=body)
    if answer.status_code != 201:
        return answer
    path = f"{API}/uploads/{answer.json()['id']}"
    answer = world.client.patch(path, headers={**headers, "Upload-Offset": "0"}, content=data)
    return answer if answer.status_code != 204 else world.client.post(f"{path}/complete", headers=headers)


@pytest.mark.parametrize("hostile", ARCHIVES, ids=lambda one: one.name)
def test_a_hostile_archive_is_refused_by_name(running: World, hostile: Hostile) -> None:
    require_refusal(running, hostile)


@pytest.mark.parametrize("hostile", MODELS, ids=lambda one: one.name)
def test_a_hostile_model_is_refused_by_name(nearby: World, hostile: Hostile) -> None:
    require_refusal(nearby, hostile)


def require_refusal(running: World, hostile: Hostile) -> None:
    instance_id = new_instance(running, hostile.model_type)
    purpose = {"kind": "instance", "instance_id": instance_id}
    for name, data in hostile.more.items():
        assert send(running, name, data, purpose).status_code == 200
    answer = send(running, hostile.file, hostile.data, purpose)
    said = answer.json()
    assert (answer.status_code, said["code"]) == (422, hostile.code), said
    assert len(said["detail"]) > 10
    assert str(running.hub.settings.home) not in answer.text
    row = running.client.get(f"{API}/instances/{instance_id}", headers=running.as_("Ours convert")).json()
    assert row["status"] == "pending"
    assert hostile.file not in {file["name"] for file in row["files"]}


@pytest.mark.parametrize("hostile", SETS, ids=lambda one: one.name)
def test_a_hostile_calibration_set_is_refused_by_name(running: World, hostile: Hostile) -> None:
    answer = send(running, "set.zip", hostile.data, {"kind": "dataset", "name": hostile.name})
    assert (answer.status_code, answer.json()["code"]) == (422, hostile.code), answer.json()
    assert str(running.hub.settings.home) not in answer.text
    assert running.client.get(f"{API}/datasets", headers=running.as_("Ours read")).json()["items"] == []


@pytest.mark.parametrize(
    "name",
    [
        "../model.onnx",
        "a/../b.onnx",
        "a//b.onnx",
        "a/",
        "/etc/passwd",
        "a\\b",
        "..",
        ".",
        "",
        "a\0b",
        "a\nb",
        "x" * 300,
        "model.",
    ],
)
def test_a_hostile_name_is_refused(running: World, name: str) -> None:
    purpose = {"kind": "instance", "instance_id": new_instance(running)}
    answer = send(running, name, relu(), purpose)
    assert (answer.status_code, answer.json()["subject"]) == (422, "body.name")


def test_other_bytes_than_announced(running: World) -> None:
    purpose = {"kind": "instance", "instance_id": new_instance(running)}
    answer = send(running, "model.onnx", relu(), purpose, sha256=hashlib.sha256(b"other").hexdigest())
    assert (answer.status_code, answer.json()["code"]) == (422, "HashMismatch")


@pytest.mark.parametrize(("size", "status"), [(10, 413), (10_000, 409), (300 << 20, 413)])
def test_another_size_than_announced_or_allowed(running: World, size: int, status: int) -> None:
    purpose = {"kind": "instance", "instance_id": new_instance(running)}
    answer = send(running, "model.onnx", relu(), purpose, size=size)
    assert answer.status_code == status, answer.json()


def test_more_than_the_quota_leaves(running: World) -> None:
    from oakmill.registry import teams

    with running.hub.db.session() as session:
        teams.named(session, "ours").quota_bytes = 50
    try:
        purpose = {"kind": "instance", "instance_id": new_instance(running)}
        announced = send(running, "model.onnx", relu(), purpose, size=len(relu()))
        unannounced = send(running, "model.onnx", relu(), purpose)
        assert [announced.status_code, unannounced.status_code] == [413, 413]
        assert "quota" in announced.json()["detail"]
    finally:
        with running.hub.db.session() as session:
            teams.named(session, "ours").quota_bytes = None


def test_the_table_is_long_enough() -> None:
    assert len({one.name for one in (*MODELS, *ARCHIVES, *SETS)}) >= 40
