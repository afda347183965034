"""Unpacks what is wanted of a vendor's zip: plain files and links within it, inside one folder, within limits."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from oakmill.errors import ToolchainMissing
from oakmill.files import unsafe_name
from oakmill.zip_files import BEYOND_REASON, DAMAGE, METHODS, ModestFile

MAX_ENTRIES = 200_000
MAX_DEPTH = 64
MAX_BYTES = 24 << 30
MAX_RATIO = 50  # libraries shrink 3 to 10 times; a bomb of zeros 1000 times
RATIO_FREE_BYTES = 64 << 20
DIRECTORY_BYTES = 64 << 20  # a zip's list of contents is read into memory whole

_CHUNK = 1 << 18
_LINK_BYTES = 4096

Wanted = Callable[[PurePosixPath], PurePosixPath | None]
"""Where a member goes, below the folder; None for one that is not needed."""


class ArchiveRefused(ToolchainMissing):
    """A vendor's archive is damaged, or not safe to unpack."""


def unpack(path: Path, into: Path, wanted: Wanted, remedy: str) -> int:
    """Unpack the wanted members into the new folder `into`; returns their bytes. `remedy` ends what is refused.

    Raises:
        ArchiveRefused: names that are absolute, lead outside or come twice, wanted or not; links out of it; more
            entries, or more bytes, than such an archive has; more than MAX_RATIO times the zip; or it is damaged.
        OSError: it cannot be written here.
    """
    refusal = zipfile.BadZipFile(f"its {BEYOND_REASON}")
    with (
        _named_damage(path, remedy),
        ModestFile(path, DIRECTORY_BYTES, refusal) as file,
        zipfile.ZipFile(file) as archive,
    ):
        unpacking = _Unpacking(archive, path, into, remedy)
        members = unpacking.chosen(wanted)
        unpacking.require_room(members)
        into.mkdir(parents=True)
        for member, place in members.items():
            unpacking.take(member, place)
        unpacking.link()
        return unpacking.bytes


@contextmanager
def _named_damage(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise ArchiveRefused(f"{path} is damaged: {error}.", subject=str(path), remedy=remedy) from error


class _Unpacking:
    """One zip on its way into a folder."""

    def __init__(self, archive: zipfile.ZipFile, path: Path, into: Path, remedy: str) -> None:
        self.bytes = 0
        self._archive, self._path, self._into, self._remedy = archive, path, into, remedy
        self._most = min(MAX_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * path.stat().st_size))
        self._links: dict[Path, str] = {}

    def refuse(self, why: str) -> ArchiveRefused:
        message = f"{self._path} is not safe to unpack: {why}."
        return ArchiveRefused(message, subject=str(self._path), remedy=self._remedy)

    def chosen(self, wanted: Wanted) -> dict[zipfile.ZipInfo, PurePosixPath]:
        """The wanted members with their places, once every name was looked at."""
        members = self._archive.infolist()
        if len(members) > MAX_ENTRIES:
            raise self.refuse(f"it holds more than {MAX_ENTRIES} files and folders")
        found = {}
        for member in members:
            if why := unsafe_name(member.filename, MAX_DEPTH):
                raise self.refuse(why)
            place = None if member.is_dir() else wanted(PurePosixPath(member.filename))
            if place is not None:
                found[member] = place
        return found

    def require_room(self, members: dict[zipfile.ZipInfo, PurePosixPath]) -> None:
        stated = sum(member.file_size for member in members)
        if stated > self._most:
            raise self.refuse(f"it says to grow to {stated / 1e6:.0f} MB, more than such an archive does")
        free = shutil.disk_usage(self._into.parent).free
        if stated > free:
            raise ToolchainMissing(
                f"{self._path.name} takes {stated / 1e6:.0f} MB unpacked, and {free / 1e6:.0f} MB are free in "
                f"{self._into.parent}.",
                subject=str(self._into.parent),
                remedy="Free some space there, or set OAKMILL_HOME to a folder with more.",
            )

    def take(self, member: zipfile.ZipInfo, place: PurePosixPath) -> None:
        """Write a file, or keep a link for the end: nothing is ever written through one."""
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.flag_bits & 1 or member.compress_type not in METHODS:
            raise self.refuse(f"{member.filename!r} is encrypted, or compressed by other means than deflate")
        if kind == stat.S_IFLNK and member.file_size <= _LINK_BYTES:
            self._links[self._into / place] = self._archive.read(member).decode(errors="surrogateescape")
        elif kind in {0, stat.S_IFREG}:
            self._write(member, self._into / place)
        else:
            raise self.refuse(f"{member.filename!r} is neither a file nor a folder")

    def _write(self, member: zipfile.ZipInfo, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            file = target.open("xb")
        except (FileExistsError, NotADirectoryError):
            raise self.refuse(f"{member.filename!r} comes twice") from None
        with file, self._archive.open(member) as source:
            while data := source.read(_CHUNK):
                self.bytes += len(data)
                if self.bytes > self._most:
                    raise self.refuse(f"it grows to more than {self._most / 1e6:.0f} MB")
                file.write(data)

    def link(self) -> None:
        """Make the links, each of which has to end at something inside."""
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
