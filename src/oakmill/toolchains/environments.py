"""Environments of toolchains: made by uv from lock files, complete or not there at all, known by a digest.

An environment is a folder `<settings.toolchains>/<name>`: a virtual environment with a toolchain.json that
says what is in it, and optionally a folder `libraries` of packages that are there for their shared libraries
alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

from oakmill import files
from oakmill.errors import OakmillError, ToolchainBroken, ToolchainMissing
from oakmill.processes import sandbox
from oakmill.processes.events import ToolEvent, Watcher, ignore
from oakmill.processes.run import Limits, run
from oakmill.processes.tree import ask
from oakmill.settings import Settings
from oakmill.toolchains.base import State, Status
from oakmill.toolchains.interpreters import uv

RECORD = "toolchain.json"
LIBRARIES = "libraries"

_FORMAT = 1
_NAME = re.compile(r"[a-z0-9]+/[a-z0-9][a-z0-9._-]*")
_PLATFORM = "x86_64-manylinux_2_28"
_START_SECONDS = 10


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


@dataclass(frozen=True)
class Libraries:
    """A lock file of wheels of which only shared libraries are used, whatever Python they were built for.

    They are unpacked side by side, without the packages that they require. `python` is what they were built
    for.
    """

    lock: Path
    python: str


@dataclass(frozen=True)
class ByPip:
    """One package that the environment's own pip installs last, from where the user's pip looks; pip is in the lock.

    It is known by its exact version alone, without a hash: for a build that has another file on each index that
    carries it. `remedy` says how pip is led to one.
    """

    package: str
    remedy: str


def lock_digest(lock: Path, libraries: Libraries | None = None, by_pip: ByPip | None = None) -> str:
    """What an environment made from these lock files records as `lock`; another one is out of date."""
    parts = [lock.read_bytes()]
    if libraries:
        parts += [libraries.python.encode(), libraries.lock.read_bytes()]
    if by_pip:
        parts += [by_pip.package.encode()]
    return _sha256(parts)


def _sha256(parts: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()


def create(
    name: str,
    *,
    lock: Path,
    interpreter: Path,
    settings: Settings,
    libraries: Libraries | None = None,
    by_pip: ByPip | None = None,
    watch: Watcher = ignore,
) -> Environment:
    """Make the environment anew, in the place of one that may be there, and record what is in it.

    It is built beside its place and renamed, so a crash leaves only a folder that the next call removes. Of
    two calls at once the second waits, and takes what the first made.

    Raises:
        ToolchainMissing: uv or pip cannot get a package, or the wheels do not run on this machine.
        LimitExceeded: it took longer than the settings allow.
    """
    _require_platform(name)
    folder = _folder(name, settings)
    with _disk_errors(name, folder), _alone(folder, watch) as waited:
        there = _usable(name, settings) if waited else None
        if there and there.lock == lock_digest(lock, libraries, by_pip):
            return there
        with _site(folder) as site:
            _Build(name, folder, settings, watch, site, by_pip).make(lock, interpreter, libraries)
        return _read(name, folder)


def load(name: str, settings: Settings) -> Environment | None:
    """The installed environment, or None; quick, starts no process.

    Raises:
        ToolchainBroken: there is one, but not a whole one.
    """
    folder = _folder(name, settings)
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


def status(name: str, summary: str, find: Callable[[], Environment]) -> Status:
    """How a toolchain stands, whose environment `find` gives, or raises what it lacks."""
    try:
        found = find()
    except ToolchainBroken as error:
        return Status(name, State.BROKEN, summary, detail=error.message)
    except ToolchainMissing as error:
        return Status(name, State.MISSING, summary, detail=error.remedy)
    return Status(name, State.INSTALLED, summary, found.folder, found.digest, found.versions)


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
    """Remove the environment, whole or broken; False when there was none.

    Raises:
        ToolchainMissing: its files cannot be removed.
    """
    folder = _folder(name, settings)
    if not folder.exists():
        return False
    with _disk_errors(name, folder), _alone(folder, ignore), _site(folder) as site:
        folder.rename(site / "removed")  # out of its place first, so that no half of it is ever found there
    return True


def _folder(name: str, settings: Settings) -> Path:
    if not _NAME.fullmatch(name):
        raise ToolchainMissing(f"{name!r} is not the name of a toolchain.", subject=name)
    return settings.toolchains.absolute() / name


def _require_platform(name: str) -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise ToolchainMissing(
            f"{name} runs on Linux on x86_64 only; this is {platform.system()} on {platform.machine()}.",
            subject=name,
            remedy="Run Oakmill on a Linux PC or in a virtual machine of that kind.",
        )


def _usable(name: str, settings: Settings) -> Environment | None:
    try:
        return load(name, settings)
    except ToolchainBroken:
        return None


def _read(name: str, folder: Path) -> Environment:
    try:
        record = json.loads((folder / RECORD).read_text())
        found = Environment(
            name=name,
            folder=folder,
            python=folder / "bin" / "python",
            libraries=folder / LIBRARIES if record["libraries"] else None,
            lock=str(record["lock"]),
            digest=str(record["digest"]),
            versions={str(package): str(version) for package, version in record["versions"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(name, f"its {RECORD} cannot be read ({error})") from None
    if not os.access(found.python, os.X_OK):
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
def _disk_errors(name: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ToolchainMissing(
            f"The folder of {name} cannot be changed: {error.filename or folder}: {error.strerror}.",
            subject=name,
            remedy="Free some space there or see to its permissions, or set OAKMILL_HOME to another folder.",
        ) from None


@contextmanager
def _alone(folder: Path, watch: Watcher) -> Iterator[bool]:
    """Hold the right to change an environment; tells whether another process held it before."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder.parent / f".{folder.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            waited = False
        except BlockingIOError:
            watch(ToolEvent(line=f"Waiting for another process that installs {folder.name} ..."))
            fcntl.flock(handle, fcntl.LOCK_EX)
            waited = True
        yield waited
    finally:
        os.close(handle)


@contextmanager
def _site(folder: Path) -> Iterator[Path]:
    """A new folder beside the place of an environment; what crashes left of such is removed."""
    prefix = f".{folder.name}@"
    files.sweep(folder.parent, prefix, older_than=0)
    with files.aside(folder.parent, prefix) as site:
        yield site


@dataclass(frozen=True)
class _Build:
    """The making of one environment, beside its place."""

    name: str
    folder: Path
    settings: Settings
    watch: Watcher
    site: Path
    by_pip: ByPip | None

    def make(self, lock: Path, interpreter: Path, libraries: Libraries | None) -> None:
        made = self.site / "environment"
        self._fill(made, lock.absolute(), interpreter, libraries)
        record = self._describe(made, lock, interpreter, libraries)
        (made / RECORD).write_text(json.dumps(record, indent=1))
        files.move_in(made, self.folder, self.site)

    def _fill(self, made: Path, lock: Path, interpreter: Path, libraries: Libraries | None) -> None:
        # A lock is whole: what packages say that they require is not asked (openvino-dev names dozens for other tools).
        install = ("pip", "install", "--require-hashes", "--no-deps")
        self._uv("venv", "--relocatable", "--no-project", "--python", interpreter, made)
        # Compiled now, because the sandbox lets no tool write into its environment.
        self._uv(*install, "--python", made / "bin" / "python", "--compile-bytecode", "-r", lock)
        if libraries:
            wheels = ("--python-version", libraries.python, "--python-platform", _PLATFORM)
            python = ("--python", made / "bin" / "python")
            target = ("--target", made / LIBRARIES)
            self._uv(*install, *python, *wheels, *target, "-r", libraries.lock.absolute())
        if self.by_pip:
            self._pip(made / "bin" / "python", self.by_pip)

    def _uv(self, *arguments: str | Path) -> None:
        options = ("--no-python-downloads", "--no-progress", "--color", "never")
        self._run("uv", [uv(), *arguments, *options])

    def _pip(self, python: Path, wanted: ByPip) -> None:
        options = ("--no-deps", "--only-binary", ":all:", "--no-input", "--progress-bar", "off")
        self._run("pip", [python, "-m", "pip", "install", *options, wanted.package], f"{wanted.remedy} ")

    def _run(
        self, tool: str, command: Sequence[str | Path], remedy: str = "When that is put right, try again: "
    ) -> None:
        finished = run(
            sandbox.leashed(list(map(str, command))),
            cwd=self.site,
            limits=Limits.of(self.settings),
            watch=self.watch,
            name=f"Installing {self.name}",
        )
        if finished.returncode != 0:
            raise ToolchainMissing(
                f"{self.name} could not be installed; {tool} says:\n{_complaint(finished.log_tail)}",
                subject=self.name,
                remedy=f"{remedy}oakmill toolchains install {self.name}",
                log=finished.log_tail,
            )

    def _describe(
        self, made: Path, lock: Path, interpreter: Path, libraries: Libraries | None
    ) -> dict[str, str | int | bool | dict[str, str]]:
        version = _version_of(interpreter)
        versions = _installed([*made.glob("lib/python*/site-packages"), made / LIBRARIES])
        locks = lock_digest(lock, libraries, self.by_pip)
        frozen = [f"{package}=={number}" for package, number in versions.items()]
        return {
            "format": _FORMAT,
            "name": self.name,
            "digest": _sha256([locks.encode(), version.encode(), "\n".join(frozen).encode()]),
            "lock": locks,
            "python": version,
            "libraries": libraries is not None,
            "versions": versions,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def _complaint(log: str) -> str:
    """What uv or pip said from its first error on."""
    lines = log.strip().splitlines()
    first = next(
        (i for i, line in enumerate(lines) if line.startswith(("error", "ERROR", "  ×"))), max(0, len(lines) - 10)
    )
    return "\n".join(f"  {line}" for line in lines[first : first + 20])


def _version_of(interpreter: Path) -> str:
    _, answer = ask([interpreter, "-I", "-c", "import platform; print(platform.python_version())"], _START_SECONDS)
    return answer.strip()


def _installed(folders: Sequence[Path]) -> dict[str, str]:
    """The packages in these folders with their versions, as `uv pip freeze` lists them."""
    packages = distributions(path=list(map(str, folders)))
    return dict(sorted((_normal(package.metadata["Name"]), package.version) for package in packages))


def _normal(name: str) -> str:
    """A package's name in the one form that PEP 503 gives it."""
    return re.sub(r"[-_.]+", "-", name).lower()
