"""Environments of toolchains: what is installed on this machine, whole or not there at all, known by a digest.

An environment is a folder `<settings.toolchains>/<name>`: a virtual environment with a toolchain.json that
says what is in it, and optionally a folder `libraries` of packages that are there for their shared libraries
alone. `making` makes one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from oakmill import files
from oakmill.errors import OakmillError, ToolchainBroken, ToolchainMissing
from oakmill.processes.events import ToolEvent, Watcher, ignore
from oakmill.settings import Settings

RECORD = "toolchain.json"
LIBRARIES = "libraries"
INTERPRETER = "bin/python"
"""Where its Python is, unless its record names another place; "" there is none."""

_NAME = re.compile(r"[a-z0-9]+/[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class Environment:
    """An installed environment.

    `python` is its interpreter, `libraries` the folder of unpacked wheels if it has any, `lock` the digest of
    the lock files that it was made from, `digest` that of all that is in it, `versions` those of its
    packages.
    """

    name: str
    folder: Path
    python: Path
    libraries: Path | None
    lock: str
    digest: str
    versions: dict[str, str] = field(default_factory=dict)


def load(name: str, settings: Settings) -> Environment | None:
    """The installed environment, or None; quick, starts no process.

    Raises:
        ToolchainBroken: there is one, but not a whole one.
    """
    folder = folder_of(name, settings)
    return _read(name, folder) if folder.exists() else None


def require(name: str, settings: Settings, remedy: str) -> Environment:
    """The installed environment; `remedy` says how to get it.

    Raises:
        ToolchainMissing: there is none.
        ToolchainBroken: there is one, but not a whole one.
    """
    found = load(name, settings)
    if found is None:
        raise ToolchainMissing(f"the toolchain {name} is not installed", subject=name, remedy=remedy)
    return found


@contextmanager
def verification(name: str, remedy: str) -> Iterator[None]:
    """Whatever fails within it, but that the toolchain is not there, means that the toolchain is broken.

    Raises:
        ToolchainMissing: it is not installed.
        ToolchainBroken: it does not do its work; `remedy` says what to do.
    """
    try:
        yield
    except ToolchainMissing:
        raise
    except OakmillError as error:
        raise ToolchainBroken(
            f"{name} is installed but does not work: {error.message}", remedy=remedy, log=error.log
        ) from error


def remove(name: str, settings: Settings) -> bool:
    """Remove the environment, whole or broken, and what a download left; False when there was none of either.

    Raises:
        ToolchainMissing: its files cannot be removed.
    """
    folder = folder_of(name, settings)
    parts = list(folder.parent.glob(f"{part_of(name, settings).name}*"))
    if not (folder.exists() or parts):
        return False
    with alone(name, settings, ignore), site_of(name, settings) as site:
        for part in parts:
            part.unlink(missing_ok=True)
        if folder.exists():
            folder.rename(site / "removed")  # out of its place first, so that no half of it is ever found there
    return True


def part_of(name: str, settings: Settings) -> Path:
    """The file in which what an environment is made of arrives, where that is one archive.

    Raises:
        ToolchainMissing: that is no toolchain's name.
    """
    folder = folder_of(name, settings)
    return folder.with_name(f".{folder.name}.part")


def folder_of(name: str, settings: Settings) -> Path:
    """Where an environment is, or would be.

    Raises:
        ToolchainMissing: that is no toolchain's name.
    """
    if not _NAME.fullmatch(name):
        raise ToolchainMissing(f"{name!r} is not the name of a toolchain.", subject=name)
    return settings.toolchains.absolute() / name


def _read(name: str, folder: Path) -> Environment:
    try:
        record = json.loads((folder / RECORD).read_text())
        inner = str(record.get("interpreter", INTERPRETER))
        found = Environment(
            name=name,
            folder=folder,
            python=folder / inner,
            libraries=folder / LIBRARIES if record["libraries"] else None,
            lock=str(record["lock"]),
            digest=str(record["digest"]),
            versions={str(package): str(version) for package, version in record["versions"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(name, f"its {RECORD} cannot be read ({error})") from None
    if inner and not os.access(found.python, os.X_OK):
        raise _broken(name, f"its Python is gone ({found.python.resolve()})")
    if found.libraries and not found.libraries.is_dir():
        raise _broken(name, f"its folder {LIBRARIES} is gone")
    return found


def _broken(name: str, why: str) -> ToolchainBroken:
    return ToolchainBroken(
        f"{name} is installed but broken: {why}.",
        subject=name,
        remedy=f"Install it again: oakmill toolchains install {name}",
    )


@contextmanager
def alone(name: str, settings: Settings, watch: Watcher) -> Iterator[bool]:
    """Hold the right to change an environment; tells whether another process held it before.

    Raises:
        ToolchainMissing: its files cannot be changed.
    """
    folder = folder_of(name, settings)
    waiting = ToolEvent(line=f"Waiting for another process that installs {folder.name} ...")
    with _disk_errors(name, folder), files.locked(folder.parent / f".{folder.name}.lock", lambda: watch(waiting)) as it:
        yield it


@contextmanager
def site_of(name: str, settings: Settings) -> Iterator[Path]:
    """A new folder beside the place of an environment; what crashes left of such is removed."""
    folder = folder_of(name, settings)
    prefix = f".{folder.name}@"
    files.sweep(folder.parent, prefix, older_than=0)
    with files.aside(folder.parent, prefix) as site:
        yield site


@contextmanager
def _disk_errors(name: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ToolchainMissing(
            f"The folder of {name} cannot be changed: {error.filename or folder}: {error.strerror}.",
            subject=name,
            remedy="Free some space there or see to its permissions, or set OAKMILL_HOME to another folder.",
        ) from None
