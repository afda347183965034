"""Writes files and folders whole or not at all: made aside under a hidden name, then renamed into their place.

A crash leaves hidden `.part-*` beside the place at most; `sweep` removes those. A reader that has the old file or
folder open keeps it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

PART = ".part-"

_ENDINGS = re.compile(r"(\.rvc\d)?(\.onnx|\.xml|\.tflite|\.pth?|\.torchscript|\.tar(\.\w+)?|\.zip)?$")
_ABANDONED_SECONDS = 3600
"""What is aside for so long was left by a process that was killed."""


def plain_name(path: Path) -> str:
    """A model's name without the endings of its formats: digits of digits.onnx, and of digits.rvc2.tar.xz."""
    return _ENDINGS.sub("", path.name) or "model"


def expanded(path: str | Path) -> Path:
    """With `~` and `~somebody` as their homes; as it is where nobody knows such a home: then it is just not there."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


@contextmanager
def atomic_file(target: Path, *, mode: int = 0o666, durable: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `target` when the block ends well and is gone otherwise.

    The umask applies to `mode`. With `durable`, bytes and name have reached the disk when the block has ended.

    Raises:
        OSError: it cannot be written.
    """
    part = target.with_name(f"{PART}{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "w+b") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    if durable:
        sync(target.parent)


def atomic_write(target: Path, data: bytes | str, *, mode: int = 0o666, durable: bool = False) -> None:
    """Write bytes, or text as UTF-8, as `atomic_file` does."""
    with atomic_file(target, mode=mode, durable=durable) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def aside(folder: Path, prefix: str = PART) -> Iterator[Path]:
    """A new folder in `folder`, which is made, for what is on its way into it; gone at the end.

    Raises:
        OSError: it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def unsafe_name(name: str, max_depth: int = 16) -> str:
    """Why the name that an archive gives to a file or folder must not be used; empty where it may.

    `max_depth` is how many folders deep it may lie.
    """
    inner = PurePosixPath(name)
    if inner.is_absolute() or ".." in inner.parts or "\\" in name or name[1:2] == ":":
        return f"{name!r} leads outside"
    if len(inner.parts) > max_depth or any(len(os.fsencode(part)) > 255 for part in inner.parts):
        return f"the name {name[:40]!r}... is too long"
    if any(ord(letter) < 32 for letter in name):
        return f"the name {name!r} holds control characters"
    return ""


def below(folder: Path, name: str) -> Path | None:
    """The file of a name that anybody may have made up, if there is one below the folder; no link leads out of it."""
    with suppress(OSError, ValueError):  # names of 3,000 characters, or with a zero among them
        found = (folder / name).resolve()
        if found.is_relative_to(folder.resolve()) and found.is_file():
            return found
    return None


def private_folder(path: Path) -> Path:
    """A folder, made where there is none, that only its owner enters, whatever the umask was or is.

    Raises:
        OSError: it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid == os.geteuid():
        path.chmod(0o700)
    return path


@contextmanager
def atomic_folder(target: Path, *, mode: int = 0o777, replace: bool = False, prefix: str = PART) -> Iterator[Path]:
    """A new folder to fill, which becomes `target` when the block ends well and is gone otherwise.

    What a killed process left of one, under a name of this prefix, is for `sweep` to remove.

    Raises:
        FileExistsError: the target is there already, and is not to be replaced.
        OSError: it cannot be written.
    """
    with aside(target.parent, prefix) as place:
        made = place / "made"
        made.mkdir(mode)
        yield made
        move_in(made, target, place if replace else None)


def move_in(made: Path, target: Path, old: Path | None) -> None:
    """Rename a finished folder to its place; one that is there goes into the folder `old`, where that is given.

    Raises:
        FileExistsError: one is there, and none is given.
    """
    if old is not None:
        with suppress(FileNotFoundError):
            target.rename(old / "replaced")
    try:
        made.rename(target)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        raise


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there: out of its place first, so that no half of it is ever found there."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    with aside(path.parent) as place:
        path.rename(place / "removed")


def sweep(folder: Path, prefix: str = PART, *, older_than: float = _ABANDONED_SECONDS) -> None:
    """Remove what killed processes left aside in `folder`; `older_than` is in seconds."""
    with suppress(OSError):
        for path in folder.glob(f"{prefix}*"):
            if time.time() - path.stat().st_mtime > older_than:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, waiting: Callable[[], object]) -> Iterator[bool]:
    """Hold the lock that a file stands for; tells whether another process held it before, which `waiting` told at once.

    Raises:
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        waited = False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield waited
    finally:
        os.close(handle)


def hold(folder: Path) -> int:
    """A descriptor whose lock says that somebody uses the folder, for as long as it is open, or its process lives.

    Raises:
        BlockingIOError: somebody else does.
        OSError: there is no such folder.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder for the time of the block.

    Raises:
        OSError: as `hold`.
    """
    handle = hold(folder)
    try:
        yield
    finally:
        os.close(handle)


def file_sha256(*paths: Path) -> str:
    """The sha256 of files' bytes, as if they were one file.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
