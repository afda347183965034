"""Who may do what: every route of the description, by every kind of key, on every kind of model."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from oakmill.api.app import create_app
from oakmill.jobs.tables import Job, JobStatus
from oakmill.registry import keys, users
from oakmill.registry.callers import LOCAL
from oakmill.registry.tables import Instance
from oakmill.settings import Settings
from oakmill.storage.database import now
from tests.api.conftest import API, TestClient, World

WITHOUT_KEY = {
    ("GET", f"{API}/health"),
    ("GET", f"{API}/health/live"),
    ("GET", f"{API}/health/ready"),
    ("GET", f"{API}/evidence-key"),
    ("GET", f"{API}/files/{{token}}/{{name}}"),
    *(("POST", f"{API}/auth/{name}") for name in ("exchange", "device", "token", "revoke")),
}
"""What is asked by who has none yet, or shows something else."""
BODIES: dict[str, Any] = {
    "POST /models": {"name": "new"},
    "PATCH /models/{model_id}": {"summary": "changed"},
    "POST /models/{model_id}/versions": {"variant": "small"},
    "PATCH /versions/{version_id}": {"changelog": "changed"},
    "POST /instances": {"version_id": "VERSION", "name": "new"},
    "PATCH /instances/{instance_id}": {"description": "changed"},
    "POST /instances/{instance_id}/preflight": {},
    "POST /instances/{instance_id}/conversions": {"platform": "rvc2"},
    "PATCH /jobs/{job_id}": {"priority": 1},
    "POST /jobs/{job_id}/retry": {},
    "POST /trash/{trash_id}/restore": {},
    "POST /uploads": {"name": "model.onnx", "purpose": {"kind": "instance", "instance_id": "INSTANCE"}},
    "POST /keys": {"name": "new", "scopes": ["read"]},
    "POST /instances/{instance_id}/measurements": {"kind": "benchmark"},
    "POST /bundles/{upload_id}/take": {},
    "POST /jobs/{job_id}/word": {"token": "0" * 32, "agent": "none"},
    "POST /jobs/{job_id}/release": {"token": "0" * 32},
    "POST /jobs/{job_id}/end": {"token": "0" * 32},
    "PUT /versions/{version_id}/aliases/{alias}": {},
    "POST /variants/{variant_id}/aliases/{alias}/back": {},
}
ADMINS = ("/keys", "/audit", "/toolchains/{name}/install")
OF_A_MODEL = ("{model_id}", "{variant_id}", "{version_id}", "{instance_id}", "{job_id}", "{upload_id}")


@cache
def operations() -> list[tuple[str, str]]:
    paths = create_app(Settings()).openapi()["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item]


def call(world: World, who: str, method: str, path: str, place: str = "Ours private") -> Any:
    """One request on what stands at a place, as if it were meant."""
    given = BODIES.get(f"{method} {path.removeprefix(API)}")
    words = {"VERSION": world.ids[f"{place} version"], "INSTANCE": world.ids[f"{place} instance"]}
    text = json.dumps(given) if given is not None else ""
    for word, value in words.items():
        text = text.replace(f'"{word}"', f'"{value}"')
    for kind in ("model", "variant", "version", "instance", "job", "upload"):
        path = path.replace(f"{{{kind}_id}}", world.ids.get(f"{place} {kind}", f"none_{kind}"))
    path = (
        path.replace("/agents/{name}", "/agents/none")
        .replace("{platform}", "rvc2")
        .replace("{name}", "rvc2/none")
        .replace("{number}", "0")
        .replace("{alias}", "prod")
    )
    path = path.replace("{dataset_id}", "aid_none").replace("{key_id}", "aik_none")
    path = path.replace("{trash_id}", "aix_none")
    headers = {**world.as_(who), "Content-Type": "application/json"}
    if method == "PATCH" and "/uploads/" in path:
        headers = {**world.as_(who), "Upload-Offset": "0"}
    query = {"address": "ours/ours-private"} if path.endswith("/resolve") else None
    return world.client.request(method, path, content=text, headers=headers, params=query)


def add_job(world: World, place: str) -> None:
    """A failed job, which can be looked at and tried again."""
    with world.hub.db.session() as session:
        source = session.get_one(Instance, world.ids[f"{place} instance"])
        job = Job(
            id=f"aij_{len(world.ids)}", number=len(world.ids), name="job", team_id=source.team_id, spec={},
            source_id=source.id, model_id=source.model_id, platform="rvc2", status=JobStatus.FAILED,
        )  # fmt: skip
        session.add(job)
        world.ids[f"{place} job"] = job.id


@pytest.mark.parametrize("who", ["nobody", "unknown", "expired", "revoked"])
def test_without_a_key_in_force_nothing_is_told(world: World, who: str) -> None:
    world.hub.tries.limit = 10_000
    add_job(world, "Ours private")
    for method, path in operations():
        if (method, path) not in WITHOUT_KEY:
            answer = call(world, who, method, path)
            assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "private" not in answer.text.lower(), f"{method} {path}"


def test_what_is_another_teams_does_not_exist(world: World) -> None:
    """The answers are those for what is not there, to the letter but for the name that was asked for."""
    for place in ("Ours private", "Ours team"):
        add_job(world, place)
        for method, path in operations():
            if any(part in path for part in OF_A_MODEL) and "/files/" not in path:
                answer = call(world, "Theirs admin", method, path, place)
                assert answer.status_code == 404, f"{method} {path}: {answer.status_code} {answer.text}"
                assert "ours" not in answer.text.lower(), answer.text


def test_the_same_words_for_what_is_not_there_and_what_is_not_to_be_seen(world: World) -> None:
    hidden = world.ids["Ours private model"]
    real = world.client.get(f"{API}/models/{hidden}", headers=world.as_("Theirs admin")).json()
    none = world.client.get(f"{API}/models/aim_none", headers=world.as_("Theirs admin")).json()
    assert real.pop("request_id") != none.pop("request_id")
    assert {**none, "detail": none["detail"].replace("aim_none", hidden), "subject": hidden} == real


def test_a_reading_key_changes_nothing(world: World) -> None:
    add_job(world, "Ours team")
    for method, path in operations():
        if (method, path) not in WITHOUT_KEY and method != "GET" and not path.endswith("/preflight"):
            answer = call(world, "Ours read", method, path, "Ours team")
            assert answer.status_code == 403, f"{method} {path}: {answer.status_code} {answer.text}"


def test_only_admins_see_keys_and_the_audit_log(world: World) -> None:
    for method, path in operations():
        if path.removeprefix(API).startswith(ADMINS):
            answer = call(world, "Ours convert", method, path, "Ours team")
            assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"
    listed = world.client.get(f"{API}/keys", headers=world.as_("Ours admin")).json()["items"]
    assert {key["name"] for key in listed} == {"reader", "converter", "adminer", "narrow", "old", "gone"}
    assert "sha256" not in listed[0]
    assert "key" not in listed[0]


@pytest.mark.parametrize(
    ("who", "names"),
    [
        ("Ours admin", {"Ours private", "Ours team", "Ours public", "Theirs public"}),
        ("Ours read", {"Ours team", "Ours public", "Theirs public"}),
        ("narrow", {"Ours team"}),
    ],
)
def test_lists_hold_what_the_key_may_see_and_no_more(world: World, who: str, names: set[str]) -> None:
    found = world.client.get(f"{API}/models", headers=world.as_(who)).json()["items"]
    assert {item["name"] for item in found} == names
    rows = world.client.get(f"{API}/instances", headers=world.as_(who)).json()["items"]
    assert {item["name"].removesuffix(" source") for item in rows} == names


def test_a_public_model_is_read_by_others_but_not_changed_and_its_jobs_are_not_theirs(world: World) -> None:
    add_job(world, "Ours public")
    path = f"{API}/models/{world.ids['Ours public model']}"
    assert world.client.get(path, headers=world.as_("Theirs read")).status_code == 200
    assert world.client.patch(path, headers=world.as_("Theirs admin"), json={"summary": "x"}).status_code == 403
    assert world.client.delete(path, headers=world.as_("Theirs admin")).status_code == 403
    job = f"{API}/jobs/{world.ids['Ours public job']}"
    assert world.client.get(job, headers=world.as_("Ours read")).status_code == 200
    assert world.client.get(job, headers=world.as_("Theirs admin")).status_code == 404
    assert world.client.get(f"{API}/jobs", headers=world.as_("Theirs admin")).json()["items"] == []


def test_a_narrowed_key_works_on_its_model_alone(world: World) -> None:
    own, other = world.ids["Ours team model"], world.ids["Ours public model"]
    narrow = world.as_("narrow")
    assert world.client.patch(f"{API}/models/{own}", headers=narrow, json={"summary": "mine"}).status_code == 200
    assert world.client.get(f"{API}/models/{other}", headers=narrow).status_code == 404
    assert world.client.post(f"{API}/models", headers=narrow, json={"name": "more"}).status_code == 403


def test_public_models_without_a_key_where_the_operator_says_so(settings: Settings, world: World) -> None:
    open_settings = settings.model_copy(update={"public_without_key": True})
    with TestClient(create_app(open_settings)) as client:
        names = {item["name"] for item in client.get(f"{API}/models").json()["items"]}
        assert names == {"Ours public", "Theirs public"}
        assert client.get(f"{API}/models/{world.ids['Ours team model']}").status_code == 404
        assert client.post(f"{API}/models", json={"name": "x"}).status_code == 401
        assert client.get(f"{API}/jobs").status_code == 401


def test_a_revoked_key_ends_at_once_and_what_was_done_is_in_the_audit_log(world: World) -> None:
    admin = world.as_("Ours admin")
    made = world.client.post(f"{API}/keys", headers=admin, json={"name": "brief", "scopes": ["read"]}).json()
    own = {"Authorization": f"Bearer {made['key']}"}
    assert world.client.get(f"{API}/teams/me", headers=own).json()["key_name"] == "brief"
    assert world.client.delete(f"{API}/keys/{made['id']}", headers=admin).json()["revoked"]
    assert world.client.get(f"{API}/teams/me", headers=own).status_code == 401
    entries = world.client.get(f"{API}/audit", headers=admin, params={"limit": 3}).json()["items"]
    told = [entry for entry in entries if entry["action"] != "key.refused"]  # which is written a second later
    assert [entry["action"] for entry in told][:2] == ["key.revoke", "key.create"]
    assert told[0]["key_name"] == "adminer"
    theirs = world.client.get(f"{API}/audit", headers=world.as_("Theirs admin")).json()["items"]
    assert not [entry for entry in theirs if entry["subject"] == made["id"]]


def test_wrong_keys_are_slowed_down_and_right_ones_are_not(world: World) -> None:
    world.hub.tries.limit = 5
    answers = [
        world.client.get(f"{API}/teams/me", headers={"Authorization": f"Bearer oak_{number}"}) for number in range(7)
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert world.client.get(f"{API}/teams/me", headers=world.as_("Ours read")).status_code == 200


def test_a_users_keys_share_one_rate(world: World) -> None:
    """Each login of a command line gave its user another minute's requests, so haste cost a login and no more."""
    person = users.Person("https://login.example.com", "u1", "ada@example.com")
    with world.hub.db.session() as session:
        user, _ = users.come_in(session, person, users.Grant("ours", "read"), until=now() + timedelta(days=1))
        team = str(user.team_id)
        raw = [keys.issue(session, LOCAL, team, name="x", scopes=["read"], user_id=user.id)[1] for _ in range(2)]
    world.hub.rates.limit = 2
    asked = [
        world.client.get(f"{API}/teams/me", headers={"Authorization": f"Bearer {raw[number % 2]}"})
        for number in range(3)
    ]
    assert [answer.status_code for answer in asked] == [200, 200, 429]
    assert "ada@example.com" in asked[-1].json()["detail"]
    assert world.client.get(f"{API}/teams/me", headers=world.as_("Ours read")).status_code == 200


def test_links_expire_and_cannot_be_made_up(world: World) -> None:
    from oakmill.hub import links

    token = links.sign(world.hub.secret, "file", {"file": "aimf_none"}, seconds=-1)
    other = links.sign(world.hub.secret, "session", {"file": "aimf_none"}, seconds=60)
    forged = links.sign(b"guess", "file", {"file": "aimf_none"}, seconds=60)
    for wrong in (token, other, forged, token[:-1], "x", "é", "A" * 5000):
        answer = world.client.get(f"{API}/files/{wrong}/model.onnx")
        assert answer.status_code == 404
        assert answer.json()["detail"] == "This link does not work, or no more."
