"""Who asks: the holder of a key, nobody in particular, or the operator on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from oakmill.errors import Forbidden, NoKey
from oakmill.settings import Settings

Scope = Literal["read", "convert", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "convert", "admin")
"""Each implies those before it."""


def rank(scope: str) -> int:
    """How strong a scope is."""
    return next(index for index, word in enumerate(SCOPES) if word == scope)


@dataclass(frozen=True)
class Caller:
    """Who asks, and for what a key was given to them. `everywhere` is the operator, who sees all teams.

    `session_id` is the web session in which they ask, if it is one; `user_id` and `user_name` who it is, where the key
    is a user's own. `requests_per_minute` is what the key may make, None as the hub has it. `ends` is when a key is
    over that is no user's: theirs are renewed when they sign in.
    """

    key_id: str | None
    key_name: str
    team_id: str | None
    team_slug: str
    scopes: frozenset[str]
    model_id: str | None = None
    address: str = ""
    sees_public: bool = True
    everywhere: bool = False
    last_used: datetime | None = None
    session_id: str | None = None
    user_id: str | None = None
    user_name: str = ""
    requests_per_minute: int | None = None
    ends: datetime | None = None

    @property
    def owner_id(self) -> str | None:
        """Who owns what this caller makes: a user, with all their keys, or else the key."""
        return self.user_id or self.key_id

    @property
    def is_known(self) -> bool:
        """Whether a key was given, or it is the operator."""
        return self.everywhere or self.key_id is not None

    def may(self, scope: Scope) -> bool:
        """Whether the key allows it."""
        return any(held in self.scopes for held in SCOPES[SCOPES.index(scope) :])

    def may_for_whole_team(self, scope: Scope) -> bool:
        """Whether the key allows it, and is not narrowed to one model."""
        return self.may(scope) and self.model_id is None

    def may_change(self, team_id: str) -> bool:
        """Whether the key allows changing what the caller sees of that team's."""
        return self.may("convert") and (self.everywhere or self.team_id == team_id)

    def require(self, scope: Scope) -> None:
        """Go on only when the key allows it.

        Raises:
            NoKey: No key was given.
            Forbidden: The key does not allow it.
        """
        if not self.is_known:
            raise NoKey(remedy="Send a key: Authorization: Bearer oak_...")
        if not self.may(scope):
            raise Forbidden(
                f"The key {self.key_name!r} does not allow {scope}; it allows {', '.join(sorted(self.scopes))}.",
                subject=self.key_name,
                remedy=f"Use a key with the scope {scope}.",
            )

    def require_whole_team(self) -> None:
        """Go on only when the key is not narrowed to one model.

        Raises:
            Forbidden: It is.
        """
        if self.model_id is not None:
            raise Forbidden(
                f"The key {self.key_name!r} is for the model {self.model_id} only.",
                subject=self.key_name,
                remedy="Use a key of the whole team.",
            )

    def require_lasting(self, what: str, until: datetime | None = None) -> None:
        """Go on only when the key lasts as long as what is made with it, until then or for ever.

        Raises:
            Forbidden: It would outlive the key.
        """
        if self.ends is not None and (until is None or until > self.ends):
            raise Forbidden(
                f"The key {self.key_name!r} ends on {self.ends:%Y-%m-%d %H:%M} UTC, and {what} would outlive it.",
                subject=self.key_name,
                remedy="Use a key that lasts as long.",
            )

    def own_team(self) -> str:
        """The team that a new row belongs to.

        Raises:
            NoKey: Nobody in particular asks.
            Forbidden: The operator has to name the team.
        """
        if self.team_id is not None:
            return self.team_id
        if not self.is_known:
            raise NoKey(remedy="Send a key: Authorization: Bearer oak_...")
        raise Forbidden("The operator belongs to no team.", remedy="Name the team that it is to belong to.")


ANONYMOUS = Caller(None, "", None, "", frozenset(), sees_public=False)
"""Nobody in particular, where the operator lets nobody in without a key."""

LOCAL = Caller(None, "operator", None, "", frozenset({"admin"}), everywhere=True)
"""The operator on this machine, at the command line."""

HOUSEKEEPING = replace(LOCAL, key_name="housekeeping")
"""The hub itself, when it removes what its operator's rules say is to go."""


def anonymous(settings: Settings, address: str = "") -> Caller:
    """Who comes without a key: sees what is public where the operator allows it, else nothing."""
    may_read = frozenset({"read"}) if settings.public_without_key else frozenset[str]()
    return replace(ANONYMOUS, scopes=may_read, sees_public=settings.public_without_key, address=address)


def of_team(team_id: str, team_slug: str, address: str = "") -> Caller:
    """The operator, acting for a team."""
    return replace(LOCAL, team_id=team_id, team_slug=team_slug, address=address)
