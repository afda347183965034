"""Helpers elsewhere, who may do parts of a toolchain's work that need nothing of each other: the seam to a cluster.

Whoever runs a conversion says whom there is to ask (`use`); a toolchain that can cut its work asks (`done`). Without
helpers, or where one of them fails, there is no answer, and the toolchain does all of it here: so what goes wrong is
told as on one machine, and the result is the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from oakmill.settings import Settings

Answer = dict[str, Any]
Work = Callable[[Settings, Mapping[str, Any], Path, Path], tuple[Answer, Path]]
"""What a helper does: a request in JSON's types, the file to read, a folder to work in; the answer, the file made."""

LARGEST_BYTES = 400 << 20
"""Of a file to read, as every helper gets a copy in memory."""


@dataclass(frozen=True)
class Part:
    """One part: the name of the work, what is asked in JSON's types, the file to read, and where the made one goes."""

    work: str
    request: Mapping[str, Any]
    source: Path
    target: Path


class Helpers(Protocol):
    """Whom to ask."""

    def free(self) -> int:
        """How many of them have nothing to do."""

    def do(self, parts: Sequence[Part], ended: Callable[[int], None]) -> list[Answer] | None:
        """The answers, in order; None where any part was not done. `ended` is told how many are done by then."""


_helpers: list[Helpers] = []


def use(helpers: Helpers | None) -> None:
    """Ask these from now on, in this process; or nobody."""
    _helpers[:] = [] if helpers is None else [helpers]


def free() -> int:
    """How many could begin at once."""
    return _helpers[0].free() if _helpers else 0


def done(parts: Sequence[Part], ended: Callable[[int], None]) -> list[Answer] | None:
    """As `Helpers.do`; None too where a file is too large to be sent about."""
    if not _helpers or any(part.source.stat().st_size > LARGEST_BYTES for part in parts):
        return None
    return _helpers[0].do(parts, ended)
