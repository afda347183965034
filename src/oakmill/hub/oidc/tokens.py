"""Whether a token is what it says: signed by the issuer's own key, for this hub, in force, for this very sign-in."""

from __future__ import annotations

import json
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError

from oakmill.errors import TokenRefused
from oakmill.hub.oidc.provider import Provider

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""All have two keys: whoever can check a token cannot make one."""
LONGEST = 32_000
LEEWAY = 60
"""Seconds by which clocks may differ."""


def verified(
    provider: Provider,
    token: str,
    *,
    audience: str,
    nonce: str | None = None,
    access_token: str | None = None,
) -> dict[str, Any]:
    """What a token claims, once all that can be checked has been.

    Raises:
        TokenRefused: it is not to be believed; why is told.
        ProviderUnreachable: the provider's keys cannot be asked for.
    """
    header = _header(token)
    key = provider.key(_kid(header))
    if key is None:
        raise _refused(f"it is signed with a key {header.get('kid')!r:.80} that {provider.issuer} does not have")
    options: Any = {
        "iss": {"essential": True, "value": provider.issuer},
        "aud": {"essential": True, "value": audience},
        "exp": {"essential": True},
    }
    try:
        read = jwt.decode(token, key, algorithms=ALGORITHMS)
        params = {"nonce": nonce, "client_id": audience if nonce else None, "access_token": access_token}
        claims = CodeIDToken(read.claims, read.header, options, params)
        claims.validate(leeway=LEEWAY)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise _refused(_in_words(error, provider.issuer, audience)) from error
    return dict(claims)


def claimed_issuer(token: str) -> str:
    """Who the token says it is from; not to be believed yet.

    Raises:
        TokenRefused: it is no token, or says nothing of that.
    """
    _header(token)
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload or b"")
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise _refused("it holds no claims") from error
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    if not isinstance(issuer, str):
        raise _refused("it does not say 'iss'")
    return issuer


def _header(token: str) -> dict[str, Any]:
    if len(token) > LONGEST:
        raise _refused(f"it has {len(token)} characters, more than {LONGEST}")
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise _refused("it is no signed token (JWS) of a known form") from error
    if header.get("alg") not in ALGORITHMS:
        raise _refused(f"it is signed by {header.get('alg')!r:.40}, which proves nothing of who signed it")
    return dict(header)


def _kid(header: dict[str, Any]) -> str | None:
    kid = header.get("kid")
    return None if kid is None else str(kid)


def _in_words(error: Exception, issuer: str, audience: str) -> str:
    claim = getattr(error, "claim", "")
    if isinstance(error, ExpiredTokenError):
        return "it has expired"
    if isinstance(error, MissingClaimError):
        return f"it does not say {claim!r}"
    if isinstance(error, InvalidClaimError):
        meant = {
            "aud": f"it is for another audience than {audience!r}",
            "iss": f"it is from another issuer than {issuer}",
            "azp": f"it was given to another application than {audience!r}",
            "nonce": "it belongs to another sign-in (its nonce is not the one that was sent)",
            "at_hash": "it belongs to another access token",
        }
        return meant.get(claim, f"its claim {claim!r} does not hold")
    return "its signature does not fit"


def _refused(why: str) -> TokenRefused:
    return TokenRefused(f"The identity token is refused: {why}.", remedy="Sign in again, or ask for a new token.")
