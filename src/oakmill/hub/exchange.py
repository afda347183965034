"""A CI job's identity token for a key of a quarter of an hour (RFC 8693), where the operator trusts its repository."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from oakmill.errors import Forbidden, TokenRefused
from oakmill.hub.oidc import tokens
from oakmill.hub.oidc.provider import Provider
from oakmill.hub.state import Hub
from oakmill.registry import audit, keys, teams
from oakmill.registry.callers import ANONYMOUS, rank
from oakmill.registry.identifiers import LONGEST
from oakmill.registry.tables import EndedSession, KeyOrigin, Team
from oakmill.settings import Repository
from oakmill.storage.database import now

SECONDS = 900
LONGEST_SECONDS = 366 * 86400
"""For which it is kept that a token was exchanged."""
_RUN = ("sha", "ref", "actor", "user_login", "run_id", "pipeline_id", "job_id")
"""Claims of either CI that tell in the audit log which run it was."""


@dataclass(frozen=True)
class Given:
    """The key that was given, which is told this once, and what it allows until when."""

    raw: str
    scope: str
    expires: datetime


def exchange(at: Hub, token: str, *, wanted: str | None, address: str) -> Given:
    """A key for who holds the token.

    Raises:
        TokenRefused: it is not to be believed, was exchanged before, or is not of a trusted repository.
        Forbidden: `wanted` is more than the repository is trusted with.
        TooManyTries: too many refused tokens came from that address.
        ProviderUnreachable: the issuer's keys cannot be asked for.
    """
    try:
        claims = _believed(at, token)
        trusted = _trusted(at.settings.ci_repositories, claims)
    except TokenRefused:
        at.tries.check(address)
        at.tries.failed(address)
        raise
    scope = wanted or trusted.scope
    if rank(scope) > rank(trusted.scope):
        raise Forbidden(
            f"The repository {trusted.repository} is trusted with {trusted.scope}, not with {scope}.",
            subject=trusted.repository,
            remedy="Ask for less, or ask the operator to change OAKMILL_CI_REPOSITORIES.",
        )
    return _give(at, trusted, claims, token, scope, address)


def audience(at: Hub) -> str:
    """What a token has to be for: this hub and no other that trusts the same repository."""
    return (at.settings.public_url or "oakmill").rstrip("/")


def _believed(at: Hub, token: str) -> dict[str, Any]:
    issuer = tokens.claimed_issuer(token)
    provider: Provider | None = at.ci.get(issuer)
    if provider is None:
        raise TokenRefused(
            f"The identity token is from {issuer!r:.200}, which this hub does not trust.",
            remedy="The operator names issuer and repository in OAKMILL_CI_REPOSITORIES.",
        )
    return tokens.verified(provider, token, audience=audience(at))


def _trusted(repositories: tuple[Repository, ...], claims: Mapping[str, Any]) -> Repository:
    """The first entry that the token fits."""
    found = next((item for item in repositories if item.issuer_address == claims["iss"] and _fits(item, claims)), None)
    if found is None:
        named = [claims.get(name) for name in ("repository", "project_path") if name in claims]
        raise TokenRefused(
            f"No entry of OAKMILL_CI_REPOSITORIES fits the repository {(named or ['(none)'])[0]!r:.200} "
            f"at {claims.get('ref', '(none)')!r:.200}.",
            remedy="Ask the operator of this hub to add it.",
        )
    return found


def _fits(item: Repository, claims: Mapping[str, Any]) -> bool:
    """Whether a token is of the repository, and of the very one if its number is named, and of the branch or tag."""
    numbered = item.id is None or str(claims.get(item.id_claim)) == item.id
    return claims.get(item.claim) == item.repository and numbered and item.ref in (None, *_refs(item, claims))


def _refs(item: Repository, claims: Mapping[str, Any]) -> tuple[Any, ...]:
    """What an entry may call the ref of a token's job.

    GitLab's `ref` is a bare name, which a tag has as well as a branch, and the branch that somebody wants merged from a
    fork: it counts for the repository's own branch alone. All others are named whole, as `ref_path` has them.
    """
    bare, whole = claims.get("ref"), claims.get("ref_path")
    if item.kind == "github":
        return (bare,)
    return (whole, bare) if whole == f"refs/heads/{bare}" else (whole,)


def _give(at: Hub, trusted: Repository, claims: Mapping[str, Any], token: str, scope: str, address: str) -> Given:
    expires = now() + timedelta(seconds=SECONDS)
    name = trusted.repository[:LONGEST]
    with at.db.session() as session:
        _use_up(session, claims, token)
        team: Team = teams.named(session, trusted.team)
        by = replace(ANONYMOUS, key_name=name, team_id=team.id, team_slug=team.slug, address=address)
        key, raw = keys.issue(
            session, by, team.id, name=name, scopes=[scope], expires=expires, origin=KeyOrigin.EXCHANGE
        )
        run = {word: said[:LONGEST] for word in _RUN if (said := str(claims.get(word, ""))) and said.isprintable()}
        audit.record(session, replace(by, key_id=key.id), "key.exchange", key.id, issuer=str(claims["iss"]), **run)
    return Given(raw, scope, expires)


def _use_up(session: Session, claims: Mapping[str, Any], token: str) -> None:
    """A token is good once: whoever finds it in a log has nothing."""
    what = f"{claims['iss']} {claims['jti']}" if "jti" in claims else token
    mark = hashlib.sha256(f"exchange {what}".encode()).hexdigest()
    left = min(claims["exp"] - int(now().timestamp()), LONGEST_SECONDS)  # a number may be larger than any date
    until = now() + timedelta(seconds=left + tokens.LEEWAY)
    try:
        with session.begin_nested():
            session.add(EndedSession(id=mark, until=until))
    except IntegrityError:
        raise TokenRefused(
            "The identity token is refused: it was exchanged before.", remedy="Ask your CI for a new one in each job."
        ) from None
