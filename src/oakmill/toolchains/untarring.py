"""Unpacks what is wanted of a vendor's .tgz."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path

from oakmill import tar_files
from oakmill.toolchains.unpacking import Unpacking, Wanted, named_damage

MAGIC = b"\x1f\x8b"


def unpack(path: Path, into: Path, wanted: Wanted, remedy: str) -> int:
    """Unpack the wanted members into the new folder `into`; returns all bytes of the tar. `remedy` ends refusals.

    A tar has no list of contents, so what is refused may come after files that were written: `into` is its caller's to
    remove.

    Raises:
        ArchiveRefused: names that are absolute, lead outside or come twice, wanted or not; links out of it; devices;
            more entries, or more bytes, than such an archive has; more than MAX_RATIO times the .tgz; or it is damaged.
        ToolchainMissing: there is no room for the next file.
        OSError: it cannot be written here.
    """
    unpacking = Unpacking(path, into, wanted, remedy)
    beyond = unpacking.refuse("the header of a member is beyond reason")
    into.mkdir(parents=True)
    with named_damage(path, remedy, *tar_files.DAMAGE, zlib.error, gzip.BadGzipFile), gzip.open(path) as stream:
        for archive, member in tar_files.members(stream, unpacking.count, beyond):
            _take(archive, member, unpacking)
    unpacking.link()
    return unpacking.bytes


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, unpacking: Unpacking) -> None:
    place = unpacking.place(member.name, is_folder=member.isdir())
    if place is None:
        return
    if member.issym():
        unpacking.keep_link(place, member.linkname)
    elif member.isreg() and not member.issparse():
        unpacking.require_room(member.size)
        source = archive.extractfile(member)
        assert source is not None  # extractfile returns None for other than regular files only
        with source:
            unpacking.write(member.name, place, source, lambda size: None)  # the stream counts them
    else:
        raise unpacking.refuse(f"{member.name!r} is neither a file nor a folder nor a link inside")
