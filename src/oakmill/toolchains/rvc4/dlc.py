"""Reads, merges and writes DLC files: a zip of stored records, some of them JSON that describes the others.

QAIRT 2.47 and newer write zip64 with all checksums 0, which other zip readers refuse, and QAIRT 2.36 does not open.
What is written here is a plain zip: 32-bit sizes, nothing compressed, right checksums, and no time of day.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from oakmill.errors import UnsupportedModel, VerificationFailed
from oakmill.files import atomic_file

LARGEST = (1 << 32) - (1 << 20)
"""Bytes in all records of a plain zip, with room for its directory."""

METADATA = re.compile(r"dlc\.metadata[2-9][\d.]*")
"""The record that lists the prepared caches; its name ends with the version of its format. One without is not JSON."""

_HISTORY = re.compile(r"dlc\.metadata\.history[\d.]*")
_TIME = re.compile(rb'("timestamp"\s*:\s*)"[^"]*"')
_NO_TIME = rb'\1"1980-01-01 00:00:00 UTC"'
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PAGE = 4096
_ALIGNMENT_FIELD = 0xD935  # an extra field that only pads, as zipalign writes it


@dataclass(frozen=True)
class Record:
    """One record: `size` bytes at `offset` of a file."""

    name: str
    file: Path
    offset: int
    size: int

    @property
    def paged(self) -> bool:
        """Whether it begins on a page, as what a device maps into memory does."""
        return self.offset % _PAGE == 0

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file, at the record's first byte."""
        with self.file.open("rb") as file:
            file.seek(self.offset)
            yield file

    def read(self) -> bytes:
        """Its bytes."""
        with self.open() as file:
            return file.read(self.size)


Content = Record | bytes


def read(path: Path) -> dict[str, Record]:
    """The records of a DLC by name, in the order of its directory; checksums are not looked at.

    Raises:
        VerificationFailed: the file is not a DLC, or not a whole one.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            found = [_record(path, file, info) for info in archive.infolist()]
    except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError) as error:
        raise _broken(path, str(error) or type(error).__name__) from None
    records = {record.name: record for record in found}
    if len(records) != len(found):
        raise _broken(path, "two of its records have one name")
    if not any(name == "model" or name.startswith("dlc.metadata") for name in records):
        raise _broken(path, "it holds neither a model nor metadata")
    return records


def _record(path: Path, file: BinaryIO, info: zipfile.ZipInfo) -> Record:
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise _broken(path, f"its record {info.filename!r} is compressed or encrypted")
    file.seek(info.header_offset)
    signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    offset = info.header_offset + _LOCAL_HEADER.size + name + extra
    if signature != b"PK\3\4" or offset + info.file_size > path.stat().st_size:
        raise _broken(path, f"its record {info.filename!r} lies outside of it")
    return Record(info.filename, path, offset, info.file_size)


def _broken(path: Path, why: str) -> VerificationFailed:
    return VerificationFailed(f"{path.name} is not a whole DLC: {why}", subject=str(path))


def write(records: Mapping[str, Content], target: Path) -> None:
    """Write a DLC as a plain zip; equal records give equal bytes. What lay on a page boundary lies on one again.

    Raises:
        UnsupportedModel: it would have 4 GB or more.
    """
    total = sum(_size(content) for content in records.values())
    if total >= LARGEST:
        raise UnsupportedModel(
            f"the compiled model has {total >> 20} MB, and a DLC that devices' runtimes read has less than 4 GB",
            remedy="quantize it to 8 bits, or split the model",
        )
    with atomic_file(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in records.items():
            _add(archive, name, content)


def _size(content: Content) -> int:
    return content.size if isinstance(content, Record) else len(content)


def _add(archive: zipfile.ZipFile, name: str, content: Content) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.file_size = _size(content)
    info.create_system = 3
    info.external_attr = 0o644 << 16
    if isinstance(content, bytes):
        archive.writestr(info, content)
        return
    if content.paged and archive.fp is not None:
        info.extra = _padding(archive.fp.tell() + 30 + len(name.encode()))
    with content.open() as source, archive.open(info, "w") as target:
        left = content.size
        while left:
            piece = source.read(min(left, shutil.COPY_BUFSIZE))  # type: ignore[attr-defined]
            if not piece:
                raise _broken(content.file, f"its record {name!r} ends early")
            target.write(piece)
            left -= len(piece)


def _padding(start: int) -> bytes:
    """An extra field that makes what follows it begin on a page; `start` is where the field itself begins."""
    fill = -(start + 6) % _PAGE
    return struct.pack("<HHH", _ALIGNMENT_FIELD, 2 + fill, _PAGE) + bytes(fill)


def timeless(records: Mapping[str, Record]) -> dict[str, Content]:
    """The records with the times in their metadata set to 1980, the caches in it in order of their names.

    These are all bytes in which two compilations of one model differ.
    """
    return {name: _without_time(record) if _is_json(name) else record for name, record in records.items()}


def _is_json(name: str) -> bool:
    return bool(METADATA.fullmatch(name) or _HISTORY.fullmatch(name))


def _without_time(record: Record) -> bytes:
    text = _TIME.sub(_NO_TIME, record.read())
    content = _json(record, text)
    if not content.get("cacheList"):
        return text
    for key in ("cacheList", "relations"):
        if isinstance(content.get(key), list):
            content[key].sort(key=_name)
    return json.dumps(content, indent=4).encode()


def _name(item: Any) -> str:
    names = ("cacheName", "parentRecordName")
    return next((str(item[name]) for name in names if name in item), "") if isinstance(item, dict) else ""


def merge(model: Mapping[str, Record], caches: Mapping[str, Record]) -> dict[str, Record]:
    """The records of a model's DLC together with those of a DLC of caches, whose metadata takes the place of its own.

    Raises:
        VerificationFailed: a record that is not metadata is in both.
    """
    graphs = {name: record for name, record in model.items() if not METADATA.fullmatch(name)}
    both = graphs.keys() & caches.keys()
    if both:
        raise VerificationFailed(f"the model and its caches both have a record {sorted(both)[0]!r}")
    return {**graphs, **caches}


@dataclass(frozen=True)
class CacheRecord:
    """A prepared cache as the metadata describes it: `bytes` of its own, VTCM in MB, optimization 0 for the default."""

    name: str
    soc_model: int
    arch: int
    bytes: int
    vtcm_mb: int
    optimization: int
    build: str


def caches(records: Mapping[str, Record]) -> tuple[CacheRecord, ...]:
    """The prepared caches that a DLC's metadata lists; none when it has no metadata.

    Raises:
        VerificationFailed: the metadata is not what QAIRT writes, or lists what is not there.
    """
    listed = [
        _cache(record, item, records)
        for name, record in records.items()
        if METADATA.fullmatch(name)
        for item in _json(record, record.read()).get("cacheList", [])
    ]
    unknown = {name for name in records if name.startswith("htp.cache.")} - {cache.name for cache in listed}
    if unknown:
        raise VerificationFailed(f"the DLC holds a cache that its metadata does not list: {min(unknown)}")
    return tuple(sorted(listed, key=lambda cache: cache.name))


def _cache(record: Record, item: Any, records: Mapping[str, Record]) -> CacheRecord:
    try:
        blob = item["graphs"][0]["graphBlobInfo"]
        return CacheRecord(
            name=str(item["cacheName"]),
            soc_model=int(item["socModel"]),
            arch=int(item["contextMetadata"]["dspArch"]),
            bytes=records[item["cacheName"]].size,
            vtcm_mb=int(blob["vtcmSize"]),
            optimization=int(blob["optimizationLevel"]),
            build=str(item["buildId"]),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _broken(record.file, f"its metadata describes a cache without {error}") from None


def _json(record: Record, text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _broken(record.file, f"its record {record.name!r} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise _broken(record.file, f"its record {record.name!r} is no JSON object")
    return content


def finish(target: Path, model: Path, *prepared: Path) -> None:
    """Write what the compiler made, a model and perhaps a DLC of caches for it, as one plain and timeless DLC.

    Raises:
        VerificationFailed: a file is not a DLC.
        UnsupportedModel: it would have 4 GB or more.
    """
    records = read(model)
    for caches_file in prepared:
        records = merge(records, read(caches_file))
    write(timeless(records), target)
