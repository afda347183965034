"""Results of finished work by content: whoever asks the same again, or goes on after a crash, gets them at once.

`<home>/cache/<kind>/` holds documents (`<key>.json`) and entries (`<key>/`: files and a manifest with their sha256).
Each is written under a hidden name and renamed, so it is whole or not there, whatever is killed when, and needs no
lock. What does not match its sha256 counts as none and is removed. What was not used for longest goes first when all
together exceed the setting cache_max_mb; a reader holds its files open, and does not notice.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from oakmill import files
from oakmill.settings import Settings

MANIFEST = "manifest.json"
_PIECE = 1 << 20


def key_of(*parts: bytes | str | object) -> str:
    """sha256 over the parts, each with its length; what is neither bytes nor text counts as its JSON."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else _text(part).encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _text(part: object) -> str:
    return part if isinstance(part, str) else json.dumps(part, sort_keys=True)


def _sealed(document: Mapping[str, Any]) -> bytes:
    """A document as JSON, with its own sha256 in the line before it."""
    body = json.dumps(document).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _unsealed(data: bytes) -> dict[str, Any] | None:
    """The document, or None where it is damaged."""
    digest, _, body = data.partition(b"\n")
    if digest != hashlib.sha256(body).hexdigest().encode():
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class Item:
    """Something in the cache: `used` is when it was last asked for, in seconds since 1970."""

    path: Path
    kind: str
    bytes: int
    used: float


@dataclass(frozen=True)
class Lent:
    """An entry that is being read: its files by name, whole and unchanging even when the entry is removed meanwhile."""

    files: Mapping[str, Path]
    about: Mapping[str, Any]
    made: str

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        return self.files[name].read_bytes()


@dataclass(frozen=True)
class Store:
    """The cache as a whole; with a size of 0 it finds nothing and keeps nothing."""

    folder: Path
    max_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> Store:
        """The cache that the settings describe."""
        return cls(settings.cache, settings.cache_max_mb << 20)

    @contextmanager
    def lend(self, kind: str, key: str) -> Iterator[Lent | None]:
        """An entry whose files are what was stored, for the time of the block; None where there is none."""
        with ExitStack() as stack:
            yield self._open(kind, key, stack) if self.max_bytes else None

    def _open(self, kind: str, key: str, stack: ExitStack) -> Lent | None:
        entry = self.folder / kind / key
        try:
            manifest = _unsealed((entry / MANIFEST).read_bytes())
            opened = _opened(manifest, entry, stack) if manifest else None
        except OSError:  # there is none, or it went while we looked
            return None
        if manifest is None or opened is None:
            _remove(entry)
            return None
        with suppress(OSError):
            os.utime(entry / MANIFEST)
        lent = {name: Path(f"/proc/self/fd/{file.fileno()}") for name, file in opened.items()}
        return Lent(lent, manifest["about"], manifest["made"])

    def put(
        self,
        kind: str,
        key: str,
        content: Mapping[str, bytes | Path],
        about: Mapping[str, Any] | None = None,
        *,
        replace: bool = False,
    ) -> bool:
        """Store files under a key with a document about them; False where they cannot be kept, which is no error.

        An entry that is there already stays, unless it is to be replaced.
        """
        if sum(map(_size, content.values())) > self.max_bytes or not self.max_bytes:
            return False
        entry = self.folder / kind / key
        try:
            with files.atomic_folder(entry, mode=0o700, replace=replace) as made:
                _fill(made, content, about or {})
        except OSError:  # no space, no right to write, or another process was first
            return entry.is_dir()
        self.trim()
        return True

    def drop(self, kind: str, key: str) -> None:
        """Remove an entry, if it is there."""
        _remove(self.folder / kind / key)

    def load(self, kind: str, key: str) -> dict[str, Any] | None:
        """The document that was saved under the key; None where there is none, or a damaged one."""
        path = self.folder / kind / f"{key}.json"
        try:
            found = _unsealed(path.read_bytes()) if self.max_bytes else None
            if found is not None:
                os.utime(path)
        except OSError:
            return None
        return found

    def save(self, kind: str, key: str, document: Mapping[str, Any]) -> None:
        """Store a document under the key; a cache that cannot be written is a cache without it."""
        if place := self._place(kind):
            with suppress(OSError):
                files.atomic_write(place / f"{key}.json", _sealed(document), mode=0o600)

    def partial(self, kind: str, key: str) -> Path | None:
        """Where a stage may keep what it has so far, or None where nothing can be written."""
        place = self._place(kind)
        return place / f"{key}.partial" if place else None

    def _place(self, kind: str) -> Path | None:
        if self.max_bytes:
            with suppress(OSError):
                (self.folder / kind).mkdir(parents=True, exist_ok=True)
                return self.folder / kind
        return None

    def contents(self) -> list[Item]:
        """All that is in it, what was not used for longest first."""
        found = [item for kind in _children(self.folder) for path in _children(kind) if (item := _item(path))]
        return sorted(found, key=lambda item: item.used)

    def trim(self) -> None:
        """Remove what was not used for longest until the rest fits, and what killed processes left."""
        contents = self.contents()
        total = sum(item.bytes for item in contents)
        for item in contents:
            if total <= self.max_bytes:
                break
            _remove(item.path)
            total -= item.bytes
        for kind in _children(self.folder):
            files.sweep(kind)

    def clear(self) -> int:
        """Remove everything; how many bytes that were."""
        contents = self.contents()
        for item in contents:
            _remove(item.path)
        return sum(item.bytes for item in contents)


def _fill(entry: Path, content: Mapping[str, bytes | Path], about: Mapping[str, Any]) -> None:
    listed = {name: _write(entry / name, part) for name, part in content.items()}
    made = datetime.now(UTC).isoformat(timespec="seconds")
    (entry / MANIFEST).write_bytes(_sealed({"made": made, "files": listed, "about": about}))


def _write(target: Path, content: bytes | Path) -> dict[str, Any]:
    """Copy, with size and sha256 of what was written."""
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as file:
        for piece in _pieces(content):
            digest.update(piece)
            size += file.write(piece)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _pieces(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _size(content: bytes | Path) -> int:
    try:
        return len(content) if isinstance(content, bytes) else content.stat().st_size
    except OSError:
        return 0  # told when it is copied


def _opened(manifest: Mapping[str, Any], entry: Path, stack: ExitStack) -> dict[str, BinaryIO] | None:
    """The entry's files, open; None where one is not what was stored."""
    found = {}
    for name, listed in manifest["files"].items():
        file = stack.enter_context((entry / name).open("rb"))
        if hashlib.file_digest(file, "sha256").hexdigest() != listed["sha256"]:
            return None
        found[name] = file
    return found


def _children(folder: Path) -> list[Path]:
    """What is in a folder, without what is hidden; nothing where there is no folder."""
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []


def _item(path: Path) -> Item | None:
    """A document or entry; None where it went meanwhile."""
    try:
        about = path.stat()
        if not path.is_dir():
            return Item(path, path.parent.name, about.st_size, about.st_mtime)
        inside = {item.name: item.stat() for item in path.iterdir()}
    except OSError:
        return None
    used = inside.get(MANIFEST, about).st_mtime
    return Item(path, path.parent.name, sum(item.st_size for item in inside.values()), used)


def _remove(path: Path) -> None:
    """Remove a document or entry, as far as that can be done."""
    with suppress(OSError):
        files.remove(path)
