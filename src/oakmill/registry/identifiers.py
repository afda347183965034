"""Identifiers, slugs and addresses: what rows are called, in forms that Luxonis' clients take."""

from __future__ import annotations

import re
import secrets
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Literal

from oakmill.errors import SpecError

Kind = Literal["aim", "aimv", "aimi", "aimf", "aij", "aid", "aik", "aiu", "ait", "aip", "aiw", "aix"]
"""A model, version or variant, instance, file, job, dataset, key, upload, team, user (person), webhook, trash."""

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Letters and digits that nobody takes for one another."""
LONGEST = 255
ALIAS = r"[a-z][a-z0-9_-]{0,31}"
"""What an alias is called, as a regular expression."""
_HASH = re.compile(r"[0-9a-f]{4,64}")
_ALIASED = re.compile(rf"(.+)@({ALIAS})")


def letters(count: int) -> str:
    """That many letters that nobody guesses."""
    return "".join(secrets.choice(ALPHABET) for _ in range(count))


def new_id(kind: Kind) -> str:
    """An identifier that was never given before."""
    return f"{kind}_{letters(22)}"


def is_id(text: str) -> bool:
    """Whether Luxonis' clients take it for an identifier, and so never look it up as a slug."""
    if text.startswith("ai") and "_" in text:
        return True
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def checked_name(name: str, what: str = "name") -> str:
    """The name without spaces around it.

    Raises:
        SpecError: It is empty, too long, or has a character that an address cannot hold.
    """
    name = name.strip()
    if not name or len(name) > LONGEST:
        raise SpecError(f"The {what} has {len(name)} characters; it takes 1 to {LONGEST}.", subject=name[:80])
    wrong = next((c for c in name if c in "/:" or unicodedata.category(c).startswith("C")), None)
    if wrong is not None:
        raise SpecError(
            f"The {what} {name!r} holds {wrong!r}.",
            subject=name,
            remedy='Leave out "/", ":" and control characters; they part an address: team/model:variant:version.',
        )
    return name


def checked_file_name(name: str) -> str:
    """The name of a file, which may lie in sub-folders of its own.

    Raises:
        SpecError: It leads elsewhere, is empty or too long, or has a character that no name has.
    """
    parts = name.split("/")
    if len(name) > LONGEST or ".." in parts or "." in parts:
        raise SpecError(f"{name[:80]!r} is no name of a file.", subject=name[:80], remedy="Name it in its own folder.")
    return "/".join(checked_name(part, "file's name") for part in parts)


def slugify(name: str) -> str:
    """The name in an address: lower-case, spaces become dashes, and no more, for Luxonis' client derives the same.

    A slug that its clients would take for an identifier ("ai_detector") begins with "m-", and one that would end as an
    alias does ("net@prod") has a dash there.

    Raises:
        SpecError: The name cannot be in an address.
    """
    slug = checked_name(name).lower().replace(" ", "-")[:LONGEST]
    while aliased := _ALIASED.fullmatch(slug):
        slug = "-".join(aliased.groups())
    return f"m-{slug}"[:LONGEST] if is_id(slug) else slug


@dataclass(frozen=True)
class Address:
    """Where something is in the registry; what is left out means the latest.

    What is all digits may be a version or a hash, and stands as both. An alias says which version.
    """

    model: str
    team: str | None = None
    variant: str | None = None
    version: str | None = None
    hash: str | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `[team/]model[:variant[:version or short hash]]`, or `[team/]model[:variant]@alias`.

        Raises:
            SpecError: It is not of that form.
        """
        team, slash, rest = text.strip().rpartition("/")
        aliased = _ALIASED.fullmatch(rest)
        rest, alias = aliased.groups() if aliased else (rest, None)
        parts = rest.split(":")
        if not all(parts) or len(parts) > (2 if alias else 3) or "/" in team or bool(slash) != bool(team):
            raise SpecError(
                f"{text!r} is not an address.",
                subject=text,
                remedy="Write [team/]model[:variant[:version or short hash]], or [team/]model[:variant]@alias.",
            )
        model, variant, last = [*parts, None, None][:3]
        short = last if last and _HASH.fullmatch(last) else None
        version = last if short is None or short.isdigit() else None
        return cls(str(model), team or None, variant, version, short, alias)

    def __str__(self) -> str:
        parts = [self.model, self.variant, self.version or self.hash]
        named = (f"{self.team}/" if self.team else "") + ":".join(part for part in parts if part)
        return f"{named}@{self.alias}" if self.alias else named
