"""One conversion from its first byte to its last, over HTTP, against `oakmill serve` with a worker of its own.

The parts of the hub were each sound alone; this is what a client sees of them together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import make_source
from tests.conversion.makers import archived, conv_model, saved
from tests.hub_servers import ServedHub
from tests.tools import link_toolchains
from tests.unit.model.ir_making import write_ir

PATIENCE = 600.0
RVC2 = {"platform": "rvc2", "spec": {"blob": True, "number_of_shaves": 4}}
RVC4 = {"platform": "rvc4", "spec": {"quantization_data": "random", "max_quantization_images": 8, "proof_images": 1}}
ROLES = {"model", "recipe", "passport", "passport_page"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An admin's client of a hub with the toolchains of this machine."""
    home = tmp_path_factory.mktemp("whole")
    link_toolchains(home)
    with ServedHub(home, workers=1) as server, server.client(PATIENCE) as client:
        yield client


def upload(client: httpx.Client, instance_id: str, path: Path) -> Any:
    """What the hub says when the last byte has come."""
    data = path.read_bytes()
    body = {
        "name": path.name,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "purpose": {"kind": "instance", "instance_id": instance_id},
    }
    place = "/uploads/" + client.post("/uploads", json=body).raise_for_status().json()["id"]
    half = len(data) // 2
    for start, piece in ((0, data[:half]), (half, data[half:])):
        client.patch(place, headers={"Upload-Offset": str(start)}, content=piece).raise_for_status()
    return client.post(f"{place}/complete").raise_for_status().json()


def source(client: httpx.Client, name: str, *files: Path, model_type: str = "ONNX") -> str:
    """An instance that is available."""
    instance_id = make_source(client, name, model_type=model_type)
    answers = [upload(client, instance_id, path) for path in files]
    assert [answer["status"] for answer in answers] == [*["pending"] * (len(files) - 1), "available"], answers
    return instance_id


def convert(client: httpx.Client, instance_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """The job at its end, with the events that its stream told."""
    job = client.post(f"/instances/{instance_id}/conversions", json=body).raise_for_status().json()
    events = list(told(client, job["id"]))
    assert events[-1] == ("end", "succeeded"), [event for event in events if event[0] != "line"][-2:]
    found: dict[str, Any] = client.get(f"/jobs/{job['id']}").json()
    assert found["status"] == "succeeded"
    stages = [stage["name"] for stage in found["stages"]]
    if not found["answered_by"]:
        assert {"inspect", "prepare", "compile", "package", "verify"} <= set(stages), stages
        assert any(kind == "line" for kind, _ in events)
    return found


def told(client: httpx.Client, job_id: str) -> Iterator[tuple[str, Any]]:
    with client.stream("GET", f"/jobs/{job_id}/events") as stream:
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event:"):
                kind = line.removeprefix("event:").strip()
            elif line.startswith("data:"):
                yield kind, json.loads(line.removeprefix("data:"))


def complete(client: httpx.Client, instance_id: str) -> dict[str, Any]:
    """The instance, once all that belongs to it was read."""
    row: dict[str, Any] = client.get(f"/instances/{instance_id}").raise_for_status().json()
    assert row["status"] == "available"
    files = client.get(f"/instances/{instance_id}/files").raise_for_status().json()["items"]
    assert {file["role"] for file in files} >= ROLES
    for file in files:
        downloaded(file)
    passport = client.get(f"/instances/{instance_id}/passport").raise_for_status().json()
    assert passport["verdict"] == row["verdict"]
    assert passport["cost"] == row["facts"]["cost"]
    assert passport["cost"]["multiply_adds"] > 0 or passport["cost"]["unknown"] > 0  # an IR is not counted
    assert "<html" in client.get(f"/instances/{instance_id}/passport.html").raise_for_status().text
    assert "sha256" in client.get(f"/instances/{instance_id}/recipe").raise_for_status().text
    config = client.get(f"/instances/{instance_id}/config").raise_for_status().json()
    assert sorted(config["model"]["inputs"][0]["shape"]) == sorted(row["input_shape"][0])  # RVC4 takes NHWC
    return row


def downloaded(file: dict[str, Any]) -> None:
    """Without a key, whole and in part."""
    whole = httpx.get(file["url"], timeout=PATIENCE, trust_env=False).raise_for_status().content
    assert (hashlib.sha256(whole).hexdigest(), len(whole)) == (file["sha256"], file["size"])
    half = len(whole) // 2
    rest = httpx.get(file["url"], headers={"Range": f"bytes={half}-"}, timeout=PATIENCE, trust_env=False)
    assert (rest.status_code, rest.content) == (206, whole[half:])
    assert rest.headers["content-range"] == f"bytes {half}-{len(whole) - 1}/{len(whole)}"


def test_an_onnx_model_becomes_rvc2_and_the_same_again_is_answered_at_once(
    client: httpx.Client, tmp_path: Path
) -> None:
    instance_id = source(client, "first", saved(conv_model(), tmp_path / "first.onnx"))
    facts = client.get(f"/instances/{instance_id}").json()["facts"]
    assert facts["inputs"] == [{"name": "image", "shape": [1, 3, 16, 16], "dtype": "float32"}]
    preflight = client.post(f"/instances/{instance_id}/preflight", json={}).raise_for_status().json()["platforms"]
    assert {item["platform"]: item["verdict"] for item in preflight}["rvc2"] == "ok"
    job = convert(client, instance_id, RVC2)
    row = complete(client, job["result_id"])
    assert (row["model_type"], row["parent_id"], row["job_id"]) == ("RVC2", instance_id, job["id"])

    again = client.post(f"/instances/{instance_id}/conversions", json=RVC2).raise_for_status().json()
    assert (again["status"], again["answered_by"]) == ("succeeded", job["id"])
    assert complete(client, again["result_id"])["sha256"] == row["sha256"]
    other = client.post(f"/instances/{instance_id}/conversions", json=RVC2 | {"spec": {"number_of_shaves": 5}}).json()
    assert other["answered_by"] is None
    client.post(f"/jobs/{other['id']}/cancel").raise_for_status()


def test_an_onnx_model_becomes_rvc4_by_a_set_that_is_made_for_it(client: httpx.Client, tmp_path: Path) -> None:
    """Where nobody had made random pixels before, the job wanted to behind its wall: "Permission denied"."""
    instance_id = source(client, "fourth", saved(conv_model(opset=12), tmp_path / "fourth.onnx"))
    row = complete(client, convert(client, instance_id, RVC4)["result_id"])
    assert (row["model_type"], row["precision"]) == ("RVC4", "INT8_STANDARD")


def test_an_nn_archive_says_itself_what_its_input_needs(client: httpx.Client, tmp_path: Path) -> None:
    path = archived(conv_model(opset=11), tmp_path / "archived.tar.xz", {"mean": [1.0, 2.0, 3.0]})
    instance_id = source(client, "archived", path)
    spec = client.get("/specs/rvc2", params={"instance_id": instance_id}).raise_for_status().json()
    assert spec["inputs"][0]["mean_values"] == [1.0, 2.0, 3.0]
    assert complete(client, convert(client, instance_id, RVC2)["result_id"])["model_type"] == "RVC2"


def test_an_ir_comes_in_two_uploads(client: httpx.Client, tmp_path: Path) -> None:
    path = write_ir(tmp_path / "second.xml")
    instance_id = source(client, "second", path, path.with_suffix(".bin"), model_type="IR")
    row = client.get(f"/instances/{instance_id}").json()
    assert {file["name"]: file["role"] for file in row["files"]} == {"second.xml": "model", "second.bin": "part"}
    assert complete(client, convert(client, instance_id, RVC2)["result_id"])["model_type"] == "RVC2"
