"""Keeps calibration sets on disk: each a folder with its files and a set.json, complete or not there at all.

`<settings.datasets>/<name>/set.json` says what is in it, `<name>/files/` holds it. Names that begin with a dot are
work in progress: `.installing-<name>` goes on where it stopped, `.adding-<name>-*` is removed by the next `add`.
"""

from __future__ import annotations

import difflib
import errno
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from oakmill.calibration.datasets.catalog import SETS
from oakmill.errors import OutputError, SourceError, SpecError
from oakmill.files import aside, atomic_write, locked, move_in
from oakmill.settings import Settings

RECORD = "set.json"
FILES = "files"

_FORMAT = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class SetDamaged(SourceError):
    """A calibration set is installed, but not all of it is there."""


class UnknownSet(SourceError):
    """There is no calibration set of that name."""


@dataclass(frozen=True)
class Progress:
    """What is being done; `done` of `total`, in `unit` if it has one, are 0 where there is nothing to count."""

    what: str
    done: int = 0
    total: int = 0
    unit: str = ""


Watcher = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Watch nothing."""


class State(StrEnum):
    """How a set stands on this machine."""

    INSTALLED = "installed"
    OWN = "own"
    MISSING = "not installed"
    INCOMPLETE = "incomplete"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class FileRecord:
    """One file of a set: its name below `files/`, and for images of others where it is from and whose it is."""

    name: str
    sha256: str
    bytes: int
    source: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SetRecord:
    """What set.json says. `about` holds how the set was made: source, seed, classes, what was left out and why."""

    name: str
    kind: Literal["named", "own"]
    description: str
    files: tuple[FileRecord, ...]
    note: str = ""
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """One digest over the names and digests of all files, in order."""
        lines = "".join(f"{item.sha256}  {item.name}\n" for item in self.files)
        return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(item.bytes for item in self.files)


@dataclass(frozen=True)
class Entry:
    """A line of `oakmill datasets list`."""

    name: str
    state: State
    images: int
    bytes: int
    description: str
    detail: str = ""


def check_name(name: str) -> str:
    """The name, if a set may be called so.

    Raises:
        SpecError: it has other than small letters, digits, - and _, or is longer than 64.
    """
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not the name of a set: small letters, digits, - and _, at most 64"
        raise SpecError(message, subject=name)
    return name


def folder_of(name: str, settings: Settings) -> Path:
    """Where a set is, or would be."""
    return settings.datasets.absolute() / check_name(name)


def half_done(name: str, settings: Settings) -> Path:
    """Where a named set is put together until it is complete."""
    return folder_of(name, settings).with_name(f".installing-{name}")


def load(name: str, settings: Settings) -> SetRecord | None:
    """A set that is there and whole (all files of their recorded size), or None.

    Raises:
        SetDamaged: it is there, but not whole.
    """
    folder = folder_of(name, settings)
    if not folder.exists():
        return None
    record = read(folder)
    for item in record.files:
        try:
            size = (folder / FILES / item.name).stat().st_size
        except OSError:
            size = -1
        if size != item.bytes:
            why = "is missing" if size < 0 else "has changed"
            raise _damaged(folder, f"{item.name} {why}")
    return record


def read(folder: Path) -> SetRecord:
    """What the set.json in a folder says, without a look at the files.

    Raises:
        SetDamaged: there is none that can be read.
    """
    try:
        data = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if data.pop("format") != _FORMAT:
            raise ValueError("it is of a version that is not known")
        files = tuple(FileRecord(**item) for item in data.pop("files"))
        record = SetRecord(**data, files=files)
        unsafe = [item.name for item in files if not _is_inside(item.name)]
        if unsafe:
            raise ValueError(f"{unsafe[0]!r} leads outside")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(folder, f"{RECORD} cannot be read: {error}") from error
    return record


def write(record: SetRecord, folder: Path) -> None:
    """Write the set.json of a folder, whole or not at all."""
    atomic_write(folder / RECORD, json.dumps({"format": _FORMAT, **asdict(record)}, indent=1, ensure_ascii=True))


def entries(settings: Settings) -> tuple[Entry, ...]:
    """All sets: the named ones, then the user's own, each with how it stands."""
    own = sorted(path.name for path in _folders(settings) if path.name not in SETS and _NAME.fullmatch(path.name))
    return tuple(_entry(name, settings) for name in (*SETS, *own))


def names(settings: Settings) -> tuple[str, ...]:
    """The names of all sets that are known, installed or not."""
    return tuple(entry.name for entry in entries(settings))


def unknown(name: str, settings: Settings) -> UnknownSet:
    """The error for a name that is no set's, with what there is and what may have been meant."""
    there = names(settings)
    close = difflib.get_close_matches(name.lower(), there, 1)
    meant = f"Did you mean {close[0]}? " if close else ""
    message = f"there is no calibration set {name!r}, nor a file or folder of that name"
    return UnknownSet(message, subject=name, remedy=f"{meant}Sets: {', '.join(there)}; or give a folder or zip.")


def _folders(settings: Settings) -> Iterable[Path]:
    if not settings.datasets.is_dir():
        return []
    return [path for path in settings.datasets.iterdir() if path.is_dir()]


def _entry(name: str, settings: Settings) -> Entry:
    named = SETS.get(name)
    description = named.description if named else ""
    try:
        record = load(name, settings)
    except SetDamaged as error:
        return Entry(name, State.DAMAGED, 0, 0, description, f"{error.message}; {error.remedy}")
    if record:
        state = State.INSTALLED if named else State.OWN
        return Entry(name, state, len(record.files), record.bytes, record.description, record.note)
    begun = half_done(name, settings).is_dir()
    state = State.INCOMPLETE if begun else State.MISSING
    return Entry(name, state, 0, 0, description, f"oakmill datasets install {name}")


def _damaged(folder: Path, why: str) -> SetDamaged:
    name = folder.name
    again = f"oakmill datasets install {name}" if name in SETS else f"oakmill datasets add {name} FOLDER --overwrite"
    return SetDamaged(f"the set {name} is damaged: {why}", subject=str(folder), remedy=again)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


@contextmanager
def alone(name: str, settings: Settings, watch: Watcher = ignore) -> Iterator[None]:
    """Hold the right to change a set; waits while another process holds it.

    Raises:
        OutputError: the folder of sets cannot be written.
    """
    folder = folder_of(name, settings)
    waiting = Progress(f"waiting for another process that works on {name}")
    with disk_errors(folder), locked(folder.with_name(f".{name}.lock"), lambda: watch(waiting)):
        yield


def place(made: Path, name: str, settings: Settings) -> None:
    """Put a finished folder in its place; one that is there goes away."""
    folder = folder_of(name, settings)
    with aside(folder.parent, f".adding-{name}-") as old:
        move_in(made, folder, old)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that names the folder."""
    try:
        yield
    except OSError as error:
        full = "Make room on the disk, or set OAKMILL_HOME to another one."
        remedy = full if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Check the folder's permissions."
        message = f"{folder} cannot be written: {error.strerror or error}"
        raise OutputError(message, subject=str(folder), remedy=remedy) from error
