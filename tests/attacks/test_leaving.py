"""What was handed out is worth nothing once it was taken back: cookies, links, streams; and one client is not all."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import httpx
import pytest

from oakmill.client import Hub
from tests.api.conftest import make_source, relu
from tests.hub_servers import API, ServedHub

SOON = 5.0
LIMIT = 150


@dataclass
class Somebody:
    """The holder of a key of their own."""

    hub: ServedHub
    key_id: str
    key: str

    def client(self, path: str = API) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=f"{self.hub.url}{path}", headers=headers, timeout=60, trust_env=False)

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """A client that has signed in, and sends the cookie alone."""
        with httpx.Client(base_url=self.hub.url, timeout=60, trust_env=False) as client:
            client.post("/session", data={"key": self.key}, headers={"Origin": self.hub.url})
            assert client.cookies.get("oakmill_session")
            yield client

    def revoke(self) -> None:
        with self.hub.client() as admin:
            admin.delete(f"keys/{self.key_id}").raise_for_status()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHub]:
    limit = {"OAKMILL_REQUESTS_PER_MINUTE": str(LIMIT)}
    with ServedHub(tmp_path_factory.mktemp("hub"), variables=limit) as found:
        yield found


@pytest.fixture(scope="module")
def source(hub: ServedHub) -> str:
    """An instance that is complete."""
    with hub.client() as admin:
        return uploaded(admin, "digits")


@pytest.fixture
def somebody(hub: ServedHub) -> Somebody:
    with hub.client() as admin:
        made = admin.post("keys", json={"name": "somebody", "scopes": ["convert"]}).raise_for_status().json()
    return Somebody(hub, made["id"], made["key"])


def uploaded(client: httpx.Client, name: str) -> str:
    instance = make_source(client, name)
    purpose = {"kind": "instance", "instance_id": instance}
    made = client.post("uploads", json={"name": "digits.onnx", "purpose": purpose}).raise_for_status().json()
    client.patch(f"uploads/{made['id']}", content=relu(), headers={"Upload-Offset": "0"}).raise_for_status()
    client.post(f"uploads/{made['id']}/complete").raise_for_status()
    return instance


def link_of(client: httpx.Client, instance: str) -> str:
    url: str = client.get(f"instances/{instance}/files").raise_for_status().json()["items"][0]["url"]
    assert httpx.get(url, trust_env=False).status_code == 200
    return url


def test_a_cookie_that_was_kept_is_worth_nothing_after_the_sign_out(somebody: Somebody) -> None:
    """The browser forgot its cookie; whoever had copied it was let in for 12 hours more."""
    with somebody.browser() as browser, somebody.browser() as other:
        kept = browser.cookies["oakmill_session"]
        browser.post("/session/end", headers={"Origin": somebody.hub.url})
        again = httpx.get(f"{somebody.hub.url}{API}/models", cookies={"oakmill_session": kept}, trust_env=False)
        assert again.status_code == 401
        assert other.get(f"{API}/models").status_code == 200  # a session of its own


def test_a_link_ends_with_the_key_that_it_was_made_for(somebody: Somebody, source: str) -> None:
    """It worked for an hour after its key was revoked."""
    with somebody.client() as client:
        url = link_of(client, source)
    somebody.revoke()
    assert httpx.get(url, trust_env=False).status_code == 404


def test_a_link_ends_when_its_file_is_made_private(hub: ServedHub, somebody: Somebody) -> None:
    """It worked for an hour after the model was hidden from who had got it."""
    with hub.client() as admin, somebody.client() as client:
        instance = uploaded(admin, "secret")
        url = link_of(client, instance)
        model = admin.get(f"instances/{instance}").json()["model_id"]
        admin.patch(f"models/{model}", json={"visibility": "private"}).raise_for_status()
        assert httpx.get(url, trust_env=False).status_code == 404
        assert httpx.get(link_of(admin, instance), trust_env=False).status_code == 200


@pytest.mark.parametrize("how", ["revoked", "signed out"])
def test_a_stream_ends_soon_after_who_follows_may_not(
    hub: ServedHub, somebody: Somebody, source: str, how: str
) -> None:
    """It went on for as long as the job, with all that the job told. There is no worker, so the job waits."""
    with hub.client() as admin:
        asked = {"platform": "rvc2", "spec": {"number_of_shaves": 3 if how == "revoked" else 5}}
        job = admin.post(f"instances/{source}/conversions", json=asked).raise_for_status().json()["id"]
    with somebody.browser() as browser:
        with browser.stream("GET", f"{API}/jobs/{job}/events") as stream:
            pieces = stream.iter_text()
            next(pieces)
            if how == "revoked":
                somebody.revoke()
            else:
                cookies = dict(browser.cookies)
                httpx.post(f"{hub.url}/session/end", cookies=cookies, headers={"Origin": hub.url}, trust_env=False)
            began = time.monotonic()
            for _ in pieces:
                pass
        assert time.monotonic() - began < SOON
        assert browser.get(f"{API}/jobs/{job}").status_code == 401


def test_who_only_reads_waits_for_no_writer(hub: ServedHub, somebody: Somebody, source: str) -> None:
    """A key's first request in a minute, and each download, wrote to the database, and waited 15 s for its lock."""
    database = hub.home / "hub" / "hub.sqlite"
    with somebody.client() as client, hub.client() as admin:
        url = client.get(f"instances/{source}/files").json()["items"][0]["url"]
        fresh = admin.post("keys", json={"name": "fresh", "scopes": ["read"]}).json()
        with closing(sqlite3.connect(database, timeout=30, isolation_level=None)) as writer:
            writer.execute("begin immediate")
            began = time.monotonic()
            other = Somebody(hub, fresh["id"], fresh["key"])
            with other.client() as reader:
                assert reader.get("models").status_code == 200
            assert httpx.get(url, trust_env=False).status_code == 200
            took = time.monotonic() - began
            writer.execute("rollback")
        assert took < 4
        deadline = time.monotonic() + 240
        while not {key["id"]: key["last_used"] for key in admin.get("keys").json()["items"]}[fresh["id"]]:
            assert time.monotonic() < deadline, "its use was never noted"
            time.sleep(0.2)


@pytest.mark.parametrize("origin", ["https://{}", "http://{}.evil", "null", "http://evil"])
def test_another_origin_does_nothing_in_the_browsers_name(somebody: Somebody, origin: str) -> None:
    """Of an origin the host was compared alone: what a page of https://hub is, a page of http://hub may not be."""
    with somebody.browser() as browser:
        host = somebody.hub.url.removeprefix("http://")
        wrong = {"Origin": origin.format(host)}
        assert browser.post(f"{API}/models", json={"name": "forged"}, headers=wrong).status_code == 403
        own = {"Origin": somebody.hub.url}
        assert browser.post(f"{API}/models", json={"name": "meant"}, headers=own).status_code in (201, 409)


def test_a_key_in_haste_is_held_up_and_others_are_not(hub: ServedHub, somebody: Somebody) -> None:
    """One client's loop took all of the hub."""
    with somebody.client() as client:
        for _ in range(2 * LIMIT):
            answer = client.get("teams/me")
            if answer.status_code != 200:
                break
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.json()["code"] == "TooManyRequests"
    with Hub(hub.url, somebody.key) as ours:
        assert ours.me().key_name == "somebody", "our own client does not wait until it may go on"
    with hub.client() as admin:
        assert admin.get("teams/me").status_code == 200


def test_what_was_let_in_refused_and_taken_is_in_the_audit_log(hub: ServedHub, somebody: Somebody, source: str) -> None:
    """Of changes it told alone: nobody knew who had signed in, or what was downloaded."""
    with somebody.browser() as browser:
        browser.post("/session/end", headers={"Origin": hub.url})
    with somebody.client() as client:
        link_of(client, source)
        somebody.revoke()
        assert client.get("models").status_code == 401
    wanted = {"session.begin", "session.end", "file.download", "key.refused"}
    deadline = time.monotonic() + 240
    found: set[str] = set()
    with hub.client() as admin:
        while not wanted <= found and time.monotonic() < deadline:
            entries = admin.get("audit", params={"limit": 200}).json()["items"]
            found = {entry["action"] for entry in entries if entry["key_id"] == somebody.key_id}
            time.sleep(0.2)
    assert wanted <= found
