"""No request ends in an error of our own, whatever its names, its body and its headers hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oakmill.api import answers
from oakmill.registry.tables import Instance
from oakmill.server.app import create
from oakmill.settings import Settings
from tests import looks
from tests.api.conftest import API, TestClient, World, furnish

NAMES = ("a%2Fb", "%00", "%ED%A0%80", "..%2F..%2Fsettings.py", "%FF", "%0A", "a" * 3000, "99999999999999999999")
FORMS = ("multipart/form-data", "multipart/form-data; boundary=x", f"multipart/form-data; boundary={'x' * 5000}")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The whole hub: our API, the pages, and others' clients' doors."""
    settings = Settings(home=tmp_path_factory.mktemp("hub"))
    with looks.in_process():
        app = create(settings)
        with TestClient(app, raise_server_exceptions=False) as client:
            world = World(client, app.state.hub)
            furnish(world)
            yield world


@pytest.mark.parametrize(
    "path", ["/static/x/{}", "/static/{}/x", "/graph/netron/{}", "/models/{}", "/instances/{}", f"{API}/models/{{}}",
             f"{API}/instances/{{}}", f"{API}/models?cursor={{}}", f"{API}/instances?text={{}}"]
)  # fmt: skip
def test_a_name_is_found_or_refused(hub: World, path: str) -> None:
    """/static/x/%00 was answered 500."""
    for name in NAMES:
        answer = hub.client.get(path.format(name), headers=hub.as_("Ours admin"))
        assert answer.status_code < 500, (path, name[:40], answer.text[:300])


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_that_is_none_is_refused(hub: World, kind: str) -> None:
    """A boundary of 5,000 characters was answered 500."""
    headers = {**hub.as_("Ours admin"), "Content-Type": kind}
    answer = hub.client.post("/storage/upload", content=b"--x\r\n", headers=headers)
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize("name", ["a/b", "\ud800", "\0", "x" * 5000, "../../x"])
def test_a_model_of_any_name_is_made_and_seen_or_refused(hub: World, name: str, tmp_path: Path) -> None:
    import json

    headers = {**hub.as_("Ours admin"), "Content-Type": "application/json"}
    answer = hub.client.post(f"{API}/models", content=json.dumps({"name": name}), headers=headers)
    assert answer.status_code < 500, answer.text
    if answer.status_code == 201:
        made = answer.json()
        for path in (f"{API}/models/{made['id']}", f"/models/{made['team']}/{made['slug']}", "/models"):
            assert hub.client.get(path, headers=headers).status_code < 500


def test_a_list_holds_no_configs(hub: World) -> None:
    """Eight instances with configs of 16 MB made a list of 120 MB, and the hub needed 1.7 GB to write it."""
    with hub.hub.db.session() as session:
        row = session.query(Instance).first()
        assert row is not None
        row.facts = {**row.facts, "archive": {"model": "x" * 100_000}, "config": {}, "opset": 17}
        instance_id = row.id
    headers = hub.as_("Ours admin")
    listed = hub.client.get(f"{API}/instances", headers=headers)
    assert len(listed.content) < 50_000
    facts = {item["id"]: item["facts"] for item in listed.json()["items"]}[instance_id]
    assert facts == {"opset": 17}
    whole = hub.client.get(f"{API}/instances/{instance_id}", headers=headers).json()
    assert whole["facts"].keys() > answers.CONFIGS
