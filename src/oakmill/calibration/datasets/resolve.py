"""Finds the files that a conversion's quantization data means: a set by name, a folder, a zip, or one file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from oakmill.calibration.datasets import store
from oakmill.calibration.datasets.catalog import DEFAULT, SETS
from oakmill.calibration.datasets.files import SUFFIXES, find_files, is_known
from oakmill.calibration.datasets.installer import install
from oakmill.calibration.datasets.store import SetRecord
from oakmill.calibration.datasets.zips import unpack
from oakmill.errors import SourceError
from oakmill.files import expanded
from oakmill.settings import Settings


class SetMissing(SourceError):
    """A calibration set that a conversion needs is not installed."""


@dataclass(frozen=True)
class Dataset:
    """Files that calibrate a quantization, sorted by name.

    `kind` is `named` (installed by Oakmill), `own` (the user's, in the store), `folder`, `zip` or `file`.
    `sha256` is the set's digest, for those that have one; `note` is what to tell the user, in words.
    """

    name: str
    folder: Path
    files: tuple[Path, ...] = field(repr=False)
    kind: Literal["named", "own", "folder", "zip", "file"]
    sha256: str = ""
    note: str = ""


def resolve(value: str | None, settings: Settings, work: Path) -> Dataset:
    """The files that a value means; nothing else is ever taken in their place. Random pixels and the
    starter set are made when asked for.

    A value with a slash, or with the suffix of a zip or image, is a path; so is one that begins with a dot or
    a tilde. A bare word is a set (the named ones in any case: GENERAL), and only if there is no set of that
    name a folder. Where both are there, `note` says that the set was taken.

    Args:
        value: a set's name, a folder, a zip, or one file; None is the set `general`.
        settings: where the sets are.
        work: a folder in which a zip is unpacked, and which outlives the use of the files.

    Raises:
        SetMissing: a named set that is not installed.
        SetDamaged: a set of which files are missing.
        UnknownSet: neither a set nor a path.
        SourceError: a path with nothing in it that can be used.
        UnsafeSource: a zip that is not safe to unpack.
    """
    if value is not None and _looks_like_path(value):
        return _from_path(expanded(value), settings, work)
    name = DEFAULT if value is None else value.lower() if value.lower() in SETS else value
    record = store.load(name, settings) if _could_be_set(name, settings) else None
    record = record or _generated(name, settings)
    if record:
        return _from_set(record, value, settings)
    if name in SETS:
        raise _missing(name, value)
    if Path(name).exists():
        return _from_path(Path(name), settings, work)
    raise store.unknown(name, settings)


def unmade(value: str | None, settings: Settings) -> str:
    """The set that `resolve` would have to make for that value; empty where there is none to make."""
    name = (value or "").lower()
    if name not in SETS or not SETS[name].is_made_when_asked:
        return ""
    return "" if store.load(name, settings) else name


def _looks_like_path(value: str) -> bool:
    return "/" in value or value.startswith((".", "~")) or value.lower().endswith(".zip") or is_known(value)


def _generated(name: str, settings: Settings) -> SetRecord | None:
    """A set that needs nothing from Open Images is made where it is first asked for."""
    if name not in SETS or not SETS[name].is_made_when_asked:
        return None
    return install(name, settings)


def _could_be_set(name: str, settings: Settings) -> bool:
    return name in SETS or name in store.names(settings)


def _missing(name: str, value: str | None) -> SetMissing:
    default = " (the default where no quantization data is given)" if value is None else ""
    nearby = (
        f"; the folder ./{value} was not taken for it: write ./{value} if you mean that" if _shadowed(value) else ""
    )
    return SetMissing(
        f"the calibration set {name}{default} is not installed{nearby}",
        subject=name,
        remedy=f"oakmill datasets install {name}, or give your own images: --quantization-data FOLDER",
    )


def _shadowed(value: str | None) -> bool:
    return value is not None and Path(value).is_dir()


def _from_set(record: SetRecord, value: str | None, settings: Settings) -> Dataset:
    folder = store.folder_of(record.name, settings) / store.FILES
    notes = [record.note] if record.note else []
    if _shadowed(value):
        notes.append(f"The set {record.name} was taken, not the folder ./{value}; for that, write ./{value}.")
    files = tuple(sorted((folder / item.name for item in record.files), key=Path.as_posix))
    return Dataset(record.name, folder, files, record.kind, record.sha256, " ".join(notes))


def _from_path(path: Path, settings: Settings, work: Path) -> Dataset:
    if path.is_dir():
        return Dataset(path.resolve().name, path, _some(find_files(path), path), "folder")
    if not path.is_file():
        what = "is not a file or folder" if path.exists() else "does not exist"
        raise SourceError(f"{path} {what}", subject=str(path), remedy="Give a folder, a zip, or a set's name.")
    if path.suffix.lower() == ".zip":
        folder = Path(tempfile.mkdtemp(dir=work, prefix="quantization-data-")) / path.stem
        skipped = unpack(path, folder, settings.datasets_max_mb)
        note = f"{len(skipped)} files in {path.name} are no images and were left out." if skipped else ""
        return Dataset(path.name, folder, _some(find_files(folder), path), "zip", note=note)
    files = (path,) if is_known(path.name) else ()
    return Dataset(path.name, path.parent, _some(files, path), "file")


def _some(files: tuple[Path, ...], path: Path) -> tuple[Path, ...]:
    if not files:
        what = "holds no image" if path.is_dir() or path.suffix.lower() == ".zip" else "is no image"
        known = " ".join(sorted(SUFFIXES))
        raise SourceError(f"{path.name or path} {what}", subject=str(path), remedy=f"Known are {known}")
    return files
