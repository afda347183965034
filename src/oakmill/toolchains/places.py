"""Where the tools of this machine live: the folders that a conversion has to read besides what it converts."""

from __future__ import annotations

from pathlib import Path

from oakmill.files import expanded
from oakmill.processes import sandbox
from oakmill.settings import Settings
from oakmill.toolchains import environments
from oakmill.toolchains.rvc3 import vendor
from oakmill.toolchains.rvc4 import sdk_install, sdk_python


def folders(settings: Settings) -> list[Path]:
    """The toolchains with their interpreters, calibration sets, and the user's own SDKs; some may not exist."""
    found = [settings.toolchains, settings.datasets, *settings.rvc2_libraries.values()]
    for record in settings.toolchains.glob(f"*/*/{environments.RECORD}"):
        for python in (environments.INTERPRETER, sdk_python.OWN):
            found += sandbox.interpreter_folders(record.parent / python)
    if settings.qairt_root or sdk_install.installed(settings):
        own = [settings.qairt_root] if settings.qairt_root else []
        pythons = [path.parent.parent for path in settings.pythons.values()]
        found += [*own, *pythons, Path.home() / ".pyenv" / "versions"]
    if compiler := vendor.configured(settings):
        found += compiler.reads
    return list(dict.fromkeys(expanded(path).absolute() for path in found))


def need_the_outside(platform: str, settings: Settings) -> bool:
    """Whether a tool of that platform works beyond any wall of ours: a container is run by its engine's service."""
    return platform == "rvc3" and isinstance(vendor.configured(settings), vendor.Container)
