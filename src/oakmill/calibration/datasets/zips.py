"""Unpacks a zip of images that nobody vouches for: files only, inside one folder, within limits."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from oakmill.calibration import label_names
from oakmill.calibration.datasets.files import is_known
from oakmill.errors import OutputError, SourceError, UnsafeSource
from oakmill.files import unsafe_name
from oakmill.zip_files import BEYOND_REASON, DAMAGE, METHODS, ModestFile

MAX_FILES = 100_000
MAX_RATIO = 200  # images are packed already; a bomb of zeros grows 1000 times
RATIO_FREE_BYTES = 64 << 20
DIRECTORY_BYTES = 64 << 20  # a zip's list of contents is read into memory whole
CHUNK = 1 << 16


@dataclass(frozen=True)
class LeftOut:
    """A file that was not taken, and why."""

    name: str
    why: str


def unpack(path: Path, into: Path, max_mb: int) -> tuple[LeftOut, ...]:
    """Unpack a zip's images, arrays and labels into the new folder `into`; returns what else was in it.

    Raises:
        UnsafeSource: names that are absolute, lead outside or come twice; links; more entries than MAX_FILES;
            more bytes than `max_mb`, or than MAX_RATIO times the zip.
        SourceError: it is no zip, damaged or encrypted.
        OutputError: it cannot be written here.
    """
    with _named_errors(path):
        into.mkdir(parents=True)
        refusal = UnsafeSource(f"the zip's {BEYOND_REASON}")
        with ModestFile(path, DIRECTORY_BYTES, refusal) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > MAX_FILES:
                raise _unsafe(path, f"it holds more than {MAX_FILES} files and folders")
            budget = _Budget(path, max_mb)
            return tuple(filter(None, (_take(archive, member, into, budget) for member in members)))


class _Budget:
    """How many bytes may still come out of a zip."""

    def __init__(self, path: Path, max_mb: int) -> None:
        self.path = path
        self._limit = max_mb << 20
        self._reason = max(RATIO_FREE_BYTES, MAX_RATIO * path.stat().st_size)
        self._total = 0
        self._max_mb = max_mb

    def spend(self, size: int) -> None:
        self._total += size
        if self._total > self._limit:
            raise _unsafe(self.path, f"it holds more than {self._max_mb} MB (setting datasets_max_mb)")
        if self._total > self._reason:
            raise _unsafe(self.path, f"it grows to more than {MAX_RATIO} times its size")


def _take(archive: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path, budget: _Budget) -> LeftOut | None:
    name = _checked(member, budget.path)
    if member.is_dir():
        return None
    if any(part.startswith(".") or part == "__MACOSX" for part in name.parts):
        return None  # what operating systems put beside the files
    if not is_known(name.name) and not label_names.is_label(name):
        return LeftOut(str(name), "is neither an image nor .npy or .raw, by its name")
    if member.flag_bits & 1:
        raise SourceError(f"{member.filename!r} in {budget.path.name} is encrypted", subject=str(budget.path))
    if member.compress_type not in METHODS:
        raise SourceError(f"{member.filename!r} in {budget.path.name} is compressed by other means than deflate")
    _write(archive, member, into / name, budget)
    return None


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, budget: _Budget) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise _unsafe(budget.path, f"{member.filename!r} comes twice") from error
    with file, archive.open(member) as source:
        while data := source.read(CHUNK):
            budget.spend(len(data))
            file.write(data)


def _checked(member: zipfile.ZipInfo, path: Path) -> PurePosixPath:
    """The member's name, once it is certain that it is a plain file or folder inside."""
    name = PurePosixPath(member.filename)
    why = unsafe_name(member.filename)
    if not name.parts and not why:
        why = f"{member.filename!r} is no name for a file"
    elif stat.S_IFMT(member.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        why = f"{member.filename!r} is a link or not a plain file"
    if why:
        raise _unsafe(path, why)
    return name


def _unsafe(path: Path, why: str) -> UnsafeSource:
    return UnsafeSource(
        f"{path.name} is not safe to unpack: {why}",
        subject=str(path),
        remedy="Pack the images anew: plain files only, with relative names.",
    )


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn what zipfile raises into errors that name the zip."""
    try:
        yield
    except DAMAGE as error:
        raise SourceError(f"{path.name} cannot be unpacked: {error}", subject=str(path)) from error
    except OSError as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError) or error.errno is None:
            message = f"{path.name} cannot be read: {error.strerror or error}"
            raise SourceError(message, subject=str(path)) from error
        raise OutputError(f"{path.name} cannot be unpacked: {error.strerror}", subject=str(path)) from error
