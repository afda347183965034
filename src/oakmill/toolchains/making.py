"""Makes toolchains' environments by uv from lock files: whole, or not at all."""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import distributions
from pathlib import Path

from oakmill import files
from oakmill.errors import ToolchainBroken, ToolchainMissing
from oakmill.processes import sandbox
from oakmill.processes.events import Watcher, ignore
from oakmill.processes.run import Finished, Limits, run
from oakmill.processes.tree import ask
from oakmill.processes.uv import uv
from oakmill.settings import Settings
from oakmill.toolchains import environments
from oakmill.toolchains.environments import LIBRARIES, RECORD, Environment
from oakmill.toolchains.growth import TESTS, Growth

_FORMAT = 1
_PLATFORM = "x86_64-manylinux_2_28"
_START_SECONDS = 10


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


@dataclass(frozen=True)
class Contents:
    """All that an environment is made of."""

    lock: Path
    libraries: Libraries | None = None
    by_pip: ByPip | None = None

    @property
    def digest(self) -> str:
        """What an environment made from it records as `lock`; another one is out of date."""
        parts = [self.lock.read_bytes()]
        if self.libraries:
            parts += [self.libraries.python.encode(), self.libraries.lock.read_bytes()]
        if self.by_pip:
            parts += [self.by_pip.package.encode()]
        return _sha256(parts)


def _sha256(parts: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()


def create(
    name: str, contents: Contents, interpreter: Path, settings: Settings, watch: Watcher = ignore
) -> Environment:
    """Make the environment anew, in the place of one that may be there, and record what is in it.

    It is built beside its place and renamed, so a crash leaves only a folder that the next call removes. Of
    two calls at once the second waits, and takes what the first made.

    Raises:
        ToolchainMissing: uv or pip cannot get a package, or the wheels do not run on this machine.
        LimitExceeded: it took longer than the settings allow.
    """
    require_platform(name)
    with environments.alone(name, settings, watch) as waited:
        there = usable(name, settings) if waited else None
        if there and there.lock == contents.digest:
            return there
        with environments.site_of(name, settings) as site:
            _Build(name, contents, interpreter, settings, watch, site).make()
        return environments.require(name, settings, "")


def fill(into: Path, name: str, contents: Contents, interpreter: Path, settings: Settings, watch: Watcher) -> None:
    """Make a virtual environment in the new folder `into`, which is part of the environment of that name.

    Raises:
        ToolchainMissing: uv or pip cannot get a package, or the wheels do not run on this machine.
        LimitExceeded: it took longer than the settings allow.
    """
    _Build(name, contents, interpreter, settings, watch, into.parent).fill(into)


def require_platform(name: str) -> None:
    """That this machine is one that the vendors' tools run on.

    Raises:
        ToolchainMissing: it is not.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise ToolchainMissing(
            f"{name} runs on Linux on x86_64 only; this is {platform.system()} on {platform.machine()}.",
            subject=name,
            remedy="Run Oakmill on a Linux PC or in a virtual machine of that kind.",
        )


def usable(name: str, settings: Settings) -> Environment | None:
    """The installed environment, or None where there is none that is whole."""
    try:
        return environments.load(name, settings)
    except ToolchainBroken:
        return None


@dataclass(frozen=True)
class _Build:
    """The making of one environment, beside its place."""

    name: str
    contents: Contents
    interpreter: Path
    settings: Settings
    watch: Watcher
    site: Path

    @cached_property
    def growth(self) -> Growth:
        """How far it is."""
        return Growth.of(self.name, self._made, self.watch)

    @property
    def _made(self) -> Path:
        return self.site / "environment"

    def make(self) -> None:
        made = self._made
        self.fill(made)
        record = self._describe(made)
        (made / RECORD).write_text(json.dumps(record, indent=1))
        files.move_in(made, environments.folder_of(self.name, self.settings), self.site)

    def fill(self, made: Path) -> None:
        """Make a virtual environment in the folder `made`, and install all that belongs into it."""
        # A lock is whole: what packages say that they require is not asked (openvino-dev names dozens for other tools).
        install = ("pip", "install", "--require-hashes", "--no-deps", "--python", made / "bin" / "python")
        self._uv("venv", "--relocatable", "--no-project", "--python", self.interpreter, made)
        self._uv(*install, "-r", self.contents.lock.absolute())
        self._compile(made)
        if libraries := self.contents.libraries:
            wheels = ("--python-version", libraries.python, "--python-platform", _PLATFORM)
            self._uv(*install, *wheels, "--target", made / LIBRARIES, "-r", libraries.lock.absolute())
        if self.contents.by_pip:
            self._pip(made / "bin" / "python", self.contents.by_pip)

    def _compile(self, made: Path) -> None:
        """Compile its Python now, because the sandbox lets no tool write into its environment; but no package's tests.

        They are a quarter of it. A file that is of another Python's syntax is left as it is, as uv leaves it.
        """
        options = ("-qq", "-j", "0", "-x", TESTS)
        self._watched([made / "bin" / "python", "-m", "compileall", *options, made / "lib"])

    def _uv(self, *arguments: str | Path) -> None:
        options = ("--no-python-downloads", "--no-progress", "--color", "never")
        self._run("uv", [uv(), *arguments, *options])

    def _pip(self, python: Path, wanted: ByPip) -> None:
        options = ("--no-deps", "--only-binary", ":all:", "--no-input", "--progress-bar", "off")
        self._run("pip", [python, "-m", "pip", "install", *options, wanted.package], f"{wanted.remedy} ")

    def _run(
        self, tool: str, command: Sequence[str | Path], remedy: str = "When that is put right, try again: "
    ) -> None:
        finished = self._watched(command)
        if finished.returncode != 0:
            raise ToolchainMissing(
                f"{self.name} could not be installed; {tool} says:\n{_complaint(finished.log_tail)}",
                subject=self.name,
                remedy=f"{remedy}oakmill toolchains install {self.name}",
                log=finished.log_tail,
            )

    def _watched(self, command: Sequence[str | Path]) -> Finished:
        return run(
            sandbox.leashed(list(map(str, command))),
            cwd=self.site,
            limits=Limits.of(self.settings),
            watch=self.growth.hear,
            name=f"Installing {self.name}",
            written=self.growth.written,
        )

    def _describe(self, made: Path) -> dict[str, str | int | bool | dict[str, str]]:
        version = _version_of(self.interpreter)
        versions = _installed([*made.glob("lib/python*/site-packages"), made / LIBRARIES])
        locks = self.contents.digest
        frozen = [f"{package}=={number}" for package, number in versions.items()]
        return {
            "format": _FORMAT,
            "name": self.name,
            "digest": _sha256([locks.encode(), version.encode(), "\n".join(frozen).encode()]),
            "lock": locks,
            "python": version,
            "libraries": self.contents.libraries is not None,
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
