"""Signing in at the operator's OpenID provider: away with a ticket in a cookie, and back with a code that it fits."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from fastapi import Request, Response
from sqlalchemy.exc import IntegrityError

from oakmill.errors import NoTeam, NotFound, SignInRefused, TokenRefused, UserDisabled
from oakmill.hub import links, sessions
from oakmill.hub.oidc import code, groups
from oakmill.hub.oidc.provider import Provider
from oakmill.hub.state import Hub
from oakmill.registry import users
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import LONGEST
from oakmill.registry.tables import EndedSession
from oakmill.storage.database import now

COOKIE = "oakmill_sign_in"
PATH = "/session/provider"
BACK = f"{PATH}/back"
SECONDS = 600
_PURPOSE = "provider"
_AGAIN = "Begin again: Sign in."


def begin(at: Hub, request: Request, back: str) -> tuple[str, str]:
    """Where the browser goes to sign in, and the cookie that it comes back with.

    Raises:
        ProviderUnreachable: the provider cannot be asked.
        NotFound: the operator named none.
    """
    ticket = code.Ticket.new()
    where = code.address(provider_of(at), at.settings, ticket, _redirect_uri(at, request))
    return where, links.sign(at.secret, _PURPOSE, {**asdict(ticket), "back": back}, seconds=SECONDS)


def keep(at: Hub, request: Request, response: Response, cookie: str) -> None:
    """Give the browser the cookie. It is sent when the provider sends the browser back, so it is not a strict one."""
    secure = sessions.is_secure(at, request)
    response.set_cookie(COOKIE, cookie, max_age=SECONDS, path=PATH, httponly=True, samesite="lax", secure=secure)


def finish(at: Hub, request: Request) -> tuple[Caller, str]:
    """Who came back from the provider, and where they were before.

    Raises:
        SignInRefused: the sign-in was not begun in this browser, took too long, is over already, or was refused.
        TokenRefused: the provider's token is not to be believed.
        NoTeam, UserDisabled: the user may not come in.
        ProviderUnreachable: the provider cannot be asked.
    """
    provider, query = provider_of(at), request.query_params
    said = _said(at, request.cookies.get(COOKIE, ""))
    ticket = code.Ticket(said["state"], said["nonce"], said["verifier"])
    if not hmac.compare_digest(query.get("state", "").encode(), ticket.state.encode()):
        raise SignInRefused(
            "The answer belongs to another sign-in (its state is not the one that was sent).", remedy=_AGAIN
        )
    given = code.require_from(provider, query)
    _use_up(at, ticket)
    claims = code.claims(provider, at.settings, given, ticket, _redirect_uri(at, request))
    address = request.client.host if request.client else ""
    return _come_in(at, provider, claims, address), said["back"]


def provider_of(at: Hub) -> Provider:
    """The provider that people sign in at.

    Raises:
        NotFound: the operator named none.
    """
    if at.provider is None:
        raise NotFound("This hub has no sign-in provider.", remedy="Sign in with a key.")
    return at.provider


def sign_out_address(at: Hub, request: Request) -> str | None:
    """Where one signs out at the provider too; None where that is not known."""
    return (
        code.sign_out_address(at.provider, at.settings, f"{base_address(at, request)}/session") if at.provider else None
    )


def base_address(at: Hub, request: Request) -> str:
    """The hub's address, as its operator says it, or else as it was asked for."""
    return (at.settings.public_url or str(request.base_url)).rstrip("/")


def _redirect_uri(at: Hub, request: Request) -> str:
    return base_address(at, request) + BACK


def _said(at: Hub, cookie: str) -> dict[str, Any]:
    try:
        return links.read(at.secret, _PURPOSE, cookie)
    except NotFound:
        raise SignInRefused(
            f"This sign-in was not begun in this browser, or more than {SECONDS // 60} minutes ago.", remedy=_AGAIN
        ) from None


def _use_up(at: Hub, ticket: code.Ticket) -> None:
    """A ticket is good once."""
    mark = hashlib.sha256(f"{_PURPOSE} {ticket.state}".encode()).hexdigest()
    try:
        with at.db.session() as session:
            session.add(EndedSession(id=mark, until=now() + timedelta(seconds=SECONDS)))
    except IntegrityError:
        raise SignInRefused("This sign-in came to its end already.", remedy=_AGAIN) from None


def _come_in(at: Hub, provider: Provider, claims: Mapping[str, Any], address: str) -> Caller:
    """Let in who the claims are about, as their groups say; shut out where they say nothing any more."""
    person = person_of(provider.issuer, claims)
    theirs = groups.listed(claims, at.settings.oidc_groups_claim)
    until = now() + timedelta(days=at.settings.oidc_days)
    with at.db.session() as session:
        grant = groups.granted(theirs, at.settings.oidc_groups)
        user, key = users.come_in(session, person, grant, until=until, address=address)
        if key is not None:
            return sessions.holder(session, key.id, None, address)
        disabled = user.disabled is not None
    if disabled:  # outside: what was ended stays so
        raise UserDisabled(f"{person.email} is shut out of this hub.", remedy="Ask the team's admin, or the operator.")
    raise NoTeam(
        f"No group of {person.email} leads to a team of this hub; the provider lists {_some(theirs)}.",
        subject=person.email,
        remedy="Ask for a group of those in the hub's setting OAKMILL_OIDC_GROUPS.",
    )


def person_of(issuer: str, claims: Mapping[str, Any]) -> users.Person:
    """Who the claims are about; shown by their e-mail, unless the provider says that it is not verified.

    Raises:
        TokenRefused: what the provider calls them is too long, or holds control characters.
    """
    subject = str(claims["sub"])
    if not 0 < len(subject) <= LONGEST or not subject.isprintable():
        raise TokenRefused(
            f"The token's subject has {len(subject)} characters; it takes 1 to {LONGEST} printable ones."
        )
    email = claims.get("email") if claims.get("email_verified") is not False else None
    shown = next((word for word in (email, claims.get("preferred_username"), subject) if _is_plain(word)), subject)
    name = claims.get("name")
    return users.Person(issuer, subject, str(shown), name if isinstance(name, str) and _is_plain(name) else "")


def _is_plain(word: Any) -> bool:
    return isinstance(word, str) and bool(word.strip()) and word.isprintable() and len(word) <= LONGEST


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "none"
