"""Makes a calibration set of the user's own images, out of a folder, a zip or one file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from oakmill.calibration.datasets import store
from oakmill.calibration.datasets.catalog import SETS
from oakmill.calibration.datasets.files import SUFFIXES, find_files, is_image, is_known, problem
from oakmill.calibration.datasets.store import FileRecord, Progress, SetRecord, Watcher, ignore
from oakmill.calibration.datasets.zips import CHUNK, LeftOut, unpack
from oakmill.calibration.labels import Labels, Pictured, read_labels
from oakmill.errors import OutputExists, SourceError, SpecError
from oakmill.files import aside, sweep
from oakmill.settings import Settings

THREADS = 4


@dataclass(frozen=True)
class Added:
    """A set that was made, with its labels, and what did not get into it: files left out, and copies of others."""

    record: SetRecord
    left_out: tuple[LeftOut, ...]
    duplicates: tuple[LeftOut, ...]
    labels: Labels | None = None


def add(
    name: str,
    source: Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    description: str = "",
    labels: str = "",
    watch: Watcher = ignore,
) -> Added:
    """Copy images, `.npy` and `.raw` files into a set of the user's own.

    Each file is decoded once: what is no image, whatever its name says, is left out and named. Of files with
    the same bytes the first by name stays. They are copied, not linked, so that a later edit of the original
    does not change the set. `labels` is what `labels.read_labels` is given: they are kept beside the images.

    Raises:
        BadLabels: the labels cannot be read, or are of none of the images.
        SpecError: the name is not one for a set, or belongs to a named set.
        OutputExists: there is a set of that name, and `overwrite` was not asked for.
        SourceError: nothing usable is there, or more than datasets_max_mb.
        UnsafeSource: the zip is not safe to unpack.
        OutputError: the set cannot be written.
    """
    _check(name, settings, overwrite)
    with store.alone(name, settings, watch):
        _check(name, settings, overwrite)  # another process may have been quicker
        folder = store.folder_of(name, settings)
        sweep(folder.parent, f".adding-{name}-", older_than=0)
        with aside(folder.parent, f".adding-{name}-") as scratch:
            added = _make(name, source, scratch, settings, description, labels, watch)
            store.place(scratch / "set", name, settings)
    return added


def _check(name: str, settings: Settings, overwrite: bool) -> None:
    folder = store.folder_of(name, settings)
    if name in SETS:
        message = f"{name} is the name of a set that Oakmill installs, so it always means the same images"
        raise SpecError(message, subject=name, remedy=f"Give yours another name, my-{name} for example.")
    if folder.exists() and not overwrite:
        message = f"there is a set {name} already"
        raise OutputExists(message, subject=name, remedy="Give another name, or --overwrite to replace it.")


def _make(
    name: str, source: Path, scratch: Path, settings: Settings, description: str, labels: str, watch: Watcher
) -> Added:
    with _files_of(source, scratch, settings) as (root, paths, skipped):
        bad = _problems(paths, root, watch)
        left_out = (*skipped, *bad.values())
        kept, duplicates = _copied([p for p in paths if p not in bad], root, scratch / "set", settings, watch)
    if not kept:
        raise SourceError(
            f"nothing in {source.name} can be used" + "".join(f"; {item.name} {item.why}" for item in left_out[:3]),
            subject=str(source),
            remedy=f"Known are {' '.join(sorted(SUFFIXES))}",
        )
    about = {"from": source.name, "added": datetime.now(UTC).isoformat(timespec="seconds")}
    about["left_out"] = [f"{item.name}: {item.why}" for item in (*left_out, *duplicates)]  # type: ignore[assignment]
    said = _labelled(labels, kept, duplicates, scratch / "set", watch) if labels else None
    if said:
        about["labels"] = said.words
    record = SetRecord(name, "own", description or f"Added from {source.name}.", kept, about=about)
    store.write(record, scratch / "set")
    return Added(record, left_out, duplicates, said)


def _labelled(
    given: str, files: Sequence[FileRecord], copies: Sequence[LeftOut], folder: Path, watch: Watcher
) -> Labels:
    """The labels of the set's images, written beside them."""
    watch(Progress("reading labels"))
    images = [Pictured(item.name, item.sha256, folder / store.FILES / item.name) for item in files]
    labels = read_labels(given, [item for item in images if is_image(item.path)], [item.name for item in copies])
    labels.write(folder)
    return labels


@contextmanager
def _files_of(
    source: Path, scratch: Path, settings: Settings
) -> Iterator[tuple[Path, tuple[Path, ...], tuple[LeftOut, ...]]]:
    """The folder that names are relative to, the files with a known suffix, and what else was there."""
    if source.is_dir():
        files = find_files(source)
        yield source, files, _others(source, set(files))
    elif source.is_file() and source.suffix.lower() == ".zip":
        skipped = unpack(source, scratch / "unpacked", settings.datasets_max_mb)
        yield scratch / "unpacked", find_files(scratch / "unpacked"), skipped
    elif source.is_file() and is_known(source.name):
        yield source.parent, (source,), ()
    else:
        what = "is neither a folder nor a zip nor an image" if source.exists() else "does not exist"
        raise SourceError(f"{source} {what}", subject=str(source))


def _others(folder: Path, taken: set[Path]) -> tuple[LeftOut, ...]:
    names = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file() and path not in taken)
    visible = (name for name in names if not any(part.startswith(".") for part in name.parts))
    return tuple(LeftOut(name.as_posix(), "is neither an image nor .npy or .raw, by its name") for name in visible)


def _problems(paths: Sequence[Path], root: Path, watch: Watcher) -> dict[Path, LeftOut]:
    """The files that cannot be used."""
    found = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for done, (path, why) in enumerate(zip(paths, pool.map(problem, paths), strict=True), 1):
            watch(Progress("looking at files", done, len(paths)))
            if why:
                found[path] = LeftOut(path.relative_to(root).as_posix(), why)
    return found


def _copied(
    paths: Sequence[Path], root: Path, into: Path, settings: Settings, watch: Watcher
) -> tuple[tuple[FileRecord, ...], tuple[LeftOut, ...]]:
    """The files copied, each content once, and those that are copies of another."""
    (into / store.FILES).mkdir(parents=True)
    first: dict[str, FileRecord] = {}
    duplicates = []
    total = 0
    for done, path in enumerate(paths, 1):
        watch(Progress("copying", done, len(paths)))
        name = path.relative_to(root).as_posix()
        target = into / store.FILES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        record = _copy(path, target, name)
        total += record.bytes
        if total > settings.datasets_max_mb << 20:
            message = f"the files are more than {settings.datasets_max_mb} MB (setting datasets_max_mb)"
            raise SourceError(message, subject=str(root), remedy="Give fewer: some hundred images are enough.")
        if record.sha256 in first:
            duplicates.append(LeftOut(name, f"is a copy of {first[record.sha256].name}"))
            target.unlink()
        else:
            first[record.sha256] = record
    return tuple(first.values()), tuple(duplicates)


def _copy(path: Path, target: Path, name: str) -> FileRecord:
    digest, size = hashlib.sha256(), 0
    try:
        source = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", subject=str(path)) from error
    with source, target.open("xb") as file:
        while data := source.read(CHUNK):
            digest.update(data)
            size += len(data)
            file.write(data)
    return FileRecord(name, digest.hexdigest(), size)
