"""Where the tools of this machine live: the folders that a conversion has to read besides what it converts."""

from __future__ import annotations

from pathlib import Path

from oakmill.files import expanded
from oakmill.processes import sandbox
from oakmill.settings import Settings
from oakmill.toolchains import environments
from oakmill.toolchains.rvc3 import vendor


def folders(settings: Settings) -> list[Path]:
    """The toolchains with their interpreters, calibration sets, and the user's own SDKs; some may not exist."""
    found = [settings.toolchains, settings.datasets, *settings.rvc2_libraries.values()]
    for record in settings.toolchains.glob(f"*/*/{environments.RECORD}"):
        found += sandbox.interpreter_folders(record.parent / "bin" / "python")
    if settings.qairt_root:
        pythons = [path.parent.parent for path in settings.pythons.values()]
        found += [settings.qairt_root, *pythons, Path.home() / ".pyenv" / "versions"]
    if compiler := vendor.configured(settings):
        found += compiler.reads
    return list(dict.fromkeys(expanded(path).absolute() for path in found))


def need_the_outside(platform: str, settings: Settings) -> bool:
    """Whether a tool of that platform works beyond any wall of ours: a container is run by its engine's service."""
    return platform == "rvc3" and isinstance(vendor.configured(settings), vendor.Container)
