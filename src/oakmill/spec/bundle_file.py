"""Reads bundles that nobody vouches for: what a manifest names is there, once, with its bytes, and nothing else is.

Bundles pack nothing, so none can grow: more than its own size never comes out of one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from oakmill.errors import BadBundle, HashMismatch, OutputError, OutputExists, UnsafeSource
from oakmill.files import aside, sync
from oakmill.spec.bundle import FILES, FORMAT, LARGEST_BUNDLE, LARGEST_MANIFEST, MANIFEST, VERSION, Manifest
from oakmill.zip_files import BEYOND_REASON, DAMAGE, ModestFile

PIECE = 1 << 20
DIRECTORY_BYTES = 16 << 20
_MOST_PARTS = 20 * LARGEST_BUNDLE
"""Objects and lists in a manifest: a byte or two of it may take a hundred in memory."""
_DEEPEST = 64
_ENCRYPTED = 1
_HEADER_BYTES = 30
_REMEDY = "Copy it again from where `oakmill bundle` wrote it, or make it anew."

Told = Callable[[int, int], object]
"""Told how many bytes of how many were read."""

Write = Callable[[bytes], object]


@dataclass(frozen=True)
class Bundle:
    """A bundle that is open: what it holds, and the manifest's own sha256, which stands for all of it."""

    manifest: Manifest
    sha256: str
    name: str
    _zip: zipfile.ZipFile

    def stream(self, sha256: str) -> Iterator[bytes]:
        """A file's bytes in pieces of a megabyte; whoever keeps them waits for the end, where they are judged.

        Raises:
            HashMismatch: they are not what their name says.
            BadBundle: the zip is damaged.
        """
        digest = hashlib.sha256()
        with _named_errors(self.name), self._zip.open(FILES + sha256) as entry:
            while piece := entry.read(PIECE):
                digest.update(piece)
                yield piece
        if digest.hexdigest() != sha256:
            raise HashMismatch(
                f"{self.name} has changed since it was made: its file {sha256[:12]} has other bytes.",
                subject=self.name,
                remedy=_REMEDY,
            )


@contextmanager
def opened(path: Path, expected: str | None = None, *, name: str = "") -> Iterator[Bundle]:
    """A bundle whose manifest and list of contents are as they are to be; its files' bytes are judged when read.

    `expected` is the manifest's sha256, as `oakmill bundle` told it; `name` is what errors call it, by default as the
    file is called.

    Raises:
        BadBundle: it is no bundle, is damaged, or is a newer version's.
        UnsafeSource: it holds what no bundle holds: other names, links, what is packed, what comes twice.
        HashMismatch: it is another bundle than expected.
    """
    with ExitStack() as stack:
        name = name or path.name
        with _named_errors(name):  # not around what the block does
            bundle = _open(path, name, expected, stack)
        yield bundle


def _open(path: Path, name: str, expected: str | None, stack: ExitStack) -> Bundle:
    refusal = _unsafe(name, f"its {BEYOND_REASON}")
    file = stack.enter_context(ModestFile(path, DIRECTORY_BYTES, refusal))
    archive = stack.enter_context(zipfile.ZipFile(file))
    _check_entries(name, archive, path.stat().st_size)
    data = _read_manifest(name, archive)
    found = hashlib.sha256(data).hexdigest()
    if expected and found != expected.lower():
        raise HashMismatch(
            f"{name} is another bundle: its manifest's sha256 is {found}, not {expected}.",
            subject=name,
            remedy=_REMEDY,
        )
    manifest = parsed(data, name)
    _check_contents(name, archive, manifest)
    return Bundle(manifest, found, name, archive)


def verify(
    path: Path, expected: str | None = None, *, name: str = "", told: Told = lambda done, total: None
) -> tuple[Manifest, str]:
    """What a bundle holds, and its manifest's sha256, once all of its bytes are seen to be what the manifest says.

    Raises:
        BadBundle, UnsafeSource, HashMismatch: as `opened` and `Bundle.stream`.
    """
    with opened(path, expected, name=name) as bundle:
        total, done = sum(bundle.manifest.files.values()), 0
        for sha256 in bundle.manifest.files:
            for piece in bundle.stream(sha256):
                done += len(piece)
                told(done, total)
        return bundle.manifest, bundle.sha256


def written(target: Path, fill: Callable[[Write], object], *, overwrite: bool = False) -> tuple[Manifest, str]:
    """Write a bundle aside by what `fill` calls with its bytes, read it whole, and only then give it its name.

    Raises:
        OutputExists: there is a file of that name.
        OutputError: it cannot be written.
        BadBundle, HashMismatch: what was written is no whole bundle.
    """
    if target.exists() and not overwrite:
        raise OutputExists(f"{target} is there already.", subject=str(target), remedy="Use --overwrite, or another -o.")
    try:
        with aside(target.parent) as place:
            part = place / "bundle"
            with part.open("xb") as file:
                fill(file.write)
                file.flush()
                os.fsync(file.fileno())
            found = verify(part, name=target.name)
            part.replace(target)
        sync(target.parent)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror}", subject=str(target)) from error
    return found


def parsed(data: bytes, name: str) -> Manifest:
    """The manifest in these bytes.

    Raises:
        BadBundle: it is none, or a newer version's.
    """
    if data.count(b"{") + data.count(b"[") > _MOST_PARTS:
        raise _bad(name, f"its {MANIFEST} has more than {_MOST_PARTS} objects and lists")
    try:
        plain = json.loads(data, parse_constant=_no_number)
        _check_plain(plain)
    except (ValueError, RecursionError) as error:
        raise _bad(name, f"its {MANIFEST} cannot be read: {error}") from error
    if not isinstance(plain, Mapping) or plain.get("format") != FORMAT:
        raise _bad(name, f"its {MANIFEST} is none of a bundle's")
    if isinstance(plain.get("version"), int) and plain["version"] > VERSION:
        raise BadBundle(
            f"{name} is a bundle of format {plain['version']}; this Oakmill reads formats up to {VERSION}.",
            subject=name,
            remedy="Bring this hub up to the version that made it, or make it with an older one.",
        )
    try:
        manifest = Manifest.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _bad(name, f"its {MANIFEST} is wrong at {where[:200]}: {first['msg'][:200]}") from None
    _check_manifest(manifest, name)
    return manifest


def _check_manifest(manifest: Manifest, name: str) -> None:
    """What no shape says: each instance has one model, parents are there before nothing is its own, files agree."""
    if manifest.named() != manifest.files:
        raise _bad(name, f"its {MANIFEST} does not list the files that its models name, and no others")
    if excess := manifest.excess():
        raise _bad(name, excess)
    for model in manifest.models:
        parents = {instance.id: instance.parent for instance in model.instances()}
        if len(parents) != sum(1 for _ in model.instances()):
            raise _bad(name, f"an instance of {model.slug!r} comes twice")
        for instance in model.instances():
            if sum(file.role == "model" for file in instance.files) != 1:
                raise _bad(name, f"the instance {instance.name!r} has not one file that is its model")
            if len({file.name for file in instance.files}) != len(instance.files):
                raise _bad(name, f"the instance {instance.name!r} has two files of one name")
            if instance.parent is not None and instance.parent not in parents:
                raise _bad(name, f"the parent of the instance {instance.name!r} is not in it")
        _check_lines(parents, name)


def _check_lines(parents: Mapping[str, str | None], name: str) -> None:
    """That each line of parents ends at one that has none."""
    ended: set[str] = set()
    for start in parents:
        line: list[str] = []
        place: str | None = start
        while place is not None and place not in ended:
            if place in line:
                raise _bad(name, f"the instance {start} is made from itself")
            line.append(place)
            if len(line) > _DEEPEST:
                raise _bad(name, "its instances are made from one another without end")
            place = parents[place]
        ended.update(line)


def _check_entries(name: str, archive: zipfile.ZipFile, size: int) -> None:
    """That all entries are plain bytes as they are, each once, and none lies in another."""
    members = archive.infolist()
    if not members:
        raise _bad(name, "it is empty")
    names = {member.filename for member in members}
    if len(names) != len(members):
        raise _unsafe(name, "a file comes twice in it")
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.flag_bits & _ENCRYPTED:
            raise _unsafe(name, f"{member.filename[:100]!r} is encrypted")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise _unsafe(name, f"{member.filename[:100]!r} is packed, and bundles pack nothing")
        if kind not in {0, stat.S_IFREG}:
            raise _unsafe(name, f"{member.filename[:100]!r} is a link or no plain file")
    _check_places(name, members, size)


def _check_places(name: str, members: list[zipfile.ZipInfo], size: int) -> None:
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise _unsafe(name, f"{member.filename[:100]!r} lies in another file")
        end = member.header_offset + _HEADER_BYTES + len(member.filename) + member.file_size
    if end > size:
        raise _bad(name, "it has been cut")


def _read_manifest(name: str, archive: zipfile.ZipFile) -> bytes:
    try:
        member = archive.getinfo(MANIFEST)
    except KeyError:
        raise _bad(name, f"it has no {MANIFEST}") from None
    if member.file_size > LARGEST_MANIFEST:
        raise _unsafe(name, f"its {MANIFEST} has {member.file_size >> 20} MB")
    with archive.open(member) as entry:
        return b"".join(iter(lambda: entry.read(PIECE), b""))


def _check_contents(name: str, archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """That what the manifest lists is there, with its size, and nothing else is."""
    there = {member.filename: member.file_size for member in archive.infolist() if member.filename != MANIFEST}
    listed = {FILES + sha256: size for sha256, size in manifest.files.items()}
    if strange := sorted(there.keys() - listed.keys()):
        raise _unsafe(name, f"it holds {strange[0][:100]!r}, which its {MANIFEST} does not name")
    if lost := sorted(listed.keys() - there.keys()):
        raise _bad(name, f"its {MANIFEST} names {lost[0]}, which is not in it")
    if wrong := [file for file, size in listed.items() if there[file] != size]:
        raise _bad(name, f"{wrong[0]} has {there[wrong[0]]} bytes, not the {listed[wrong[0]]} that it is to have")


def _check_plain(plain: Any) -> None:
    """That it is not nested without end, and holds only text that databases take.

    Raises:
        ValueError: it is, or does not.
    """
    waiting = [(plain, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError("it is nested too deep")
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError("a number is beyond all bounds")
        elif isinstance(value, dict):
            waiting += [(item, depth + 1) for pair in value.items() for item in pair]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value]


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("a text holds a zero byte")
    text.encode()  # a lone surrogate is a ValueError


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """Turn what zipfile raises into errors that name the bundle."""
    try:
        yield
    except DAMAGE as error:
        raise _bad(name, str(error) or "it is damaged") from error
    except OSError as error:
        raise BadBundle(f"{name} cannot be read: {error.strerror or error}", subject=name) from error


def _bad(name: str, why: str) -> BadBundle:
    return BadBundle(f"{name} is no bundle that can be taken in: {why}.", subject=name, remedy=_REMEDY)


def _unsafe(name: str, why: str) -> UnsafeSource:
    return UnsafeSource(f"{name} is not safe to take in: {why}.", subject=name, remedy=_REMEDY)
