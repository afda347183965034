"""OpenVINO of another version with its MyriadX compiler, as a toolchain: out of an archive that the user names.

No public package carries it. Intel gives its archives by address, and Luxonis one in a drive that asks a person. None
was tried, for the machine where this was written reaches neither; their layout is known from public build scripts. The
tests pack the libraries of a public package of version 2022.2 as Intel packs its own.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from oakmill.errors import ToolchainBroken, ToolchainMissing, ToolFailed
from oakmill.processes.events import ToolEvent, Watcher
from oakmill.settings import Settings
from oakmill.toolchains import environments, making, untarring
from oakmill.toolchains.archived import Archived, Unpacked
from oakmill.toolchains.environments import INTERPRETER, LIBRARIES, Environment
from oakmill.toolchains.making import Contents, Libraries
from oakmill.toolchains.rvc2.toolchain import PUBLIC_VERSION, Rvc2Toolchain, version_not_available
from oakmill.toolchains.unpacking import ArchiveRefused

SERIES = "2022.3"
"""The version that HubAI compiles with; a third number of its own may follow: 2022.3.1."""

_HERE = Path(__file__).parent
_PREFIX = "rvc2/openvino-"
_OWN, _PYTHON = "openvino", "python"
"""Folders of the environment: OpenVINO's libraries, and the Python that loads them."""
_PACKAGE = "openvino"
_PLACES = (
    (
        ("runtime", "lib", "intel64"),
        re.compile(r"plugins\.xml|lib(?!\w*(gpu|gna|hddl|paddle|tensorflow))\w+\.so[.\d]*"),
    ),
    (("runtime", "3rdparty", "tbb", "lib"), re.compile(r"lib\w+\.so[.\d]*")),
    (("docs", "licensing"), re.compile(r"[\w.-]+")),
)
"""What is needed of the archive, by the folder that it lies in: all goes into one folder."""
_DEEPEST = 2
"""How many folders all that lies deep in the archive at most."""
_LIBRARY, _PLUGIN = "libopenvino_c.so", "libopenvino_intel_myriad_plugin.so"
_SPARE = ("libtbb.so.2", "libtbbmalloc.so.2", "libpugixml.so.1")
"""Libraries that Intel's builds for some systems leave to the system; those in its Python package stand in for them."""
_SPARE_CONTENTS = Libraries(_HERE / "spare.lock", "3.9")
_ELF, _MACHINE_AT, _X86_64 = b"\x7fELF", 18, (62).to_bytes(2, "little")
_BUILD = re.compile(r"(\d{4}\.\d+\.\d+)")
_SONAME = re.compile(r"libopenvino\.so\.(?:(\d{4}\.\d+\.\d+)|(\d\d)(\d)(\d))")


class OpenVino(Archived, Rvc2Toolchain):
    """OpenVINO of one series, out of an archive of Intel's or one that is laid out like it.

    It has an environment of its own: a Python as that of the public version, and the archive's libraries.
    """

    archive_magic = untarring.MAGIC
    licence = (
        "OpenVINO is Intel's, under the Apache License 2.0, and its parts by others under theirs (the archive's folder "
        "docs/licensing). Oakmill carries nothing of it"
    )

    def __init__(self, settings: Settings, series: str = "") -> None:
        self.series = series or SERIES
        super().__init__(settings, self.series)
        self.name = self.environment = f"{_PREFIX}{self.series}"
        self.what = (
            f"OpenVINO {self.series} with the MyriadX compiler, of the version that HubAI compiles with, out of an "
            "archive that you name; none was tried where Oakmill is made, so it is installed only once it compiles here"
        )
        self.remedy = f"oakmill toolchains install {self.name}{' --from FILE_OR_URL' if self.needs_source else ''}"
        self._trial: Environment | None = None
        there = making.usable(self.name, settings)
        self.is_there = there is not None
        self.version = there.versions.get(_PACKAGE, self.series) if there else self.series

    @property
    def asked_as(self) -> str:
        """HubAI's word for the series."""
        return f"{self.series}.0"

    @property
    def source(self) -> str:
        """The address of its archive."""
        return self._settings.openvino_source or ""

    @property
    def needs_source(self) -> bool:
        """Whether nobody has named an archive."""
        return not self.source

    @property
    def by_hand(self) -> str:
        """What to do where that address is no good."""
        named = f"oakmill toolchains install {self.name} --from FILE_OR_URL"
        return f"Download it by hand (l_openvino_toolkit_..._{self.series}..._x86_64.tgz), and name it: {named}"

    def require_leave(self) -> None:
        """That an archive was named.

        Raises:
            ToolchainMissing: none was.
        """
        super().require_leave()
        if self.needs_source:
            raise ToolchainMissing(
                f"{self.name} is made out of an archive that you name: no public package carries OpenVINO "
                f"{self.series} with the MyriadX compiler.",
                subject=self.name,
                remedy=f"{self.remedy}; for a hub, its operator sets OAKMILL_OPENVINO_SOURCE.",
            )

    def require(self) -> Environment:
        """The environment, or one that is on trial before it is installed. Raises: as every toolchain."""
        return self._trial or super().require()

    def _libraries(self, environment: Environment) -> Path:
        folder = environment.folder / _OWN
        if not (folder / _PLUGIN).is_file():
            message = f"{self.name} is installed but not whole: {folder} holds no {_PLUGIN}."
            raise ToolchainBroken(message, subject=self.name, remedy=self.remedy)
        return folder

    def _variables(self, libraries: Path) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(libraries)}  # Intel's setupvars.sh does the same

    def _elsewhere(self, *_: Any) -> None:
        """Helpers have the public version."""

    def unpacked(self, archive: Path, made: Path, watch: Watcher) -> Unpacked:
        """The libraries, a Python for them, and the proof that they compile.

        Raises:
            ArchiveRefused: it holds no MyriadX compiler of that version for this kind of machine.
            ToolchainMissing: the Python's packages cannot be had.
            ToolchainBroken: it compiles nothing here.
        """
        root = made / _OWN
        untarring.unpack(archive, root, _place, self.by_hand)
        self._require_parts(root)
        spare = [name for name in _SPARE if not (root / name).exists() and _is_needed(name, root)]
        contents = Contents(self.contents.lock, _SPARE_CONTENTS if spare else None)
        python = made / _PYTHON
        making.fill(python, self.name, contents, Path(sys.executable), self._settings, watch)
        self._borrow(spare, python, root, watch)
        watch(ToolEvent(what="compiling a tiny model"))
        version = self._tried(made, watch)
        number = ".".join(map(str, sys.version_info[:2]))
        return Unpacked(root, number, f"{_PYTHON}/{INTERPRETER}", {_PACKAGE: version}, contents.digest)

    def _require_parts(self, root: Path) -> None:
        """That both libraries are there, for this kind of machine."""
        for name in (_LIBRARY, _PLUGIN):
            if not (root / name).is_file():
                raise self._refused(f"there is no runtime/lib/intel64/{name} in it")
            with (root / name).open("rb") as file:
                head = file.read(_MACHINE_AT + 2)
            if not head.startswith(_ELF) or head[_MACHINE_AT:] != _X86_64:
                raise self._refused(f"{name} is for another kind of machine")

    def _refused(self, why: str) -> ArchiveRefused:
        return ArchiveRefused(
            f"{self.told_source} is not OpenVINO {self.series} with the MyriadX compiler: {why}.",
            subject=self.told_source,
            remedy=self.by_hand,
        )

    def _borrow(self, names: list[str], python: Path, root: Path, watch: Watcher) -> None:
        """Libraries that the archive leaves to the system, out of Intel's Python package."""
        for name in names:
            shutil.copy2(python / LIBRARIES / "openvino" / "libs" / name, root / name)
        shutil.rmtree(python / LIBRARIES, ignore_errors=True)
        if names:
            line = f"The archive leaves {', '.join(names)} to the system: those in Intel's Python package were added."
            watch(ToolEvent(line=line))

    def _tried(self, made: Path, watch: Watcher) -> str:
        """The version that the new environment states, once it has compiled a model of 1 kB.

        Some builds are not Intel's own and state none: then it is the one that the user says.
        """
        trial = OpenVino(self._settings, self.series)
        trial._trial = Environment(self.name, made, made / _PYTHON / INTERPRETER, None, "", "")
        try:
            with TemporaryDirectory(prefix="oakmill-") as folder:
                version = trial.stated_version(Path(folder) / "version")
                if version and version.rpartition(".")[0] != self.series:
                    raise self._refused(f"it states the version {version}")
                Rvc2Toolchain.prove(trial, Path(folder))
        except (ToolFailed, ToolchainBroken) as error:
            raise ToolchainBroken(
                f"{self.told_source} was unpacked, but compiles nothing here, and was not installed: {error.message}",
                subject=self.told_source,
                remedy=f"Name the archive of another build, as that for CentOS 7 or RHEL 8. {self.by_hand}",
                log=error.log,
            ) from error
        if not version:
            watch(ToolEvent(line=f"The libraries state no version; they are taken for {self.series} at your word."))
        return version or self.series

    def stated_version(self, job: Path) -> str:
        """The version by the libraries' own words, or by their files' names: "2022.3.1"; "" where neither tells.

        Raises: as `compile`.
        """
        build = str(self._ask_library("version", {}, job)["build"])
        return next(_versions(build, self._libraries(self.require())), "")

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """That each file is as it was unpacked; and a model of 1 kB, compiled and run."""
        count = self.require_unchanged()
        return {"openvino": self.version, "files": count, **super().prove(folder)}


def _place(name: PurePosixPath) -> PurePosixPath | None:
    """Where a member of the archive goes; None for what is not needed here."""
    for folder, names in _PLACES:
        depth = len(name.parts) - len(folder) - 1
        if 0 <= depth <= _DEEPEST and name.parts[depth:-1] == folder and names.fullmatch(name.name):
            return PurePosixPath(name.name)
    return None


def _is_needed(library: str, root: Path) -> bool:
    """Whether one of the libraries names another: its name stands in it as a word that ends with a zero."""
    word = library.encode() + b"\0"
    return any(word in path.read_bytes() for path in root.glob("lib*.so*") if not path.is_symlink())


def _versions(build: str, libraries: Path) -> Iterator[str]:
    if found := _BUILD.match(build):
        yield found[1]
    for path in sorted(libraries.glob("libopenvino.so.*")):
        if found := _SONAME.fullmatch(path.name):
            yield found[1] or f"20{found[2]}.{found[3]}.{found[4]}"


def of_version(version: str, settings: Settings) -> OpenVino | None:
    """The toolchain that an IR version means, installed or not; None where it means no such.

    2022.3 and 2022.3.0, HubAI's word for it, mean the installed one whatever its third number.
    """
    tool = OpenVino(settings)
    asked_for = version in (tool.series, tool.asked_as, tool.version)
    return tool if asked_for or (not tool.is_there and version.startswith(f"{tool.series}.")) else None


def of_name(name: str, settings: Settings) -> OpenVino | None:
    """The toolchain of that name, "rvc2/openvino-2022.3" or "rvc2/openvino-2022.3.0"; None where it is none of one."""
    return of_version(name.removeprefix(_PREFIX), settings) if name.startswith(_PREFIX) else None


def is_public(version: str, settings: Settings) -> bool:
    """Whether the public package's libraries compile for an IR version."""
    return version == PUBLIC_VERSION and version not in settings.rvc2_libraries


def compiler(version: str, settings: Settings) -> Rvc2Toolchain:
    """What compiles for an IR version, there or not: the user's own OpenVINO, the public one, or one of an archive."""
    if version == PUBLIC_VERSION or version in settings.rvc2_libraries:
        return Rvc2Toolchain(settings, version)
    return of_version(version, settings) or Rvc2Toolchain(settings, version)


def installed_compiler(version: str, settings: Settings) -> Rvc2Toolchain:
    """What compiles for an IR version, and is whole.

    Raises:
        VersionNotAvailable: there is none, or it is not installed and no public package carries it.
        ToolchainMissing, ToolchainBroken: the public one is not installed, or one is not whole.
    """
    found = compiler(version, settings)
    if isinstance(found, OpenVino) and not found.is_there and environments.load(found.name, settings) is None:
        raise version_not_available(version, settings, f"install it out of an archive that you name: {found.remedy}")
    found.require()
    return found
