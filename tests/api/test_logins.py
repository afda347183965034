"""The command line logs in by a code that a person approves: what it is told meanwhile, and what it gets in the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from oakmill.registry import keys, logins
from oakmill.registry.tables import AuditEntry, Key, Login
from oakmill.server.app import create
from oakmill.storage.database import now
from tests.api.conftest import TestClient, World

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
OWN = {"Origin": "http://testserver"}


@pytest.fixture
def pages(world: World) -> TestClient:
    """The same hub, with its pages."""
    app = create(world.hub.settings)
    app.state.hub = world.hub
    client: TestClient = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
    return client


def begun(world: World, name: str = "oakmill on laptop") -> dict[str, Any]:
    answer = world.client.post("/api/v1/auth/device", data={"client_id": name})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def asked(world: World, code: dict[str, Any]) -> httpx.Response:
    """As if the command line had waited since it asked last."""
    with world.hub.db.session() as session:
        session.execute(update(Login).values(asked=now() - timedelta(seconds=10)))
    form = {"grant_type": GRANT, "device_code": code["device_code"]}
    answer: httpx.Response = world.client.post("/api/v1/auth/token", data=form)
    return answer


def verdict(pages: TestClient, who: dict[str, str], code: str, **form: str) -> httpx.Response:
    said = {"code": code, "verdict": "approve", "scope": "convert", **form}
    answer: httpx.Response = pages.post("/device", data=said, headers={**who, **OWN})
    return answer


def test_a_code_that_is_approved_gives_a_key_once(world: World, pages: TestClient) -> None:
    code = begun(world)
    assert (code["expires_in"], code["interval"]) == (600, 2)
    assert code["verification_uri_complete"] == f"http://testserver/device?code={code['user_code']}"
    waits = asked(world, code)
    assert (waits.status_code, waits.json()["error"]) == (400, "authorization_pending")
    form = {"grant_type": GRANT, "device_code": code["device_code"]}
    assert world.client.post("/api/v1/auth/token", data=form).json()["error"] == "slow_down"

    page = pages.get("/device", params={"code": code["user_code"]}, headers=world.as_("Ours admin"))
    assert "oakmill on laptop" in page.text and code["user_code"] in page.text
    typed = code["user_code"].lower().replace("-", " ")
    assert "is logged in" in verdict(pages, world.as_("Ours admin"), typed).text

    token = asked(world, code).json()
    assert (token["token_type"], token["scope"]) == ("Bearer", "convert")
    assert token["expires_in"] == pytest.approx(90 * 86400, abs=60)
    me = world.client.get("/api/v1/teams/me", headers={"Authorization": f"Bearer {token['access_token']}"}).json()
    assert (me["key_name"], me["scopes"], me["team"]["slug"]) == ("oakmill on laptop", ["convert"], "ours")
    again = asked(world, code)
    assert (again.status_code, again.json()["error"], again.json()["code"]) == (400, "expired_token", "LoginExpired")
    with world.hub.db.reading() as session:
        assert token["access_token"] not in str([vars(row) for row in session.scalars(select(Login))])
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "login.approve")).one()
        assert entry.key_name == "adminer" and entry.subject == "oakmill on laptop"

    ended = world.client.post("/api/v1/auth/revoke", data={"token": token["access_token"]})
    assert ended.json() == {"revoked": True}
    assert asked(world, code).status_code == 400
    assert world.client.post("/api/v1/auth/revoke", data={"token": world.keys["Ours admin"]}).json()["revoked"] is False
    assert world.client.get("/api/v1/teams/me", headers=world.as_("Ours admin")).status_code == 200


def test_a_code_that_is_refused_gives_none(world: World, pages: TestClient) -> None:
    code = begun(world)
    assert "was refused" in verdict(pages, world.as_("Ours read"), code["user_code"], verdict="refuse").text
    assert asked(world, code).json()["error"] == "access_denied"
    assert verdict(pages, world.as_("Ours read"), code["user_code"]).status_code == 404


def test_nobody_gives_more_than_they_have(world: World, pages: TestClient) -> None:
    code = begun(world)
    assert verdict(pages, world.as_("Ours read"), code["user_code"], scope="admin").status_code == 403
    assert verdict(pages, world.as_("Ours read"), code["user_code"], scope="root").status_code == 422
    assert verdict(pages, {}, code["user_code"]).status_code == 303  # to the page that signs in
    other = {**world.as_("Ours read"), "Origin": "https://evil.example"}
    said = {"code": code["user_code"], "verdict": "approve", "scope": "read"}
    assert pages.post("/device", data=said, headers=other).status_code == 403
    assert asked(world, code).json()["error"] == "authorization_pending"
    assert verdict(pages, world.as_("Ours read"), code["user_code"], scope="read").status_code == 200
    assert asked(world, code).json()["scope"] == "read"


def test_who_approved_and_was_shut_out_gives_nothing(world: World, pages: TestClient) -> None:
    code = begun(world)
    verdict(pages, world.as_("Ours convert"), code["user_code"])
    with world.hub.db.session() as session:
        key_id = keys.authenticate(session, world.keys["Ours convert"]).key_id
        session.execute(update(Key).where(Key.id == key_id).values(revoked=now()))
    assert asked(world, code).json()["error"] == "access_denied"


def test_a_key_ends_with_the_one_that_approved_it(world: World, pages: TestClient) -> None:
    soon = now() + timedelta(hours=2)
    with world.hub.db.session() as session:
        key_id = keys.authenticate(session, world.keys["Ours convert"]).key_id
        session.execute(update(Key).where(Key.id == key_id).values(expires=soon))
    code = begun(world)
    verdict(pages, world.as_("Ours convert"), code["user_code"])
    assert asked(world, code).json()["expires_in"] == pytest.approx(7200, abs=60)


def test_codes_are_not_guessed_and_do_not_pile_up(world: World, pages: TestClient) -> None:
    for _ in range(20):
        assert "No login waits" in pages.get("/device?code=BCDF-GHJK", headers=world.as_("Ours read")).text
    assert pages.get("/device?code=BCDF-GHJL", headers=world.as_("Ours read")).status_code == 429
    for _ in range(logins.MOST):
        begun(world)
    answer = world.client.post("/api/v1/auth/device")
    assert (answer.status_code, answer.json()["code"]) == (429, "TooManyTries")


@pytest.mark.parametrize("given", ["x", "ö\0", "' or 1=1 --"])
def test_codes_that_are_none_are_told(world: World, pages: TestClient, given: str) -> None:
    assert asked(world, {"device_code": given}).json()["error"] == "expired_token"
    assert pages.get("/device", params={"code": given}, headers=world.as_("Ours read")).status_code == 404


def test_a_login_that_nobody_approves_is_over(world: World, pages: TestClient) -> None:
    code = begun(world, "\x1b[31m\nspoofed")
    with world.hub.db.session() as session:
        assert session.scalars(select(Login.client)).one() == "[31mspoofed"
        session.execute(update(Login).values(until=now() - timedelta(seconds=1)))
    assert asked(world, code).json()["error"] == "expired_token"
    assert verdict(pages, world.as_("Ours admin"), code["user_code"]).status_code == 404
