"""Qualcomm's SDK at a device's own version, as a toolchain: downloaded at the user's word, checked, and found again.

The real archive was not tried, for the machine where this was written does not reach it; what is known of it is its
address and its layout, from public build scripts. The tests serve an archive that is made up.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from oakmill.errors import OakmillError, ToolchainBroken, ToolchainMissing, VersionNotAvailable
from oakmill.processes.events import ToolEvent, Watcher
from oakmill.settings import Settings
from oakmill.spec import Rvc4Spec
from oakmill.toolchains.archived import Archived, Unpacked
from oakmill.toolchains.environments import Environment
from oakmill.toolchains.making import Contents
from oakmill.toolchains.rvc4 import sdk_python
from oakmill.toolchains.rvc4.sdk import HOST, Sdk
from oakmill.toolchains.rvc4.snpe_runtime import same, version_not_available
from oakmill.toolchains.rvc4.toolchain import PUBLIC_VERSION, Rvc4Toolchain
from oakmill.toolchains.unpacking import ArchiveRefused
from oakmill.toolchains.unzipping import unpack

DEVICE_VERSIONS = ("2.41.0.251128", "2.32.6.250402")
"""What OAK4 devices run, by depthai's own words."""
LICENCE = "Qualcomm-AI-Stack-License"
TERMS = "https://softwarecenter.qualcomm.com/catalog/item/Qualcomm_AI_Runtime_Community"

_HERE = Path(__file__).parent
_PREFIX = "rvc4/qairt-"
_WHOLE = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{6}")
_VERSION = re.compile(r"\d{1,3}(\.\d{1,6}){1,3}")
_FOLDERS = (("bin", HOST), ("lib", HOST), ("lib", "python"))
_FILES = re.compile(r"sdk\.yaml|bin/(check-python-dependency|envsetup\.sh)|(LICEN[CS]E|NOTICE|\w*ReleaseNotes)[\w.]*")
_FOREIGN = "windows-"
_DEEPEST = 2
"""How many folders the SDK lies deep in its archive at most: qairt/2.41.0.251128."""


class QairtSdk(Archived):
    """The public "community" SDK of one version, of which what runs on Linux on x86-64 is kept."""

    package = _HERE
    archive_magic = b"PK\x03\x04"
    contents = Contents(sdk_python.LOCKS["3.10"])
    licence = (
        f"The SDK is Qualcomm's, under its own terms, which you should read first ({TERMS}; also LICENSE.pdf in the "
        "SDK). Oakmill carries nothing of it, and its own licence does not cover it"
    )
    accept = LICENCE

    def __init__(self, settings: Settings, version: str) -> None:
        super().__init__(settings)
        self.version = version
        self.name = f"{_PREFIX}{version}"
        self.what = (
            f"Qualcomm's SDK {version}, of the version on devices: its libraries, converter, quantizer and graph "
            "preparation (more than 1 GB to download); it was not tried where Oakmill is made"
        )

    @property
    def source(self) -> str:
        """The address of its archive."""
        return self._settings.qairt_source.replace("{version}", self.version)

    @property
    def by_hand(self) -> str:
        """What to do where that address is no good."""
        return (
            "Download it by hand, or from a mirror that you trust, and name it: "
            f"{self.remedy} --from /path/v{self.version}.zip"
        )

    @property
    def sdk(self) -> Sdk:
        """The unpacked SDK.

        Raises:
            ToolchainMissing, ToolchainBroken: it is not installed, or not whole.
        """
        return Sdk.at(self.require().folder / self.version)

    def check(self, environment: Environment) -> None:
        """That the SDK has all its parts.

        Raises:
            ToolchainBroken: it has not.
        """
        try:
            Sdk.at(environment.folder / self.version)
        except ToolchainMissing as error:
            message = f"{self.name} is installed but not whole: {error.message}"
            raise ToolchainBroken(message, subject=self.name, remedy=self.remedy) from error

    def unpacked(self, archive: Path, made: Path, watch: Watcher) -> Unpacked:
        """What runs on Linux on x86-64, and a Python for its converter.

        Raises:
            ArchiveRefused: it is no SDK of that version.
        """
        root = made / self.version
        unpack(archive, root, _place, self.by_hand)
        self._require_version(root)
        python = self._make_python(root, watch)
        return Unpacked(root, python, sdk_python.OWN.as_posix() if python else "")

    def prove(self, folder: Path) -> Mapping[str, Any]:
        """That each file is as it was unpacked; and a model of 1 kB compiled with its libraries, where that can be."""
        sdk, count = self.sdk, self.require_unchanged()
        seen = {"sdk": sdk.version, "files": count}
        writer = Rvc4Toolchain(self._settings, sdk.version, sdk.libraries)
        try:
            writer.require()
        except ToolchainMissing:
            return {**seen, "compiled": "nothing, for what writes with its libraries is missing: install rvc4"}
        try:
            return {**seen, **writer.prove(folder)}
        except OakmillError as error:
            raise ToolchainBroken(
                f"{self.name} is installed whole, but nothing can be compiled with its libraries: {error.message}",
                subject=self.name,
                remedy="Omit --snpe-version, or ask for another one; SNPE arguments that only the SDK's own tools "
                "carry out do not need this.",
                log=error.log,
            ) from error

    def _require_version(self, root: Path) -> None:
        for program in (root / "bin" / HOST).glob("*"):
            program.chmod(0o755)
        version = self.version
        try:
            sdk = Sdk.at(root)
        except ToolchainMissing as error:
            reason = error.message.replace(str(root), "it").removesuffix(".")
        else:
            if same(sdk.version, version):
                return
            reason = f"it states the version {sdk.version}"
        raise ArchiveRefused(
            f"{self.told_source} is not Qualcomm's SDK {version}: {reason}.",
            subject=self.told_source,
            remedy=self.by_hand,
        )

    def _make_python(self, root: Path, watch: Watcher) -> str:
        """The version of the Python made for its converter; "" where there is none, which is told: all else works."""
        try:
            if version := sdk_python.make(root, self.name, self._settings, watch):
                return version
            why = f"what one of its versions ({', '.join(sdk_python.versions(root))}) needs is not known"
        except ToolchainMissing as error:
            shutil.rmtree(root.parent / sdk_python.OWN.parts[0], ignore_errors=True)
            why = error.message
        watch(ToolEvent(line=f"No Python was made for its snpe-onnx-to-dlc, which few conversions ask for: {why}"))
        return ""


def _place(name: PurePosixPath) -> PurePosixPath | None:
    """Where a member of the archive goes, below the SDK's own folder; None for what is not needed here."""
    if any(part.startswith(_FOREIGN) for part in name.parts):
        return None
    for depth in range(min(_DEEPEST, len(name.parts) - 1) + 1):
        inner = PurePosixPath(*name.parts[depth:])
        if inner.parts[:2] in _FOLDERS or _FILES.fullmatch(str(inner)):
            return inner
    return None


def installed(settings: Settings) -> list[str]:
    """The versions that are installed here, the newest build last."""
    names = (folder.name.removeprefix("qairt-") for folder in sorted(settings.toolchains.glob("rvc4/qairt-*")))
    return [name for name in names if _WHOLE.fullmatch(name)]


def every(settings: Settings) -> list[QairtSdk]:
    """Those of the versions on devices, and all others that are installed."""
    return [QairtSdk(settings, version) for version in dict.fromkeys((*DEVICE_VERSIONS, *installed(settings)))]


def of_version(version: str, settings: Settings) -> QairtSdk | None:
    """The SDK that a version means; 2.41.0 means one that is installed, or on devices. None where it is no version."""
    if not _VERSION.fullmatch(version):
        return None
    if _WHOLE.fullmatch(version):
        return QairtSdk(settings, version)
    found = [each for each in (*installed(settings), *DEVICE_VERSIONS) if same(each, version)]
    return QairtSdk(settings, found[0]) if found else None


def of_name(name: str, settings: Settings) -> QairtSdk | None:
    """The SDK of that name, "rvc4/qairt-2.41.0.251128" or "rvc4/qairt-2.41.0"; None where it is none of one."""
    return of_version(name.removeprefix(_PREFIX), settings) if name.startswith(_PREFIX) else None


def needed(spec: Rvc4Spec, settings: Settings) -> list[QairtSdk]:
    """The SDK that a conversion asks for by its version, if it is neither the public one's nor the user's own."""
    if settings.qairt_root or "snpe_version" not in spec.model_fields_set or same(spec.snpe_version, PUBLIC_VERSION):
        return []
    found = of_version(spec.snpe_version, settings)
    return [found] if found else []


def used(spec: Rvc4Spec, settings: Settings) -> Sdk | None:
    """The SDK whose libraries and tools a conversion uses: the user's own, or the installed one that it asks for.

    Raises:
        ToolchainMissing, ToolchainBroken: there is one, but not a whole one.
    """
    if settings.qairt_root:
        return Sdk.at(settings.qairt_root)
    here = [tool for tool in needed(spec, settings) if tool.version in installed(settings)]
    return here[0].sdk if here else None


def not_available(spec: Rvc4Spec, settings: Settings, sdk: Sdk | None) -> VersionNotAvailable:
    """The error for a conversion whose version is neither the public one nor that of the SDK that is used."""
    command = next((tool.remedy for tool in needed(spec, settings)), "")
    return version_not_available(spec.snpe_version, PUBLIC_VERSION, sdk.version if sdk else None, command)
