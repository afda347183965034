"""How much memory processes may use here: what the machine has, or less where a container or a unit is held to less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oakmill.errors import LimitExceeded

LEAST_MB = 400
"""What a conversion needs at the least; one of a single ReLU to RVC2 was measured at 356."""
_UNLIMITED = 1 << 62
_FILES = ("memory.max", "memory.limit_in_bytes")


def limit_mb(root: Path = Path("/")) -> int | None:
    """The least limit of this process's control groups, of either version, in MB; None where there is none.

    `root` is where proc and sys are.
    """
    found = [limit for limit in _limits(root) if limit < _UNLIMITED]
    return min(found) >> 20 if found else None


def require(root: Path = Path("/")) -> None:
    """Go on only where a conversion has a chance: else the kernel ends it somewhere, without a word.

    Raises:
        LimitExceeded: it has none.
    """
    limit = limit_mb(root)
    if limit is not None and limit < LEAST_MB:
        raise LimitExceeded(
            f"This process may use {limit} MB of memory, and a conversion needs {LEAST_MB} MB at the least.",
            remedy="Give the container or the unit more: docker run --memory 2g, MemoryMax=2G.",
        )


def _limits(root: Path) -> Iterator[int]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        kinds, _, group = rest.partition(":")
        if kinds in ("", "memory"):
            yield from _of_group(root / "sys/fs/cgroup" / kinds, group.strip("/"))


def _of_group(top: Path, group: str) -> Iterator[int]:
    """Of the group and all above it; within a container it is the top itself, whatever it is called outside."""
    place = top / group
    for folder in (place, *place.parents):
        for name in _FILES:
            try:
                text = (folder / name).read_text().strip()
            except OSError:
                continue
            if text.isdecimal():
                yield int(text)
        if folder == top:
            return
