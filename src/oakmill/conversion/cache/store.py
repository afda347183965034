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
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from oakmill.settings import Settings

MANIFEST = "manifest.json"

_PART, _GONE = ".part-", ".gone-"
_ABANDONED_SECONDS = 3600
"""Hidden files of this age were left by a process that was killed."""
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
class Kept:
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
        files = {name: Path(f"/proc/self/fd/{file.fileno()}") for name, file in opened.items()}
        return Lent(files, manifest["about"], manifest["made"])

    def put(
        self,
        kind: str,
        key: str,
        files: Mapping[str, bytes | Path],
        about: Mapping[str, Any] | None = None,
        *,
        replace: bool = False,
    ) -> bool:
        """Store files under a key with a document about them; False where they cannot be kept, which is no error.

        An entry that is there already stays, unless it is to be replaced.
        """
        if sum(map(_size, files.values())) > self.max_bytes or not self.max_bytes:
            return False
        part = None
        try:
            folder = self.folder / kind
            folder.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix=_PART, dir=folder))
            _fill(part, files, about or {})
            if replace:
                _remove(folder / key)
            part.rename(folder / key)
        except OSError:  # no space, no right to write, or another process was first
            if part is not None:
                shutil.rmtree(part, ignore_errors=True)
            return (self.folder / kind / key).is_dir()
        self.trim()
        return True

    def drop(self, kind: str, key: str) -> None:
        """Remove an entry, if it is there."""
        _remove(self.folder / kind / key)

    def contents(self) -> list[Kept]:
        """All that is in it, what was not used for longest first."""
        found = [item for kind in _children(self.folder) for path in _children(kind) if (item := _kept(path))]
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
            _sweep(kind)

    def clear(self) -> int:
        """Remove everything; how many bytes that were."""
        contents = self.contents()
        for item in contents:
            _remove(item.path)
        return sum(item.bytes for item in contents)


@dataclass(frozen=True)
class StageCache:
    """Small JSON documents of one kind, each complete or not there; a damaged one counts as none."""

    cache: Store
    kind: str

    @classmethod
    def of(cls, settings: Settings, stage: str) -> StageCache:
        """The cache of a stage."""
        return cls(Store.of(settings), stage)

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self.cache.folder / self.kind

    def load(self, key: str) -> dict[str, Any] | None:
        """What was stored under the key, or None."""
        path = self.folder / f"{key}.json"
        try:
            found = _unsealed(path.read_bytes()) if self.cache.max_bytes else None
            if found is not None:
                os.utime(path)
        except OSError:
            return None
        return found

    def store(self, key: str, document: Mapping[str, Any]) -> None:
        """Store under the key; a cache that cannot be written is a cache without the entry."""
        if not self.cache.max_bytes:
            return
        part = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=_PART)
            part = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(_sealed(document))
            part.replace(self.folder / f"{key}.json")
        except OSError:
            if part is not None:
                part.unlink(missing_ok=True)

    def beside(self, key: str) -> Path | None:
        """Where a stage may keep what it has so far, or None where nothing can be written."""
        if not self.cache.max_bytes:
            return None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        return self.folder / f"{key}.partial"


def _fill(part: Path, files: Mapping[str, bytes | Path], about: Mapping[str, Any]) -> None:
    listed = {name: _write(part / name, content) for name, content in files.items()}
    made = datetime.now(UTC).isoformat(timespec="seconds")
    (part / MANIFEST).write_bytes(_sealed({"made": made, "files": listed, "about": about}))


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


def _kept(path: Path) -> Kept | None:
    """A document or entry; None where it went meanwhile."""
    try:
        about = path.stat()
        if not path.is_dir():
            return Kept(path, path.parent.name, about.st_size, about.st_mtime)
        inside = {item.name: item.stat() for item in path.iterdir()}
    except OSError:
        return None
    used = inside.get(MANIFEST, about).st_mtime
    return Kept(path, path.parent.name, sum(item.st_size for item in inside.values()), used)


def _remove(path: Path) -> None:
    """Remove a document or entry: out of its place first, so that no half of it is ever found there."""
    with suppress(OSError):
        if not path.is_dir():
            path.unlink()
            return
        gone = Path(tempfile.mkdtemp(prefix=_GONE, dir=path.parent))
        path.rename(gone / path.name)
        shutil.rmtree(gone, ignore_errors=True)


def _sweep(kind: Path) -> None:
    """Remove what killed processes left half written or half removed."""
    with suppress(OSError):
        for path in kind.iterdir():
            if path.name.startswith((_PART, _GONE)) and time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
