"""Signing in at a provider that lies, hangs or leads elsewhere: each is refused by name, and keys work."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwk
from sqlalchemy import delete, select

from oakmill.hub.oidc import outgoing, provider
from oakmill.hub.oidc.provider import Provider
from oakmill.hub.sessions import COOKIE
from oakmill.hub.state import Hub
from oakmill.registry import keys, search, teams, users
from oakmill.registry.callers import LOCAL, of_team
from oakmill.registry.tables import AuditEntry, Key, Model, User
from oakmill.server.app import create
from oakmill.settings import Settings
from tests.api.conftest import TestClient
from tests.hub_servers import free_port
from tests.providers import ScriptedProvider, endless, json_answer, redirect

GROUPS = {"seers": "vision:convert", "leads": "vision:admin", "arms": "robots:read"}
BACK = "/session/provider/back"


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedProvider]:
    found = ScriptedProvider()
    yield found
    found.close()


@pytest.fixture(scope="module")
def opened(scripted: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A hub with two teams, whose people sign in at that provider."""
    home = tmp_path_factory.mktemp("hub") / "home"
    settings = Settings(home=home, oidc_issuer=scripted.issuer, oidc_groups=GROUPS, oidc_client_secret="s/e c")
    app = create(settings)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        with app.state.hub.db.session() as session:
            for name in ("vision", "robots"):
                teams.create(session, name=name)
        yield client


@pytest.fixture
def lying(scripted: ScriptedProvider) -> ScriptedProvider:
    """The provider, which is sound until the test makes it otherwise."""
    scripted.behave()
    return scripted


@pytest.fixture
def client(opened: TestClient, lying: ScriptedProvider) -> TestClient:
    """A browser that was never there, at a hub that has asked nothing yet."""
    opened.cookies.clear()
    hub_of(opened).provider = Provider.of(hub_of(opened).settings)
    with hub_of(opened).db.session() as session:
        session.execute(delete(User))
    return opened


def hub_of(client: TestClient) -> Hub:
    found: Hub = client.app.state.hub  # type: ignore[attr-defined]
    return found


def begun(client: TestClient) -> dict[str, str]:
    """What the browser is sent to the provider with."""
    answer = client.get("/session/provider", params={"next": "/toolchains"})
    assert answer.status_code == 303, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def back(client: TestClient, state: str, **query: str) -> httpx.Response:
    answer: httpx.Response = client.get(BACK, params={"code": "c", "state": state, **query})
    return answer


def come(client: TestClient, lying: ScriptedProvider, **claims: Any) -> httpx.Response:
    """Sign in with a sound token that says this."""
    sent = begun(client)
    lying.gives(lying.token(nonce=sent["nonce"], **claims))
    return back(client, sent["state"])


def refused(answer: httpx.Response, status: int, words: str) -> None:
    """The page says why, and nobody is let in."""
    assert answer.status_code == status, answer.text
    told = answer.text.partition('role="alert"')[2].partition("</div>")[0]
    assert words in told and COOKIE not in answer.cookies


def test_the_way_there_has_pkce_state_and_nonce_and_the_way_back_a_session(
    client: TestClient, lying: ScriptedProvider
) -> None:
    sent = begun(client)
    assert (
        sent["response_type"] == "code" and sent["code_challenge_method"] == "S256" and sent["client_id"] == "oakmill"
    )
    assert min(len(sent[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    assert sent["redirect_uri"].endswith(BACK) and sent["scope"] == "openid email profile"
    lying.gives(lying.token(nonce=sent["nonce"], email="ada@example.com", email_verified=True))
    answer = back(client, sent["state"])
    assert answer.status_code == 200 and 'content="0;url=/toolchains"' in answer.text
    form = parse_qs(lying.forms[0])
    assert form["grant_type"] == ["authorization_code"] and form["redirect_uri"] == [sent["redirect_uri"]]
    assert len(form["code_verifier"][0]) >= 43
    me = client.get("/api/v1/teams/me").json()
    assert (me["user_name"], me["scopes"], me["team"]["slug"]) == ("ada@example.com", ["convert"], "vision")


def test_a_code_comes_back_once(client: TestClient, lying: ScriptedProvider) -> None:
    """Whoever sees an address with a code and its state must not come in with it a second time."""
    sent = begun(client)
    lying.gives(lying.token(nonce=sent["nonce"]))
    ticket = client.cookies["oakmill_sign_in"]
    assert back(client, sent["state"]).status_code == 200
    client.cookies.clear()
    client.cookies.set("oakmill_sign_in", ticket)
    refused(back(client, sent["state"]), 403, "came to its end already")


def test_a_code_comes_back_to_the_browser_that_was_sent(client: TestClient, lying: ScriptedProvider) -> None:
    sent = begun(client)
    lying.gives(lying.token(nonce=sent["nonce"]))
    refused(back(client, "another"), 403, "its state is not the one that was sent")
    client.cookies.clear()
    refused(back(client, sent["state"]), 403, "not begun in this browser")


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(claims: dict[str, object], alg: str = "none") -> str:
    return f"{part({'alg': alg})}.{part(claims)}."


def by_public_key(lying: ScriptedProvider, nonce: str) -> str:
    """The provider's public key, which everybody has, as a shared secret."""
    signed = f"{part({'alg': 'HS256', 'kid': 'ours'})}.{part(lying.claims(nonce=nonce))}"
    return f"{signed}.{part(hmac.digest(lying.key.as_pem(private=False), signed.encode(), 'sha256'))}"


def other_key() -> jwk.RSAKey:
    return jwk.RSAKey.generate_key(2048)


HOSTILE: dict[str, tuple[Callable[[ScriptedProvider, str], str], str]] = {
    "alg none": (lambda p, n: unsigned(p.claims(nonce=n)), "proves nothing of who signed it"),
    "alg None": (lambda p, n: unsigned(p.claims(nonce=n), "None"), "proves nothing of who signed it"),
    "HS256 with the public key": (by_public_key, "proves nothing of who signed it"),
    "other audience": (lambda p, n: p.token(nonce=n, aud="other"), "for another audience"),
    "given to another": (lambda p, n: p.token(nonce=n, aud=["oakmill", "x"], azp="x"), "to another application"),
    "several audiences": (lambda p, n: p.token(nonce=n, aud=["oakmill", "x"]), "does not say"),
    "expired": (lambda p, n: p.token(nonce=n, exp=int(time.time()) - 120), "it has expired"),
    "never expires": (lambda p, n: p.token(nonce=n, exp=None), "does not say"),
    "expires at no number": (lambda p, n: p.token(nonce=n, exp=float("nan")), "does not hold"),
    "from the future": (lambda p, n: p.token(nonce=n, iat=int(time.time()) + 3600), "does not hold"),
    "nonce of another": (lambda p, n: p.token(nonce="replayed"), "its nonce is not the one that was sent"),
    "no nonce": (lambda p, n: p.token(), "does not say"),
    "other issuer": (lambda p, n: p.token(nonce=n, iss="https://evil.example"), "from another issuer"),
    "unknown kid": (lambda p, n: p.token({"kid": "new"}, nonce=n), "does not have"),
    "another's key": (lambda p, n: p.token(None, other_key(), nonce=n), "its signature does not fit"),
    "its own key in the header": (
        lambda p, n: p.token({"jwk": (k := other_key()).as_dict(private=False)}, k, nonce=n),
        "no signed token",
    ),
    "groups are a word": (lambda p, n: p.token(nonce=n, groups="leads"), "is not a list of group names"),
    "groups are an object": (lambda p, n: p.token(nonce=n, groups={"leads": True}), "is not a list of group names"),
    "groups hold numbers": (lambda p, n: p.token(nonce=n, groups=["leads", 1]), "is not a list of group names"),
    "subject is a number": (lambda p, n: p.token(nonce=n, sub=7), "does not hold"),
    "subject is endless": (lambda p, n: p.token(nonce=n, sub="u" * 300), "it takes 1 to 255"),
    "subject holds a zero": (lambda p, n: p.token(nonce=n, sub="u\0"), "printable"),
    "no token": (lambda p, n: "", "no signed token"),
    "no JSON": (lambda p, n: "a.b.c", "no signed token"),
    "huge": (lambda p, n: p.token(nonce=n, more="x" * 40_000), "more than 32000"),
    "nested": (lambda p, n: "W1" * 5000 + ".e30.e30", "no signed token"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_token_is_refused_by_name(client: TestClient, lying: ScriptedProvider, what: str) -> None:
    make, words = HOSTILE[what]
    sent = begun(client)
    lying.gives(make(lying, sent["nonce"]))
    refused(back(client, sent["state"]), 401, words)
    with hub_of(client).db.reading() as session:
        assert session.scalars(select(User)).all() == []


def test_an_answer_of_another_provider_is_refused(client: TestClient, lying: ScriptedProvider) -> None:
    """RFC 9207: a code of one provider, sent to another, is known to that one."""
    sent = begun(client)
    lying.gives(lying.token(nonce=sent["nonce"]))
    refused(back(client, sent["state"], iss="https://evil.example"), 403, "from another provider")
    assert "/token" not in lying.asked


def test_a_provider_that_says_who_it_is_does_so_each_time(client: TestClient, lying: ScriptedProvider) -> None:
    lying.behave(authorization_response_iss_parameter_supported=True)
    sent = begun(client)
    lying.gives(lying.token(nonce=sent["nonce"]))
    refused(back(client, sent["state"]), 403, "does not say which provider it is from")
    sent = begun(client)
    lying.gives(lying.token(nonce=sent["nonce"]))
    assert back(client, sent["state"], iss=lying.issuer).status_code == 200


def test_what_the_provider_refuses_is_told(client: TestClient, lying: ScriptedProvider) -> None:
    sent = begun(client)
    answer = client.get(
        BACK, params={"error": "access_denied", "error_description": "<b>No</b>", "state": sent["state"]}
    )
    refused(answer, 403, "access_denied. &lt;b&gt;No&lt;/b&gt;")
    sent = begun(client)
    lying.answers["/token"] = json_answer({"error": "invalid_grant"}, 400)
    refused(back(client, sent["state"]), 403, "gives no token for the code: invalid_grant")


ELSEWHERE = "http://169.254.169.254/latest/meta-data"
BAD_KEYS = {
    "redirects to a private address": (redirect(ELSEWHERE), "redirects, which is not followed"),
    "is not found": (json_answer({}, 404), "its keys answer 404"),
    "is no JSON": (redirect("/"), "redirects"),
    "is a list": (json_answer([]), "no JSON object"),
    "holds no list": (json_answer({"keys": {}}), "no list of keys"),
    "holds nonsense": (json_answer({"keys": [1, {"kty": "?"}, {"kty": "oct", "k": "AAAA"}]}), "does not have"),
    "drips for ever": (endless(0.05, b" "), "no whole answer came within 1 seconds"),
    "pours for ever": (endless(0, b" " * 65536), "its answer is larger than 1 MB"),
}


@pytest.mark.parametrize("what", BAD_KEYS)
def test_keys_that_cannot_be_had_are_told(
    client: TestClient, lying: ScriptedProvider, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "SECONDS", 1.0)
    lying.answers["/jwks"], words = BAD_KEYS[what]
    sent = begun(client)
    lying.gives(lying.token(nonce=sent["nonce"]))
    began = time.monotonic()
    answer = back(client, sent["state"])
    assert time.monotonic() - began < 10
    refused(answer, 401 if words == "does not have" else 503, words)


BAD_DOCUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "of another issuer": ({"issuer": "https://evil.example"}, "of another issuer"),
    "keys at a private host": ({"jwks_uri": "http://10.0.0.1/jwks"}, "a machine of a private network"),
    "keys in a file": ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri"),
    "no keys": ({"jwks_uri": None}, "jwks_uri"),
    "nowhere to go": ({"authorization_endpoint": None}, "names no authorization_endpoint"),
}


@pytest.mark.parametrize("what", BAD_DOCUMENTS)
def test_a_document_that_leads_elsewhere_is_refused(client: TestClient, lying: ScriptedProvider, what: str) -> None:
    words, told = BAD_DOCUMENTS[what]
    lying.behave(**words)
    answer = client.get("/session/provider")
    if answer.status_code == 303:
        sent = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        lying.gives(lying.token(nonce=sent["nonce"]))
        answer = back(client, sent["state"])
    refused(answer, 503, told)


def test_while_the_provider_is_away_keys_work(client: TestClient, lying: ScriptedProvider) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    hub_of(client).provider = Provider(away)
    answer = client.get("/session/provider")
    refused(answer, 503, f"The sign-in provider {away} cannot be asked")
    assert "sign in with a key" in answer.text
    with hub_of(client).db.session() as session:
        raw = keys.create(session, teams.named(session, "vision"), name="k", scopes=["read"])[1]
    signed = client.post("/session", data={"key": raw}, headers={"Origin": "http://testserver"})
    assert signed.status_code == 303 and COOKIE in signed.cookies


def test_a_new_key_of_the_provider_is_fetched_and_not_for_every_stranger(
    client: TestClient, lying: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert come(client, lying).status_code == 200
    lying.key = jwk.RSAKey.generate_key(2048, parameters={"kid": "next", "use": "sig"})
    lying.answers["/jwks"] = json_answer({"keys": [lying.key.as_dict(private=False)]})
    monkeypatch.setattr(provider, "AGAIN_SECONDS", 0.0)
    sent = begun(client)
    lying.gives(lying.token({"kid": "next"}, nonce=sent["nonce"]))
    assert back(client, sent["state"]).status_code == 200
    monkeypatch.setattr(provider, "AGAIN_SECONDS", 30.0)
    before = lying.asked.count("/jwks")
    for _ in range(3):
        sent = begun(client)
        lying.gives(lying.token({"kid": "made up"}, nonce=sent["nonce"]))
        refused(back(client, sent["state"]), 401, "does not have")
    assert lying.asked.count("/jwks") == before


def test_groups_are_mapped_again_and_who_has_none_any_more_loses_all(
    client: TestClient, lying: ScriptedProvider
) -> None:
    """Who left the company must not come in by an old session or key; what they made stays the team's."""
    assert come(client, lying, email="ada@example.com").status_code == 200
    made = client.post(
        "/api/v1/models", json={"name": "Hers", "visibility": "private"}, headers={"Origin": "http://testserver"}
    )
    assert made.status_code == 201, made.text
    first = client.cookies[COOKIE]
    with hub_of(client).db.session() as session:
        user = session.scalars(select(User)).one()
        _, raw = keys.issue(session, LOCAL, str(user.team_id), name="laptop", scopes=["convert"], user_id=user.id)
    as_key = {"Authorization": f"Bearer {raw}"}
    assert [item["name"] for item in client.get("/api/v1/models", headers=as_key).json()["items"]] == ["Hers"]

    client.cookies.clear()
    assert come(client, lying, groups=["leads"]).status_code == 200
    assert client.get("/api/v1/teams/me").json()["scopes"] == ["admin"]

    client.cookies.clear()
    refused(come(client, lying, groups=["canteen"]), 403, "the provider lists &#39;canteen&#39;")
    client.cookies.set(COOKIE, first)
    assert client.get("/api/v1/teams/me").status_code == 401
    assert client.get("/api/v1/teams/me", headers=as_key).status_code == 401
    with hub_of(client).db.reading() as session:
        assert [key.revoked is not None for key in session.scalars(select(Key).where(Key.user_id == user.id))] == [
            True
        ] * 2
        team = teams.named(session, "vision")
        assert search.count(session, of_team(team.id, team.slug), Model) == 1
        told = [
            row.action for row in session.scalars(select(AuditEntry).where(AuditEntry.user_name == "ada@example.com"))
        ]
    assert "session.begin" in told and "model.create" in told


def test_who_is_shut_out_is_so_at_once(client: TestClient, lying: ScriptedProvider) -> None:
    assert come(client, lying, email="ada@example.com").status_code == 200
    with hub_of(client).db.session() as session:
        users.disable(session, LOCAL, "ada@example.com")
    assert client.get("/api/v1/teams/me").status_code == 401
    client.cookies.clear()
    refused(come(client, lying), 403, "is shut out of this hub")
    with hub_of(client).db.session() as session:
        users.enable(session, LOCAL, "u1")
    assert come(client, lying).status_code == 200


def test_groups_held_elsewhere_are_asked_for_and_are_of_the_same_user(
    client: TestClient, lying: ScriptedProvider
) -> None:
    lying.behave(userinfo_endpoint=f"{lying.issuer}/me")
    lying.answers["/me"] = json_answer({"sub": "u2", "groups": ["leads"]})
    refused(come(client, lying, groups=None), 401, "about another user")
    lying.answers["/me"] = json_answer({"sub": "u1", "groups": ["leads"], "email": "ada@example.com"})
    assert come(client, lying, groups=None).status_code == 200
    me = client.get("/api/v1/teams/me").json()
    assert (me["scopes"], me["user_name"]) == (["admin"], "ada@example.com")
