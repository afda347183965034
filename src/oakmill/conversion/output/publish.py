"""Puts finished files into the output folder: all complete, none over another's, none half written.

A file is first written whole under a hidden name in the same folder, then linked to its own name, which fails where
that name is taken. A crash in between leaves hidden `.oakmill-*` files only.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from oakmill.errors import OutputError, OutputExists
from oakmill.files import aside

_HIDDEN = ".oakmill-"
_open: set[Path] = set()
"""Work folders in use."""


@contextmanager
def work_folder() -> Iterator[Path]:
    """A private folder for the work in progress, gone at the end whatever happens.

    Raises:
        OutputError: the disk is full or the folder cannot be written, here or within the block.
    """
    folder = Path(tempfile.mkdtemp(prefix="oakmill-"))
    _open.add(folder)
    try:
        with readable_write_errors(folder):
            yield folder
    finally:
        _open.discard(folder)
        shutil.rmtree(folder, ignore_errors=True)


def discard_unfinished() -> None:
    """Remove the work folders that are in use, for a process that ends at once."""
    for folder in [*_open]:
        shutil.rmtree(folder, ignore_errors=True)


def require_free(folder: Path, names: list[str], *, overwrite: bool) -> None:
    """Make the output folder, and refuse early what `publish` would refuse at the end.

    Raises:
        OutputExists: one of the names is taken and may not be overwritten.
        OutputError: the folder cannot be made or written.
    """
    with readable_write_errors(folder), aside(folder, _HIDDEN):
        pass
    taken = [name for name in names if (folder / name).exists()]
    if taken and not overwrite:
        raise _exists(folder / taken[0])


def publish(files: Mapping[str, Path], folder: Path, *, overwrite: bool) -> list[Path]:
    """Copy finished files into the output folder under their names; all or none become visible.

    Raises:
        OutputExists: a name was taken meanwhile, by another conversion into the same folder.
        OutputError: the disk is full or the folder cannot be written.
    """
    with readable_write_errors(folder), aside(folder, _HIDDEN) as hidden:
        for name, path in files.items():
            shutil.copyfile(path, hidden / name)
        done: list[Path] = []
        for name in files:
            try:
                _reveal(hidden / name, folder / name, overwrite=overwrite)
            except FileExistsError:
                for path in done:
                    path.unlink(missing_ok=True)
                raise _exists(folder / name) from None
            done.append(folder / name)
    return done


def _reveal(hidden: Path, final: Path, *, overwrite: bool) -> None:
    if overwrite:
        hidden.replace(final)
        return
    try:
        final.hardlink_to(hidden)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        # A file system without hard links: claim the name first, then put the finished file there.
        os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        hidden.replace(final)


def _exists(path: Path) -> OutputExists:
    return OutputExists(
        f"{path} exists already",
        subject=str(path),
        remedy="give --overwrite, another --name or another -o folder",
    )


_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space, or choose another folder with -o"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, or choose another folder with -o"),
    errno.EACCES: ("the folder may not be written", "choose a folder of your own with -o"),
    errno.EPERM: ("the folder may not be written", "choose a folder of your own with -o"),
    errno.ENOENT: ("the folder cannot be made there", "choose another folder with -o"),
    errno.EROFS: ("the file system is read-only", "choose another folder with -o"),
    errno.ENOTDIR: ("part of the path is a file, not a folder", "choose another folder with -o"),
    errno.EFBIG: ("the file would be larger than allowed", "raise the limit on file sizes (ulimit -f)"),
}


@contextmanager
def readable_write_errors(folder: Path) -> Iterator[None]:
    """Turn the operating system's errors of writing into ours."""
    try:
        yield
    except FileExistsError as error:
        raise OutputError(
            f"cannot write to {folder}: a file has the folder's name",
            subject=str(folder),
            remedy="choose another folder with -o",
        ) from error
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        what, remedy = _REASONS[error.errno]
        where = _written(error, folder)
        raise OutputError(f"cannot write to {where}: {what}", subject=str(where), remedy=remedy) from error


def _written(error: OSError, folder: Path) -> Path:
    """What could not be written: of a copy, the second of its names. Hidden names of ours say nothing to anybody."""
    where = Path(error.filename2 or error.filename or folder)
    return next((place.parent for place in where.parents if place.name.startswith(_HIDDEN)), where)
