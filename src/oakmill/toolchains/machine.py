"""What this machine is like: versions, toolchains, sandbox, folders, and settings that differ from their defaults."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from oakmill import __version__
from oakmill.processes import sandbox
from oakmill.settings import Settings
from oakmill.toolchains import catalog

PACKAGES = ("depthai", "luxonis-ml", "numpy", "onnx", "onnxruntime", "onnxslim", "pydantic", "uv")


def examine(settings: Settings) -> dict[str, Any]:
    """All that the doctor knows, as plain data."""
    return {
        "oakmill": __version__,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "system": {"name": platform.platform(), "cores": len(os.sched_getaffinity(0))},
        "packages": {name: _version(name) for name in PACKAGES},
        "isolation": _isolation(settings),
        "toolchains": [asdict(toolchain.status()) for toolchain in catalog.all_toolchains(settings)],
        "folders": [
            _folder("home", settings.home),
            _folder("temporary files", Path(tempfile.gettempdir())),
        ],
        "settings": _changed(settings),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _isolation(settings: Settings) -> dict[str, Any]:
    found, refused = sandbox.probe(), False
    try:
        found = sandbox.choose(settings)
    except sandbox.IsolationMissing:
        refused = True
    return {
        "setting": settings.isolation,
        "level": found.level.value,
        "detail": found.detail,
        "remedy": found.remedy,
        "gaps": list(found.gaps),
        "refused": refused,
    }


def _folder(name: str, path: Path) -> dict[str, Any]:
    """A folder that may not exist yet, with the free space and the permissions of where it will be."""
    nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())
    return {
        "name": name,
        "path": str(path),
        "free_gb": round(shutil.disk_usage(nearest).free / 1e9, 1),
        "writable": os.access(nearest, os.W_OK | os.X_OK),
    }


def _changed(settings: Settings) -> dict[str, dict[str, Any]]:
    """The settings that differ from their defaults, by the variable that sets them."""
    values = settings.model_dump(mode="json")
    defaults = Settings.model_construct().model_dump(mode="json")
    return {
        f"OAKMILL_{name.upper()}": {"value": value, "default": defaults[name]}
        for name, value in values.items()
        if value != defaults[name]
    }
