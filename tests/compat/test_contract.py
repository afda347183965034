"""HubAI's API on the wire, where the client's own suite does not look: forms, spellings, refusals."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest

from oakmill.api.app import create_app
from oakmill.compat.hubai.routes import router as hubai
from oakmill.compat.zoo.routes import router as zoo
from oakmill.hub.state import Hub
from oakmill.jobs import queue
from oakmill.jobs.tables import Job
from oakmill.registry import aliases, callers, keys, teams
from oakmill.registry.tables import Instance, Model
from oakmill.settings import Settings
from tests import looks
from tests.compat import makers

with warnings.catch_warnings():  # it wants another HTTP client than the one that all the world uses
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

M = "/models/api/v1"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")
Json = dict[str, Any]


@dataclass
class World:
    """A hub in this process, asked as HubAI is."""

    client: TestClient
    hub: Hub

    def get(self, path: str, **query: Any) -> Any:
        answer = self.client.get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        answer = self.client.post(path, json=body, params=query or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, path: str, body: Any = None, status: int = 422, **query: Any) -> str:
        answer = self.client.post(path, json=body, params=query or None)
        assert answer.status_code == status, answer.text
        return str(answer.json()["detail"])

    def source(self, name: str, model_type: str = "ONNX") -> Json:
        """A new instance, and the model and version above it."""
        model = self.post(f"{M}/models", {"name": name})
        version = self.post(f"{M}/modelVersions", {"model_id": model["id"], "name": f"{name} small"})
        body = {"name": f"{name} base", "model_version_id": version["id"], "model_type": model_type}
        found: Json = self.post(f"{M}/modelInstances", body)
        return found

    def upload(self, instance: Json, name: str, data: bytes) -> Json:
        """Send a file as the client does; its job afterwards."""
        made = self.post(f"{M}/modelInstances/{instance['id']}/upload_async", size=len(data), name=name)
        form = {"data": made["policy"]["fields"], "files": {"file": (name, io.BytesIO(data))}}
        answer = self.client.post(made["policy"]["url"], headers={"Authorization": ""}, **form)
        assert answer.status_code == 201, answer.text
        found: Json = self.get(f"/jobs/api/v1/jobs/{made['job']['id']}")
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    app = create_app(Settings(home=tmp_path_factory.mktemp("home")))
    for router in (zoo, hubai):
        app.include_router(router, include_in_schema=False)
    with looks.in_process(), TestClient(app, raise_server_exceptions=False) as client:
        hub = app.state.hub
        with hub.db.session() as session:
            team = teams.create(session, name="Ours")
            _, key = keys.create(session, team, name="user", scopes=["convert"])
        client.headers["Authorization"] = f"Bearer {key}"
        yield World(client, hub)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return makers.tiny(tmp_path_factory.mktemp("model") / "tiny.onnx").read_bytes()


@pytest.fixture(scope="module")
def ready(world: World, data: bytes) -> Json:
    """An instance whose file has come."""
    made = world.source("Ready")
    assert world.upload(made, "tiny model.onnx", data)["status"] == "COMPLETED"
    found: Json = world.get(f"{M}/modelInstances/{made['id']}")
    return found


def spec_of(world: World, job: Json) -> Json:
    with world.hub.db.reading() as session:
        return dict(session.get_one(Job, job["id"]).spec)


def test_times_have_no_zone_and_always_microseconds(world: World, ready: Json) -> None:
    rows = [
        ready,
        world.get(f"{M}/models/{ready['model_id']}"),
        world.get(f"{M}/modelVersions/{ready['model_version_id']}"),
        world.get(f"{M}/modelInstances/{ready['id']}/files")[0],
    ]
    assert all(TIME.fullmatch(row[name]) for row in rows for name in ("created", "updated"))


def test_lists_are_bare_and_take_what_the_client_writes(world: World, ready: Json) -> None:
    found = world.get(f"{M}/models?is_public=False&limit=1&luxonis_only=False&sort=updated&order=desc")
    assert isinstance(found, list) and len(found) == 1
    assert world.get(f"{M}/models?is_public=True") == []
    assert world.get(f"{M}/models?luxonis_only=True") == []
    mine = {"model_id": ready["model_id"], "status": "available", "model_class": "BASE", "platforms": ["ONNX", "RVC4"]}
    assert [row["id"] for row in world.get(f"{M}/modelInstances", **mine)] == [ready["id"]]
    assert world.get(f"{M}/modelInstances", **{**mine, "status": "unavailable"}) == []
    assert world.get(f"{M}/modelInstances", **{**mine, "model_type": "RVC4"}) == []
    version = world.get(f"{M}/modelVersions/{ready['model_version_id']}")
    assert [row["id"] for row in world.get(f"{M}/modelVersions", slug=version["slug"])] == [version["id"]]


def test_filters_that_are_not_known_are_refused(world: World) -> None:
    answer = world.client.get(f"{M}/models?colour=red")
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["query", "colour"]


def test_a_wrong_key_is_refused(world: World) -> None:
    answer = world.client.get(f"{M}/models?limit=1", headers={"Authorization": "Bearer oak_wrong"})
    assert answer.status_code == 401


def test_a_body_that_is_not_known_is_refused_by_field(world: World) -> None:
    answer = world.client.post(f"{M}/models", json={"name": "x", "shade": 1})
    assert answer.json()["detail"][0]["loc"] == ["body", "shade"]
    assert answer.status_code == 422


@pytest.mark.parametrize(("asked", "visibility"), [(True, "public"), (False, "private"), (None, "team")])
def test_public_is_three_things(world: World, asked: bool | None, visibility: str) -> None:
    made = world.post(f"{M}/models", {"name": f"Seen by {visibility}", "is_public": asked})
    assert made["is_public"] is (asked is True)
    links = world.client.patch(f"{M}/models/{made['id']}", json={"links": ["https://a.b/c"], "is_public": asked})
    assert links.json()["links"] == [{"name": "https://a.b/c", "link": "https://a.b/c"}]
    assert world.client.get(f"/api/v1/models/{made['id']}").json()["visibility"] == visibility


def test_a_name_that_is_taken_is_said_in_words_that_clients_know(world: World) -> None:
    made = world.post(f"{M}/models", {"name": "My_Net v1"})
    assert made["slug"] == "my_net-v1"
    assert "Unique constraint error" in world.refused(f"{M}/models", {"name": "My_Net v1"}, 409)


def test_deleting_takes_all_below_and_answers_json(world: World, data: bytes) -> None:
    made = world.source("Short-lived")
    world.upload(made, "tiny.onnx", data)
    answer = world.client.delete(f"{M}/models/{made['model_id']}")
    assert (answer.status_code, answer.json()) == (200, None)
    assert world.client.get(f"{M}/modelInstances/{made['id']}").status_code == 404


def test_links_are_absolute_plain_and_need_no_key(world: World, ready: Json, data: bytes) -> None:
    (link,) = world.get(f"{M}/modelInstances/{ready['id']}/download")
    assert link.startswith("http://") and link.endswith(f"/tiny_model-{ready['hash_short']}.onnx")
    assert world.client.get(link, headers={"Authorization": ""}).content == data


def test_a_file_that_is_no_model_fails_its_job_with_the_reason(world: World) -> None:
    made = world.source("Garbage")
    job = world.upload(made, "model.onnx", b"no model at all" * 50)
    assert job["status"] == "FAILED" and "model.onnx" in job["exception"]
    assert world.client.get(f"{M}/modelInstances/{made['id']}/download").status_code == 409


def test_weights_that_lie_elsewhere_are_asked_for(world: World, tmp_path: Path) -> None:
    model = onnx.load(makers.tiny(tmp_path / "tiny.onnx"))
    onnx.save(model, tmp_path / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0)
    job = world.upload(world.source("External"), "big.onnx", (tmp_path / "big.onnx").read_bytes())
    assert job["status"] == "FAILED" and "big.data" in job["exception"] and "NN Archive" in job["exception"]


def test_only_what_was_signed_is_taken(world: World, data: bytes) -> None:
    made = world.post(f"{M}/modelInstances/{world.source('Forged')['id']}/upload_async", size=len(data), name="a.onnx")
    fields, url = made["policy"]["fields"], made["policy"]["url"]
    assert all(isinstance(value, str) for value in fields.values()) and len(fields) == 7
    forged = {**fields, "x-goog-signature": fields["x-goog-signature"][:-4] + "AAAA"}
    assert world.client.post(url, data=forged, files={"file": ("a.onnx", data)}).status_code == 404
    assert world.client.post(url, data={}, files={"file": ("a.onnx", data)}).status_code == 422
    assert world.client.post(url, content=b"plain").status_code == 422
    assert world.client.post(url, data={**fields, "key": "x" * 70_000}, files={"file": ("a", data)}).status_code == 413
    longer = world.client.post(url, data=fields, files={"file": ("a.onnx", data + b"more")})
    assert longer.status_code == 413
    assert world.client.put("/storage/quantization/forged", content=b"x").status_code == 404


def export(world: World, ready: Json, platform: str, body: Json | None = None, **query: Any) -> Json:
    found: Json = world.post(
        f"{M}/modelInstances/{ready['id']}/export/{platform}", {"name": "out", **(body or {})}, **query
    )
    return found


@pytest.mark.parametrize(
    "said",
    [
        {"input_name": "image", "encoding": {"from_": "BGR", "to": "BGR"}},
        {"name": "image", "encoding": {"from": "BGR", "to": "BGR"}},
        {"input_name": "image", "encoding": "BGR"},
        {"input_name": "image", "encoding_from": "BGR", "encoding_to": "BGR", "reverse_input_channels": False},
    ],
)
def test_all_spellings_of_an_encoding_count(world: World, ready: Json, said: Json) -> None:
    spec = spec_of(world, export(world, ready, "rvc2", {"inputs": [said]}))
    assert spec["inputs"] == [{"name": "image", "encoding_from": "BGR", "encoding_to": "BGR"}]


def test_what_the_client_sends_reaches_the_spec(world: World, ready: Json) -> None:
    sent = {
        "input_name": "image", "shape": [1, 3, 32, 48], "layout": "NCHW", "data_type": "float32",
        "scale_values": makers.SCALE, "mean_values": makers.MEAN, "frozen_value": None,
        "encoding": {"from_": "RGB", "to": "BGR"},
    }  # fmt: skip
    common = {"quantization_data": None, "max_quantization_images": None, "disable_onnx_simplification": True,
              "disable_onnx_optimization": False, "inputs": [sent]}  # fmt: skip
    blob = {"mo_args": [], "compile_tool_args": ["-ip", "U8"], "superblob": False, "number_of_shaves": 4}
    spec = spec_of(world, export(world, ready, "rvc2", {**common, **blob}, legacy="True"))
    assert (spec["blob"], spec["number_of_shaves"], spec["disable_onnx_simplification"]) == (True, 4, True)
    assert spec["compile_tool_args"] == ["-ip", "U8"] and spec["inputs"][0]["mean_values"] == makers.MEAN
    quantized = {"target_precision": "INT8_INT16_MIXED", "quantization_data": "RANDOM", "max_quantization_images": 5}
    job = export(world, ready, "rvc4", {**common, **quantized}, legacy="False")
    spec = spec_of(world, job)
    assert (spec["target_precision"], spec["quantization_data"]) == ("INT8_INT16_MIXED", "random")
    assert (job["status"], job["result"], spec["max_quantization_images"]) == ("QUEUED", None, 5)
    assert spec_of(world, export(world, ready, "rvc3", {"pot_target_device": "ANY"}))["pot_target_device"] == "ANY"


@pytest.mark.parametrize(
    ("platform", "body", "query", "word"),
    [
        ("rvc2", {"colour": 1}, {}, "colour"),
        ("rvc2", {"inputs": [{"input_name": "image", "frozen_value": 1}]}, {}, "frozen_value"),
        ("rvc2", {"inputs": [{"input_name": "image", "data_type": "uint8"}]}, {}, "float32"),
        ("rvc2", {"class_names": [""]}, {}, "no name"),
        ("rvc2", {"version": "yolov8"}, {}, ".pt"),
        ("rvc2", {"version": "yolov99"}, {}, "yolov10"),
        ("rvc2", {"superblob": True}, {"legacy": True}, "contradict"),
        ("rvc2", {"mo_args": ["--extensions=/etc"]}, {}, ""),
        ("rvc3", {"ir_version": "2022.3.0"}, {}, "2022.3.2"),
        ("rvc4", {"target_precision": "INT3"}, {}, "target_precision"),
        ("rvc4", {"quantization_data": "/etc"}, {}, "quantization_data"),
        ("rvc4", {"quantization_data": "CLIP"}, {}, "GENERAL"),
        ("rvc4", {"quantization_data": "aid_unknown"}, {}, "aid_unknown"),
        ("rvc4", {"quantization_dataset_split": "TRAIN"}, {}, "split"),
        ("rvc4", {"max_quantization_images": 0}, {}, "greater"),
        ("rvc4", {}, {"legacy": True}, "legacy"),
        ("hailo", {"optimization_level": 2}, {}, "Hailo"),
    ],
)
def test_what_cannot_be_done_is_refused(
    world: World, ready: Json, platform: str, body: Json, query: Json, word: str
) -> None:
    path = f"{M}/modelInstances/{ready['id']}/export/{platform}"
    if word:
        assert word in world.refused(path, {"name": "out", **body}, **query)
    else:
        world.post(path, {"name": "out", **body}, **query)  # the job refuses raw arguments, with its list


def test_what_the_client_says_of_vectors_by_default_says_nothing(world: World, ready: Json) -> None:
    vector = {"input_name": "image", "shape": [1, 10], "layout": "NC", "encoding": {"from_": "RGB", "to": "BGR"}}
    spec = spec_of(world, export(world, ready, "rvc2", {"inputs": [vector]}))
    assert spec["inputs"] == [{"name": "image", "shape": [1, 10], "layout": "NC"}]


@pytest.mark.parametrize("layout", ["CDEF", "NCDE"])
def test_a_layout_that_the_client_guessed_says_nothing(world: World, ready: Json, layout: str) -> None:
    sent = {"input_name": "image", "shape": [1, 3, 32, 48], "layout": layout, "encoding": {"from_": "RGB", "to": "BGR"}}
    spec = spec_of(world, export(world, ready, "rvc2", {"inputs": [sent]}))
    assert spec["inputs"] == [{"name": "image", "shape": [1, 3, 32, 48]}]
    spec = spec_of(world, export(world, ready, "rvc2", {"inputs": [{**sent, "encoding": "BGR"}]}))
    assert spec["inputs"][0]["encoding_from"] == "BGR"


def test_what_calibrates_nothing_is_told_and_not_refused(world: World, ready: Json) -> None:
    job = export(world, ready, "rvc2", {"quantization_data": "GENERAL", "max_quantization_images": 9})
    assert "quantization_data: RVC2 quantizes nothing" in world.get(f"/jobs/api/v1/jobs/{job['id']}")["logs"]
    own = export(world, ready, "rvc2", {"quantization_data": "CUSTOM"})
    place = world.post(f"{M}/modelInstances/export/{own['id']}/upload_quantization_zip")["upload_url"]
    assert world.client.put(place, content=b"zip" * 999, headers={"Authorization": ""}).status_code == 200
    assert world.get(f"/jobs/api/v1/jobs/{own['id']}")["status"] == "QUEUED"


def test_the_names_of_a_yolos_classes_reach_its_head(world: World, ready: Json) -> None:
    """They were refused, as no head was written."""
    job = export(world, ready, "rvc2", {"class_names": ["cat", "dog, brown"]})
    assert spec_of(world, job)["class_names"] == ["cat", "dog, brown"]


def test_a_checkpoint_gets_its_picture_whole_and_a_yolo_its_scale(world: World, ready: Json) -> None:
    with world.hub.db.session() as session:
        session.get_one(Instance, ready["id"]).model_type = "PYTORCH"
    try:
        sent = {"input_name": "image", "shape": [288, 512], "layout": "CD"}
        job = export(
            world, ready, "rvc4", {"inputs": [sent], "version": "yolov6r4", "target_precision": "FP16_STANDARD"}
        )
        (found,) = spec_of(world, job)["inputs"]
        assert (found["shape"], found["layout"], found["scale_values"]) == ([1, 3, 288, 512], "NCHW", [255.0] * 3)
        listed = world.get(f"{M}/modelInstances", parent_id=ready["id"], model_type="RVC4")
        assert "yolov6r4" in [row["yolo_version"] for row in listed]
    finally:
        with world.hub.db.session() as session:
            session.get_one(Instance, ready["id"]).model_type = "ONNX"


def test_an_export_with_its_own_pictures_waits_for_them(world: World, ready: Json, tmp_path: Path) -> None:
    job = export(world, ready, "rvc4", {"quantization_data": "CUSTOM"})
    assert job["status"] == "QUEUED"
    place = world.post(f"{M}/modelInstances/export/{job['id']}/upload_quantization_zip")["upload_url"]
    zipped = makers.calibration_images(tmp_path / "own.zip").read_bytes()
    assert world.client.put(place, content=zipped, headers={"Authorization": ""}).status_code == 200
    with world.hub.db.reading() as session:
        row = session.get_one(Job, job["id"])
        assert row.status == "queued" and row.files["quantization_data"].endswith(":quantization.zip")
    again = f"{M}/modelInstances/export/{job['id']}/upload_quantization_zip"
    assert "waits for no upload" in world.refused(again, status=409)
    assert world.client.post(f"{M}/modelInstances/export/aij_none/upload_quantization_zip").status_code == 404


def test_an_export_whose_pictures_never_come_says_so(world: World, ready: Json) -> None:
    from datetime import timedelta

    job = export(world, ready, "rvc4", {"quantization_data": "CUSTOM", "name": "forgotten"})
    with world.hub.db.session() as session:
        queue.expire(session, timedelta(seconds=-1))
    found = world.get(f"/jobs/api/v1/jobs/{job['id']}")
    assert found["status"] == "FAILED" and "never came" in found["exception"]


def test_a_config_has_only_what_the_client_knows(world: World, tmp_path: Path) -> None:
    archive = makers.archived(tmp_path / "tiny.tar.xz", makers.tiny(tmp_path / "tiny.onnx"))
    made = world.source("Archived")
    assert world.upload(made, archive.name, archive.read_bytes())["status"] == "COMPLETED"
    assert world.get(f"{M}/modelInstances/{made['id']}")["is_nn_archive"] is True
    config = world.get(f"{M}/modelInstances/{made['id']}/config")
    assert set(config) == {"config_version", "model"} and "heads" in config["model"]
    assert "resize_mode" not in config["model"]["inputs"][0]["preprocessing"]
    (link,) = world.get(f"{M}/modelInstances/{made['id']}/download")
    assert link.endswith(".tar.xz")


def test_slugs_are_looked_up_together(world: World, ready: Json) -> None:
    path = f"{M}/models/read_by_slugs"
    (found,) = world.post(path, {"items": [{"identifier": 3, "slug": "ours/ready:ready-small"}]})["items"]
    assert (found["identifier"], found["model"]["id"]) == (3, ready["model_id"])
    assert found["model_version"]["id"] == ready["model_version_id"]
    assert "Invalid slug format" in world.refused(path, {"items": [{"identifier": 0, "slug": "ready"}]})


def test_an_alias_is_an_address_for_every_client(world: World, ready: Json) -> None:
    """0.3.1 looks addresses up in one request, 0.3.4 in lists whose rows must have the slug it asked for."""
    with world.hub.db.session() as session:
        operator = callers.of_team(session.get_one(Model, ready["model_id"]).team_id, "ours")
        aliases.move(session, operator, ready["model_version_id"], "prod")
    address = "ours/ready:ready-small@prod"
    (old,) = world.post(f"{M}/models/read_by_slugs", {"items": [{"identifier": 3, "slug": address}]})["items"]
    assert old["model_version"]["id"] == ready["model_version_id"]
    asked: Json = {"model_id": ready["model_id"], "variant_slug": "ready-small@prod", "limit": 500}
    for query in ({**asked, "is_public": False}, {**asked, "model_id": "ours/ready"}, {"slug": address}):
        (row,) = world.get(f"{M}/modelVersions", **query)
        assert row["id"] == ready["model_version_id"]
        assert query.get("variant_slug", row["variant_slug"]) == row["variant_slug"]
        assert query.get("slug", row["slug"]) == row["slug"]
    assert world.get(f"{M}/modelVersions", **{**asked, "variant_slug": "ready-small@staging"}) == []
    found = world.get(f"{M}/modelInstances", model_version_id=address)
    assert ready["id"] in {row["id"] for row in found}
    assert {row["model_version_id"] for row in found} == {ready["model_version_id"]}
    zoo = world.client.get(f"{M}/models/download", params={"slug": address, "platform": "RVC4"})
    assert zoo.status_code == 404 and "it has ONNX" in zoo.json()["detail"]


def test_the_zoo_stands_before_the_models(world: World) -> None:
    assert world.client.get(f"{M}/health/", headers={"Authorization": ""}).status_code == 200
    asked = {"slug": "ours/ready", "platform": "RVC4"}
    assert "ours/ready" in world.client.get(f"{M}/models/download", params=asked).json()["detail"]
