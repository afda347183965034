"""Unpacks what is wanted of a vendor's zip."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

from oakmill.toolchains.unpacking import Unpacking, Wanted, named_damage
from oakmill.zip_files import BEYOND_REASON, DAMAGE, METHODS, ModestFile

DIRECTORY_BYTES = 64 << 20  # a zip's list of contents is read into memory whole

_LINK_BYTES = 4096


def unpack(path: Path, into: Path, wanted: Wanted, remedy: str) -> int:
    """Unpack the wanted members into the new folder `into`; returns their bytes. `remedy` ends what is refused.

    Raises:
        ArchiveRefused: names that are absolute, lead outside or come twice, wanted or not; links out of it; more
            entries, or more bytes, than such an archive has; more than MAX_RATIO times the zip; or it is damaged.
        ToolchainMissing: there is no room for it.
        OSError: it cannot be written here.
    """
    refusal = zipfile.BadZipFile(f"its {BEYOND_REASON}")
    with (
        named_damage(path, remedy, *DAMAGE),
        ModestFile(path, DIRECTORY_BYTES, refusal) as file,
        zipfile.ZipFile(file) as archive,
    ):
        unpacking = Unpacking(path, into, wanted, remedy)
        members = _chosen(archive, unpacking)
        into.mkdir(parents=True)
        for member, place in members.items():
            _take(archive, member, place, unpacking)
        unpacking.link()
        return unpacking.bytes


def _chosen(archive: zipfile.ZipFile, unpacking: Unpacking) -> dict[zipfile.ZipInfo, Path]:
    """The wanted members with their places, once every name was looked at, and there is room for them."""
    places = {member: unpacking.place(member.filename, is_folder=member.is_dir()) for member in archive.infolist()}
    found = {member: place for member, place in places.items() if place is not None}
    stated = sum(member.file_size for member in found)
    if stated > unpacking.most:
        raise unpacking.refuse(f"it says to grow to {stated / 1e6:.0f} MB, more than such an archive does")
    unpacking.require_room(stated)
    return found


def _take(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path, unpacking: Unpacking) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.flag_bits & 1 or member.compress_type not in METHODS:
        raise unpacking.refuse(f"{member.filename!r} is encrypted, or compressed by other means than deflate")
    if kind == stat.S_IFLNK and member.file_size <= _LINK_BYTES:
        unpacking.keep_link(place, archive.read(member).decode(errors="surrogateescape"))
    elif kind in {0, stat.S_IFREG}:
        with archive.open(member) as source:
            unpacking.write(member.filename, place, source, unpacking.count)
    else:
        raise unpacking.refuse(f"{member.filename!r} is neither a file nor a folder")
