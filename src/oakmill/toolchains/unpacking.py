"""What is wanted of a vendor's archive goes into one folder: plain files and links within it, inside limits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from oakmill.errors import ToolchainMissing
from oakmill.files import unsafe_name

MAX_ENTRIES = 200_000
MAX_DEPTH = 64
MAX_BYTES = 24 << 30
MAX_RATIO = 50  # libraries shrink 3 to 10 times; a bomb of zeros 1000 times
RATIO_FREE_BYTES = 64 << 20

_CHUNK = 1 << 18

Wanted = Callable[[PurePosixPath], PurePosixPath | None]
"""Where a member goes, below the folder; None for one that is not needed."""


class ArchiveRefused(ToolchainMissing):
    """A vendor's archive is damaged, or not safe to unpack, or not what it should be."""


@contextmanager
def named_damage(path: Path, remedy: str, *kinds: type[Exception]) -> Iterator[None]:
    """What the archive's reader raises of these kinds means that it is damaged.

    Raises:
        ArchiveRefused: it is.
    """
    try:
        yield
    except kinds as error:
        raise ArchiveRefused(f"{path} is damaged: {error}.", subject=str(path), remedy=remedy) from error


class Unpacking:
    """One archive on its way into a folder. `bytes` are those that came out of it."""

    def __init__(self, path: Path, into: Path, wanted: Wanted, remedy: str) -> None:
        self.bytes = 0
        self.most = min(MAX_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * path.stat().st_size))
        self._path, self._into, self._wanted, self._remedy = path, into, wanted, remedy
        self._entries = 0
        self._links: dict[Path, str] = {}

    def refuse(self, why: str) -> ArchiveRefused:
        """The error for an archive that is not safe to unpack."""
        message = f"{self._path} is not safe to unpack: {why}."
        return ArchiveRefused(message, subject=str(self._path), remedy=self._remedy)

    def place(self, name: str, *, is_folder: bool) -> Path | None:
        """Where a member goes; None for one that is not needed.

        Raises:
            ArchiveRefused: its name leads outside, wanted or not; or there are too many members.
        """
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise self.refuse(f"it holds more than {MAX_ENTRIES} files and folders")
        if why := unsafe_name(name, MAX_DEPTH):
            raise self.refuse(why)
        inner = None if is_folder else self._wanted(PurePosixPath(name))
        return None if inner is None else self._into / inner

    def require_room(self, size: int) -> None:
        """That so many bytes fit onto the disk.

        Raises:
            ToolchainMissing: they do not.
        """
        free = shutil.disk_usage(self._into.parent).free
        if size > free:
            raise ToolchainMissing(
                f"{self._path.name} takes {size / 1e6:.0f} MB unpacked, and {free / 1e6:.0f} MB are free in "
                f"{self._into.parent}.",
                subject=str(self._into.parent),
                remedy="Free some space there, or set OAKMILL_HOME to a folder with more.",
            )

    def count(self, size: int) -> None:
        """Enter bytes that came out of the archive.

        Raises:
            ArchiveRefused: they are more than such an archive holds.
        """
        self.bytes += size
        if self.bytes > self.most:
            raise self.refuse(f"it grows to more than {self.most / 1e6:.0f} MB")

    def write(self, name: str, target: Path, source: IO[bytes], count: Callable[[int], None]) -> None:
        """Write a file; its bytes are told to `count`.

        Raises:
            ArchiveRefused: there is something of that name.
        """
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            file = target.open("xb")
        except (FileExistsError, NotADirectoryError):
            raise self.refuse(f"{name!r} comes twice") from None
        with file:
            while data := source.read(_CHUNK):
                count(len(data))
                file.write(data)

    def keep_link(self, place: Path, target: str) -> None:
        """Keep a link for the end: nothing is ever written through one."""
        self._links[place] = target

    def link(self) -> None:
        """Make the links, each of which has to end at something inside.

        Raises:
            ArchiveRefused: one does not, or something lies in one.
        """
        for place, target in self._links.items():
            if any(above in self._links for above in place.parents):
                raise self.refuse(f"{place.name!r} lies in a link")
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                place.symlink_to(target)
            except FileExistsError:
                raise self.refuse(f"{place.name!r} comes twice") from None
        inside = self._into.resolve()
        for place, target in self._links.items():
            try:
                end = place.resolve(strict=True)
            except (OSError, RuntimeError):
                end = Path("/")
            if not end.is_relative_to(inside):
                raise self.refuse(f"the link {place.name!r} leads to {target!r}, outside or nowhere")
