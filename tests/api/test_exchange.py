"""A CI job exchanges its identity token for a key; what is not its own, or not for this hub, gets none."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import select, update

from oakmill.api.app import create_app
from oakmill.hub.oidc.provider import Provider
from oakmill.hub.state import Hub
from oakmill.jobs.webhooks import endpoints
from oakmill.registry import callers, keys, teams
from oakmill.registry.tables import AuditEntry, Key
from oakmill.registry.tries import Tries
from oakmill.settings import Repository, Settings
from oakmill.storage.database import now
from tests.api.conftest import TestClient
from tests.conftest import PROJECT
from tests.hub_servers import ServedHub
from tests.providers import ScriptedProvider, json_answer

HUB = "https://oakmill.example.com"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


@pytest.fixture(scope="module")
def ci() -> Iterator[ScriptedProvider]:
    found = ScriptedProvider()
    yield found
    found.close()


@pytest.fixture(scope="module")
def opened(ci: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A hub that trusts a repository of each kind."""
    on: dict[str, Any] = {"issuer": ci.issuer, "team": "vision"}
    repositories = (
        Repository(kind="github", repository="acme/models", id="42", **on),
        Repository(kind="github", repository="acme/released", ref="refs/heads/main", scope="admin", **on),
        Repository(kind="gitlab", repository="acme/group/models", scope="read", **on),
        Repository(kind="gitlab", repository="acme/shipped", ref="main", scope="admin", **on),
    )
    settings = Settings(
        home=tmp_path_factory.mktemp("hub") / "home", public_url=f"{HUB}/", ci_repositories=repositories
    )
    app = create_app(settings)
    with TestClient(app, raise_server_exceptions=False) as client:
        with app.state.hub.db.session() as session:
            teams.create(session, name="vision")
        yield client


@pytest.fixture
def client(opened: TestClient, ci: ScriptedProvider) -> TestClient:
    ci.behave()
    hub = hub_of(opened)
    hub.ci, hub.tries = {ci.issuer: Provider(ci.issuer)}, Tries()
    return opened


def hub_of(client: TestClient) -> Hub:
    found: Hub = client.app.state.hub  # type: ignore[attr-defined]
    return found


def github(ci: ScriptedProvider, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token as GitHub gives it to a job."""
    said = {
        "aud": HUB, "sub": "repo:acme/models:ref:refs/heads/main", "repository": "acme/models", "repository_id": "42",
        "ref": "refs/heads/main", "sha": "0a1b2c", "actor": "ada", "run_id": "7", "groups": None,
    }  # fmt: skip
    return ci.token(header, **(said | claims))


def exchanged(client: TestClient, token: str, **more: str) -> httpx.Response:
    form = {"grant_type": GRANT, "subject_token": token, "subject_token_type": ID_TOKEN, **more}
    answer: httpx.Response = client.post("/api/v1/auth/exchange", data=form)
    return answer


def test_a_job_gets_a_key_for_its_token_once(client: TestClient, ci: ScriptedProvider) -> None:
    """CI held a key without an end among its secrets, where every fork's maintainer and every log could meet it."""
    token = github(ci, jti="a")
    answer = exchanged(client, token)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["token_type"], said["expires_in"], said["scope"]) == ("Bearer", 900, "convert")
    assert said["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert answer.headers["cache-control"] == "no-store"
    me = client.get("/api/v1/teams/me", headers={"Authorization": f"Bearer {said['access_token']}"}).json()
    assert (me["key_name"], me["scopes"], me["team"]["slug"]) == ("acme/models", ["convert"], "vision")
    with hub_of(client).db.reading() as session:
        key = session.get_one(Key, me["key_id"])
        assert key.expires is not None and timedelta(minutes=14) < key.expires - now() <= timedelta(minutes=15)
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "key.exchange")).one()
        assert entry.detail["actor"] == "ada" and entry.detail["run_id"] == "7" and entry.detail["sha"] == "0a1b2c"
    again = exchanged(client, token)
    assert (again.status_code, again.json()["code"], again.json()["error"]) == (400, "TokenRefused", "invalid_request")
    assert "exchanged before" in again.json()["detail"]


def test_a_jobs_key_makes_nothing_that_outlives_it(client: TestClient, ci: ScriptedProvider) -> None:
    """A repository that was trusted with `admin` could make itself a key without an end, and be told of all jobs."""
    released = github(ci, jti="lasting", repository="acme/released")
    key = exchanged(client, released).json()
    assert key["scope"] == "admin"
    asks = partial(client.post, headers={"Authorization": f"Bearer {key['access_token']}"})
    body: dict[str, Any] = {"name": "mine", "scopes": ["read"]}
    ends = [now() + timedelta(minutes=minutes) for minutes in (5, 16)]
    made = [asks("/api/v1/keys", json=body | {"expires": end and end.isoformat()}) for end in (*ends, None)]
    assert [answer.status_code for answer in made] == [201, 403, 403], made[0].text
    assert "outlive" in made[2].json()["detail"]
    with hub_of(client).db.session() as session:
        team = teams.named(session, "vision")
        by = callers.of_team(team.id, team.slug)
        there = endpoints.add(session, by, "https://example.com/told", ["job.succeeded"], hub_of(client).settings).id
    for path in ("/api/v1/webhooks", f"/api/v1/webhooks/{there}/secret"):
        assert asks(path, json={"url": "https://example.com/mine"}).status_code == 403


def test_numbers_beyond_all_dates_and_names_beyond_all_columns_do_no_harm(
    client: TestClient, ci: ScriptedProvider
) -> None:
    token = github(ci, jti="far", exp=10**400, actor="a\0", sha="s" * 5000)
    assert exchanged(client, token).status_code == 200
    assert exchanged(client, token).json()["code"] == "TokenRefused"


def test_gitlabs_jobs_too_and_never_with_more_than_their_repository_has(
    client: TestClient, ci: ScriptedProvider
) -> None:
    def token() -> str:
        path: dict[str, Any] = {"project_path": "acme/group/models", "project_id": "9", "repository": None}
        return github(ci, jti=str(time.monotonic_ns()), **path)

    assert exchanged(client, token()).json()["scope"] == "read"
    more = exchanged(client, token(), scope="convert")
    assert (more.status_code, more.json()["code"], more.json()["error"]) == (400, "Forbidden", "invalid_scope")
    assert exchanged(client, github(ci, jti="less"), scope="read").json()["scope"] == "read"


@pytest.mark.parametrize(
    ("whole", "given"),
    [("refs/heads/main", True), ("refs/tags/main", False), ("refs/merge-requests/3/head", False), (None, False)],
)
def test_gitlabs_main_is_the_branch_and_nothing_else_of_that_name(
    client: TestClient, ci: ScriptedProvider, whole: str | None, given: bool
) -> None:
    """GitLab's `ref` is a bare name: whoever may push a tag, or ask from a fork to merge a branch, called it main."""
    claims: dict[str, Any] = {"project_path": "acme/shipped", "ref": "main", "ref_path": whole, "repository": None}
    answer = exchanged(client, github(ci, jti=f"gitlab {whole}", **claims))
    assert answer.status_code == (200 if given else 400), answer.text


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another repository": ({"repository": "evil/models"}, "'evil/models'"),
    "a new one of the old name": ({"repository_id": "43"}, "fits the repository 'acme/models'"),
    "another branch": ({"repository": "acme/released", "ref": "refs/pull/3/merge"}, "'refs/pull/3/merge'"),
    "a repository that is a list": ({"repository": ["acme/models"]}, "fits the repository"),
    "for another hub": ({"aud": "https://other.example.com"}, "another audience"),
    "expired": ({"exp": int(time.time()) - 3600}, "it has expired"),
    "of a person": ({"repository": None}, "'(none)'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_trusted_gets_no_key(client: TestClient, ci: ScriptedProvider, what: str) -> None:
    claims, words = REFUSED[what]
    answer = exchanged(client, github(ci, **claims))
    assert (answer.status_code, answer.json()["code"]) == (400, "TokenRefused"), answer.text
    assert words in answer.json()["detail"]


def test_only_issuers_that_the_operator_named_are_asked(client: TestClient, ci: ScriptedProvider) -> None:
    """A token names its issuer itself: whoever makes one could send the hub anywhere."""
    elsewhere = ScriptedProvider()
    answer = exchanged(client, github(elsewhere))
    assert "does not trust" in answer.json()["detail"] and elsewhere.asked == []
    elsewhere.close()


def test_tokens_that_are_none_are_refused_and_counted(client: TestClient) -> None:
    for token in ("a.b.c", "e30.e30.e30", "eyJhbGciOiJSUzI1NiJ9.W10.e30", "ö", "x" * 39_000):
        assert exchanged(client, token).json()["code"] == "TokenRefused"
    for _ in range(20):
        exchanged(client, "a.b.c")
    assert exchanged(client, "a.b.c").json()["code"] == "TooManyTries"
    answer = client.post("/api/v1/auth/exchange", data={"grant_type": "password"})
    assert (answer.status_code, answer.json()["code"]) == (422, "InvalidRequest")


def test_keys_that_are_over_leave_the_list_and_then_the_hub(client: TestClient, ci: ScriptedProvider) -> None:
    raw = exchanged(client, github(ci, jti="spent", repository="acme/released")).json()["access_token"]
    with hub_of(client).db.session() as session:
        admin = keys.authenticate(session, raw)
        assert admin.key_id in {key.id for key in keys.listed(session, admin)}
        session.execute(update(Key).where(Key.id == admin.key_id).values(expires=now() - timedelta(days=1)))
        assert admin.key_id not in {key.id for key in keys.listed(session, admin)}
        keys.forget_spent(session)
        assert session.get(Key, admin.key_id) is not None
        session.execute(update(Key).where(Key.id == admin.key_id).values(expires=now() - timedelta(days=31)))
        keys.forget_spent(session)
        assert session.scalars(select(Key.id).where(Key.id == admin.key_id)).first() is None


def snippet(number: int) -> Any:
    """A block of YAML of the page on signing in."""
    page = (PROJECT / "docs" / "howto" / "sign-in.md").read_text()
    return yaml.safe_load(re.findall(r"```yaml\n(.*?)```", page, re.S)[number])


def shell(script: str, **variables: str) -> str:
    done = subprocess.Popen(
        ["bash", "-e", "-c", script],
        env={"PATH": "/usr/bin:/bin", **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, wrong = done.communicate(timeout=60)
    assert done.returncode == 0, wrong
    return said


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("curl")), reason="jq and curl are not installed")
def test_what_the_docs_say_to_write_into_ci_works(ci: ScriptedProvider, tmp_path: Path) -> None:
    ci.behave()
    on = {"issuer": ci.issuer, "team": "default"}
    trusted = [
        {"kind": "github", "repository": "acme/models", **on},
        {"kind": "gitlab", "repository": "acme/group/models", **on},
    ]
    variables = {"OAKMILL_CI_REPOSITORIES": json.dumps(trusted)}
    with ServedHub(tmp_path / "home", variables=variables) as hub:
        ci.answers[f"/request?version=1&audience={hub.url}"] = json_answer(
            {"value": github(ci, jti="g", aud="oakmill")}
        )
        said = tmp_path / "github_env"
        shell(
            snippet(0)["steps"][0]["run"],
            HUB=hub.url,
            ACTIONS_ID_TOKEN_REQUEST_URL=f"{ci.issuer}/request?version=1",
            ACTIONS_ID_TOKEN_REQUEST_TOKEN="t",
            GITHUB_ENV=str(said),
        )
        lines = snippet(1)["convert"]["script"]
        script = "\n".join([f"HUB={hub.url}", *lines[1:-1], "echo OAKMILL_KEY=$OAKMILL_KEY"])
        token = github(ci, jti="l", aud="oakmill", project_path="acme/group/models", repository=None)
        for told, name in (
            (said.read_text(), "acme/models"),
            (shell(script, OAKMILL_TOKEN=token), "acme/group/models"),
        ):
            headers = {"Authorization": f"Bearer {told.strip().removeprefix('OAKMILL_KEY=')}"}
            me = httpx.get(f"{hub.url}/api/v1/teams/me", headers=headers, trust_env=False).json()
            assert me["key_name"] == name
