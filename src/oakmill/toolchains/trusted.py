"""Remembers the sha256 of vendors' archives from their first use on, and refuses one that has changed since.

Qualcomm publishes no sum that could be checked the first time; so the first archive is trusted, and said to be.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from oakmill.errors import ToolchainMissing
from oakmill.files import atomic_write
from oakmill.settings import Settings
from oakmill.toolchains import environments


class ArchiveChanged(ToolchainMissing):
    """A vendor's archive has other bytes than the one of its name that was used first."""


@dataclass(frozen=True)
class Known:
    """An archive as it was at its first use: its sha256, length in bytes, address, and the day."""

    sha256: str
    bytes: int
    source: str
    first_used: str


def record_of(name: str, settings: Settings) -> Path:
    """The file that remembers a toolchain's archive; it stays when the toolchain is removed."""
    folder = environments.folder_of(name, settings)
    return folder.with_name(f".{folder.name}.archive.json")


def known(name: str, settings: Settings) -> Known | None:
    """The archive that was used first, or None.

    Raises:
        ArchiveChanged: that was written down, but cannot be read.
    """
    record = record_of(name, settings)
    try:
        return Known(**json.loads(record.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ArchiveChanged(
            f"The sha256 of the archive of {name} was written down, but {record} cannot be read ({error}).",
            subject=name,
            remedy=f"Restore that file; or remove it, to trust the next archive as the first: rm {record}",
        ) from None


def check(name: str, found: Known, settings: Settings) -> bool:
    """That an archive is the one that was used first; whether there was one before.

    Raises:
        ArchiveChanged: it is another.
    """
    before = known(name, settings)
    if before is None:
        return False
    if (before.sha256, before.bytes) == (found.sha256, found.bytes):
        return True
    record = record_of(name, settings)
    raise ArchiveChanged(
        f"The archive of {name} has changed: {found.source} has the sha256 {found.sha256} ({found.bytes} bytes), and "
        f"the one that was used first, on {before.first_used[:10]} from {before.source}, had {before.sha256} "
        f"({before.bytes} bytes). Nothing of it was unpacked; what was installed stays.",
        subject=name,
        remedy="Compare both sums with somebody else's. If the vendor did publish it anew, or you mean another "
        f"archive, remove what is remembered and install again: rm {record}",
    )


def remember(name: str, found: Known, settings: Settings) -> None:
    """Write an archive down as the one that was used first.

    Raises:
        OSError: it cannot be written.
    """
    atomic_write(record_of(name, settings), json.dumps(asdict(found), indent=1), durable=True)


def used_now(sha256: str, size: int, source: str) -> Known:
    """An archive that is used at this moment."""
    return Known(sha256, size, source, datetime.now(UTC).isoformat(timespec="seconds"))
