"""Versions by semver: read leniently (1, 1.0, v1.0.0-rc.1), put in order, counted up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from oakmill.errors import SpecError

_FORM = re.compile(r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_LONGEST = 64
FIRST = "0.1.0"


@total_ordering
@dataclass(frozen=True)
class Semver:
    """A version in its place among others; one with a pre-release stands before the one without."""

    major: int
    minor: int = 0
    patch: int = 0
    prerelease: str = ""

    @classmethod
    def parse(cls, text: str) -> Semver:
        """Read a version.

        Raises:
            SpecError: It is none.
        """
        match = _FORM.fullmatch(text)
        if match is None or len(text) > _LONGEST:
            raise SpecError(
                f"{text!r} is not a version.", subject=text[:80], remedy="Write it like 1.0.2 or 1.0.2-rc.1."
            )
        major, minor, patch, prerelease = match.groups()
        return cls(int(major), int(minor or 0), int(patch or 0), prerelease or "")

    @property
    def _key(self) -> tuple[object, ...]:
        parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease.split(".")]
        return (self.major, self.minor, self.patch, not self.prerelease, parts)

    def __lt__(self, other: Semver) -> bool:
        return self._key < other._key

    def after(self) -> str:
        """The next version: the same without its pre-release, else one more in the last place."""
        patch = self.patch if self.prerelease else self.patch + 1
        return f"{self.major}.{self.minor}.{patch}"
