"""Whom a provider's groups let in: the claim that lists them, and the operator's mapping to a team and a scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oakmill.errors import TokenRefused
from oakmill.registry.callers import rank
from oakmill.registry.users import Grant

ANYBODY = "*"
"""In the mapping, whoever signs in at the provider."""


def listed(claims: Mapping[str, Any], claim: str) -> tuple[str, ...]:
    """The groups that a claim lists; none where there is no such claim.

    Raises:
        TokenRefused: it is not a list of names.
    """
    found = claims.get(claim, [])
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise TokenRefused(
            f"The provider's claim {claim!r} is not a list of group names.",
            subject=claim,
            remedy="The operator names the claim that is one in OAKMILL_OIDC_GROUPS_CLAIM, or changes it at the "
            "provider.",
        )
    return tuple(found)


def granted(groups: tuple[str, ...], mapping: Mapping[str, str]) -> Grant | None:
    """The team of the first entry that fits, and the strongest scope of all that give it; None: no entry fits."""
    fitting = [to.rsplit(":", 1) for group, to in mapping.items() if group == ANYBODY or group in groups]
    if not fitting:
        return None
    team = fitting[0][0]
    return Grant(team, max((scope for name, scope in fitting if name == team), key=rank))
