"""Unpacks tar and zip archives that nobody vouches for, without trusting their names, sizes or links."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from oakmill import tar_files
from oakmill.errors import BrokenModel, OutputError, OutputExists, SourceError, UnsafeSource
from oakmill.files import atomic_folder, unsafe_name
from oakmill.settings import Settings
from oakmill.zip_files import BEYOND_REASON, ModestFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_FILES = 10_000
MAX_RATIO = 200  # weights shrink 10 times at best; a bomb of zeros 1000 times and more
RATIO_FREE_BYTES = 64 << 20
DIRECTORY_BYTES = 16 << 20  # of a zip: its list of contents is read into memory whole
DECODER_BYTES = 512 << 20  # memory that an .xz may ask for; `xz -9` asks for 65 MB
CHUNK = 1 << 16

XZ, GZIP, BZIP2, ZIP = b"\xfd7zXZ\0", b"\x1f\x8b", b"BZh", b"PK\x03\x04"
COMPRESSIONS = {XZ: "xz", GZIP: "gzip", BZIP2: "bzip2"}

_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    ValueError,
    NotImplementedError,
    RecursionError,
)


def unpack(path: Path, into: Path, settings: Settings) -> tuple[Path, ...]:
    """Unpack a tar (plain, .xz, .gz, .bz2) or zip into the new folder `into`; return its files in order.

    Everything is written as a stream, and nothing is left behind when the archive is refused.

    Raises:
        UnsafeSource: names that are absolute, lead outside, or come twice; links, devices and sparse files;
            more than MAX_FILES entries; more bytes than source_max_mb or than MAX_RATIO times the archive.
        BrokenModel: the archive is damaged, cut off or encrypted.
        OutputError: it cannot be written here, or `into` exists already (OutputExists).
    """
    if into.exists():
        raise OutputExists(f"the folder {into.name} to unpack into is there already", subject=str(into))
    with _named_errors(path), atomic_folder(into) as folder:
        ledger = _Ledger(path, folder, settings.source_max_mb << 20)
        (_unpack_zip if _starts_with(path, ZIP) else _unpack_tar)(path, ledger)
    return tuple(into / name for name in ledger.files)


@contextmanager
def open_decompressed(path: Path) -> Iterator[io.BufferedIOBase]:
    """Open a file for reading, through the decompressor that its first bytes call for."""
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        magic = raw.peek(6)
        inner: io.BufferedIOBase = raw
        if magic.startswith(XZ):
            inner = io.BufferedReader(_Xz(raw), CHUNK)
        elif magic.startswith(GZIP):
            inner = gzip.GzipFile(fileobj=raw)
        elif magic.startswith(BZIP2):
            inner = bz2.BZ2File(raw)
        yield stack.enter_context(inner)


def holds_tar(path: Path) -> bool:
    """Whether a file, once decompressed, begins with the header of a tar member."""
    try:
        with open_decompressed(path) as stream:
            tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), tarfile.ENCODING, "surrogateescape")
    except (*_DAMAGE, OSError):
        return False
    return True


def zip_names(path: Path) -> tuple[str, ...]:
    """The names in a zip's list of contents; none if that is damaged."""
    try:
        with _open_zip(path) as archive:
            return tuple(archive.namelist())
    except (*_DAMAGE, OSError, SourceError):
        return ()


def zip_bytes(path: Path) -> int:
    """How many bytes a zip's members say to have once unpacked; 0 if its list of contents is damaged."""
    try:
        with _open_zip(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (*_DAMAGE, OSError, SourceError):
        return 0


def zip_member(path: Path, name: str, limit: int) -> bytes:
    """The first `limit` bytes of a zip's member; none where there is no such member, or it is damaged."""
    try:
        with _open_zip(path) as archive, archive.open(name) as member:
            return member.read(limit)
    except (*_DAMAGE, KeyError, RuntimeError, OSError, SourceError):  # RuntimeError: it is encrypted
        return b""


class _Xz(io.RawIOBase):
    """Decompresses .xz within DECODER_BYTES of memory; lzma.open has no such limit."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = self._new_decoder()

    @staticmethod
    def _new_decoder() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=DECODER_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = b""
        while not data:
            packed = self._file.read(CHUNK) if self._decoder.needs_input else b""
            if self._decoder.eof:
                packed = self._next_stream()
                if not packed:
                    return 0
            elif self._decoder.needs_input and not packed:
                raise EOFError("the compressed data ends too early")
            data = self._decoder.decompress(packed, len(view))
        view[: len(data)] = data
        return len(data)

    def _next_stream(self) -> bytes:
        """The beginning of a further .xz stream: they may follow one another, with zeros between."""
        packed = (self._decoder.unused_data or self._file.read(CHUNK)).lstrip(b"\0")
        if packed:
            self._decoder = self._new_decoder()
        return packed


class _Ledger:
    """What was taken out of an archive so far, and whether more may be."""

    def __init__(self, archive: Path, folder: Path, limit: int) -> None:
        self.files: list[PurePosixPath] = []
        self._archive = archive
        self._folder = folder
        self._limit = limit
        self._packed = archive.stat().st_size
        self._total = 0
        self._entries = 0

    def refuse(self, why: str) -> UnsafeSource:
        """The error for an archive that is not safe to unpack."""
        return UnsafeSource(
            f"{self._archive.name} is not safe to unpack: {why}",
            subject=str(self._archive),
            remedy="Pack the model anew: plain files only, with relative names.",
        )

    def count(self, size: int) -> None:
        """Enter `size` bytes that came out of the archive."""
        self._total += size
        if self._total > self._limit:
            raise self.refuse(f"it holds more than {self._limit >> 20} MB (setting source_max_mb)")
        if self._total > max(RATIO_FREE_BYTES, MAX_RATIO * self._packed):
            raise self.refuse(f"it grows to more than {MAX_RATIO} times its size")

    def make_folder(self, name: str) -> None:
        """Make a folder of the archive."""
        self._make(self._folder / self._checked(name))

    def write(self, name: str, source: IO[bytes]) -> None:
        """Write a file of the archive."""
        inner = self._checked(name)
        if not inner.parts:
            raise self.refuse("a file in it has no name")
        target = self._folder / inner
        self._make(target.parent)
        try:
            with target.open("xb") as file:
                shutil.copyfileobj(source, file, CHUNK)
        except FileExistsError as error:
            raise self.refuse(f"{name!r} comes twice") from error
        self.files.append(inner)

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise self.refuse(f"{folder.name!r} is both a file and a folder") from error

    def _checked(self, name: str) -> PurePosixPath:
        self._entries += 1
        if self._entries > MAX_FILES:
            raise self.refuse(f"it holds more than {MAX_FILES} files and folders")
        if why := unsafe_name(name):
            raise self.refuse(why)
        return PurePosixPath(name)


class _Metered(io.RawIOBase):
    """A stream whose every byte is entered in a ledger."""

    def __init__(self, inner: IO[bytes], ledger: _Ledger) -> None:
        self._inner = inner
        self._ledger = ledger

    def read(self, size: int = -1) -> bytes:
        data = self._inner.read(size)
        self._ledger.count(len(data))
        return data


def _unpack_tar(path: Path, ledger: _Ledger) -> None:
    beyond = ledger.refuse("the header of a member is beyond reason")
    with open_decompressed(path) as stream:
        for archive, member in tar_files.members(stream, ledger.count, beyond):
            _unpack_member(archive, member, ledger)


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, ledger: _Ledger) -> None:
    if member.isdir():
        ledger.make_folder(member.name)
        return
    if not member.isreg() or member.issparse():
        kind = "a link" if member.issym() or member.islnk() else "not a plain file"
        raise ledger.refuse(f"{member.name!r} is {kind}")
    source = archive.extractfile(member)
    assert source is not None  # extractfile returns None for other than regular files only
    with source:
        ledger.write(member.name, source)


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    refusal = UnsafeSource(f"the zip's {BEYOND_REASON}")
    with ModestFile(path, DIRECTORY_BYTES, refusal) as file, zipfile.ZipFile(file) as archive:
        yield archive


def _unpack_zip(path: Path, ledger: _Ledger) -> None:
    with _open_zip(path) as archive:
        for member in archive.infolist():
            _unpack_zipped(archive, member, ledger)


def _unpack_zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo, ledger: _Ledger) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.filename.endswith("/"):
        ledger.make_folder(member.filename)
        return
    if kind not in {0, stat.S_IFREG}:
        raise ledger.refuse(f"{member.filename!r} is a link or not a plain file")
    if member.flag_bits & 1:
        raise BrokenModel(f"{member.filename!r} in the zip is encrypted")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BrokenModel(f"{member.filename!r} in the zip is compressed by other means than deflate")
    with archive.open(member) as source:
        ledger.write(member.filename, _Metered(source, ledger))  # type: ignore[arg-type]


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn what the decompressors raise into errors that name the archive."""
    damaged = f"{path.name} cannot be unpacked: it is damaged or cut off"
    try:
        yield
    except _DAMAGE as error:
        raise BrokenModel(f"{damaged} ({error})", subject=str(path)) from error
    except OSError as error:
        if error.errno in {None, errno.EINVAL}:  # gzip and bzip2 on damage; a zip that points before itself
            raise BrokenModel(f"{damaged} ({error})", subject=str(path)) from error
        raise OutputError(f"{path.name} cannot be unpacked: {error.strerror}", subject=str(path)) from error
