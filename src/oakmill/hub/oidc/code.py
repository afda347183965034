"""The authorisation code: where the browser is sent for one, with PKCE, and what the provider gives for it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from oakmill.errors import SignInRefused, TokenRefused
from oakmill.hub.oidc import tokens
from oakmill.hub.oidc.provider import Document, Provider
from oakmill.settings import Settings

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_AGAIN = "Begin again: Sign in."


@dataclass(frozen=True)
class Ticket:
    """One sign-in on its way: what comes back (state), is signed (nonce), and is told at the end (verifier)."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Ticket:
        """A ticket that nobody guesses."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


def address(provider: Provider, settings: Settings, ticket: Ticket, redirect_uri: str) -> str:
    """Where at the provider the browser goes.

    Raises:
        ProviderUnreachable: it cannot be asked for that.
    """
    where = provider.document().authorization_endpoint
    if where is None:
        raise provider.way.unreachable("its discovery document names no authorization_endpoint")
    found: str = prepare_grant_uri(
        where,
        client_id=settings.oidc_client_id,
        response_type="code",
        redirect_uri=redirect_uri,
        scope=list(settings.oidc_scopes),
        state=ticket.state,
        nonce=ticket.nonce,
        code_challenge=create_s256_code_challenge(ticket.verifier),
        code_challenge_method="S256",
    )
    return found


def require_from(provider: Provider, query: Mapping[str, str]) -> str:
    """The code that came back, once it is certain that it is this provider who answers (RFC 9207).

    Raises:
        SignInRefused: another one answers, or it answers with an error.
    """
    issuer = query.get("iss")
    known = provider.known_document()
    if issuer is None and known and known.authorization_response_iss_parameter_supported:
        raise SignInRefused("The answer does not say which provider it is from, which this one does.", remedy=_AGAIN)
    if issuer not in (None, provider.issuer):
        raise SignInRefused(
            f"The answer is from another provider, {issuer!r:.200}, than the one that was asked, {provider.issuer}.",
            remedy=_AGAIN,
        )
    if error := query.get("error"):
        more = query.get("error_description", "")
        raise SignInRefused(f"{provider.issuer} refuses: {error[:80]}. {more[:300]}".strip(), remedy=_AGAIN)
    if not query.get("code"):
        raise SignInRefused("The answer holds no code.", remedy=_AGAIN)
    return query["code"]


def claims(provider: Provider, settings: Settings, code: str, ticket: Ticket, redirect_uri: str) -> dict[str, Any]:
    """What the provider says of who signed in, in the token and where it keeps the rest.

    Raises:
        SignInRefused: the provider takes the code for none of its own, or for one that was used.
        TokenRefused: its token is not to be believed.
        ProviderUnreachable: it cannot be asked.
    """
    document = provider.document()
    given = _given(provider, document, settings, code, ticket, redirect_uri)
    access = given.get("access_token")
    found = tokens.verified(
        provider,
        str(given.get("id_token", "")),
        audience=settings.oidc_client_id,
        nonce=ticket.nonce,
        access_token=access if isinstance(access, str) else None,
    )
    wanted = {settings.oidc_groups_claim, "email"}
    if document.userinfo_endpoint and isinstance(access, str) and not wanted <= found.keys():
        found = _more(provider, document.userinfo_endpoint, access, found)
    return found


def _given(
    provider: Provider, document: Document, settings: Settings, code: str, ticket: Ticket, redirect_uri: str
) -> dict[str, Any]:
    """What the provider gives for a code."""
    if document.token_endpoint is None:
        raise provider.way.unreachable("its discovery document names no token_endpoint")
    body = prepare_token_request(
        "authorization_code", redirect_uri=redirect_uri, code=code, code_verifier=ticket.verifier
    )
    auth = _client(settings, document.token_endpoint_auth_methods_supported)
    where, headers, body = auth.prepare("POST", document.token_endpoint, dict(_FORM), body)
    said = provider.post(where, body.encode(), headers)
    if said.status >= 500:
        raise provider.way.unreachable(f"{document.token_endpoint} answers {said.status}")
    if said.status != 200:
        why = str(said.body.get("error_description") or said.body.get("error") or said.status)[:300]
        raise SignInRefused(f"{provider.issuer} gives no token for the code: {why}.", remedy=_AGAIN)
    return said.body


def _client(settings: Settings, methods: tuple[str, ...]) -> ClientAuth:
    """How the hub says who it is: with its secret in the header where the provider takes that, else in the form."""
    ours, secret = settings.oidc_client_id, settings.oidc_client_secret
    if secret is None:
        return ClientAuth(ours, None, "none")
    if "client_secret_basic" in methods:
        return ClientAuth(quote(ours, safe=""), quote(secret, safe=""), "client_secret_basic")
    return ClientAuth(ours, secret, "client_secret_post")


def _more(provider: Provider, where: str, access: str, found: dict[str, Any]) -> dict[str, Any]:
    """With what the provider keeps of the same user at another address; the token's own word counts."""
    said = provider.way.ask(where, headers={"Authorization": f"Bearer {access}"})
    if said.status != 200:
        raise provider.way.unreachable(f"{where} answers {said.status}")
    if said.body.get("sub") != found["sub"]:
        raise TokenRefused("The provider's userinfo is about another user than its token.", remedy=_AGAIN)
    return said.body | found


def sign_out_address(provider: Provider, settings: Settings, back: str) -> str | None:
    """Where one signs out at the provider too; None where it has no such place, or was not asked yet."""
    known = provider.known_document()
    if known is None or known.end_session_endpoint is None:
        return None
    query = {"client_id": settings.oidc_client_id, "post_logout_redirect_uri": back}
    return str(add_params_to_uri(known.end_session_endpoint, list(query.items())))
