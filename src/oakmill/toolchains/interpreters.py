"""Finds a Python of a given version for a toolchain, and makes sure that it runs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from oakmill.errors import ToolchainMissing
from oakmill.processes.events import ToolEvent, Watcher, ignore
from oakmill.processes.tree import ask
from oakmill.processes.uv import uv
from oakmill.settings import Settings

_START_SECONDS = 10
_DOWNLOAD_SECONDS = 600

# Prints the version and the real interpreter, past virtual environments and pyenv's shims.
_WHO = """
import os, sys
print("%d.%d" % sys.version_info[:2])
print(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))
"""


def find(version: str, settings: Settings, watch: Watcher = ignore) -> Path:
    """A Python interpreter of `version` ("3.9"), the real file, tried out.

    Looks at the setting `pythons`, the Python that runs Oakmill, the PATH, pyenv's folder and uv's
    interpreters, and lets uv download one last of all.

    Raises:
        ToolchainMissing: there is none, or the one that the setting names does not do.
    """
    if version in settings.pythons:
        return _chosen(version, settings.pythons[version])
    looked = []
    for place, candidate in _candidates(version, watch):
        found, problem = _try(candidate, version) if isinstance(candidate, Path) else (None, candidate)
        if found:
            return found
        looked.append(f"{place}: {problem}")
    raise ToolchainMissing(
        "\n  ".join([f"There is no Python {version} here. Looked at:", *looked]),
        subject=f"Python {version}",
        remedy=f"Install it (pyenv install {version}, or uv python install {version}), or name one that is there: "
        f'OAKMILL_PYTHONS=\'{{"{version}": "/path/to/python{version}"}}\'.',
    )


def find_first(versions: Sequence[str], settings: Settings, watch: Watcher = ignore) -> Path:
    """An interpreter of the first of some versions, the best first, that is here or can be had.

    Raises:
        ToolchainMissing: there is none of any; what is said is of the last.
    """
    missing = ToolchainMissing()
    for version in versions:
        try:
            return find(version, settings, watch)
        except ToolchainMissing as error:
            missing = error
    raise missing


def _chosen(version: str, python: Path) -> Path:
    found, problem = _try(python, version)
    if found:
        return found
    raise ToolchainMissing(
        f"OAKMILL_PYTHONS names {python} for Python {version}, but: {problem}.",
        subject=f"Python {version}",
        remedy=f"Name a Python {version} that runs, or take the entry out to have one looked for.",
    )


def _candidates(version: str, watch: Watcher) -> Iterator[tuple[str, Path | str]]:
    """The places to look, in order, each with the interpreter there or the reason why there is none."""
    yield "the Python that runs Oakmill", Path(sys.executable)
    on_path = [Path(folder) / f"python{version}" for folder in os.get_exec_path()]
    yield from _listed("the PATH", [path for path in on_path if path.exists()], f"no python{version}")
    pyenv = Path.home() / ".pyenv" / "versions"
    newest_first = sorted(pyenv.glob(f"{version}.*/bin/python"), key=_patch, reverse=True)
    yield from _listed(str(pyenv), newest_first, f"no {version}")
    yield "uv's interpreters", _from_uv(version)
    watch(ToolEvent(line=f"Letting uv download Python {version} ..."))
    yield "uv's downloads", _download(version)


def _listed(place: str, found: list[Path], none: str) -> Iterator[tuple[str, Path | str]]:
    yield from ((str(path), path) for path in found)
    if not found:
        yield place, none


def _patch(python: Path) -> int:
    number = re.match(r"\d+\.\d+\.(\d+)", python.parent.parent.name)
    return int(number[1]) if number else -1


def _try(python: Path, version: str) -> tuple[Path | None, str]:
    """The real interpreter behind `python` if it runs and is of the version, else what is wrong with it."""
    code, answer = ask([python, "-I", "-c", _WHO], _START_SECONDS)
    lines = answer.strip().splitlines()
    if code != 0:
        return None, f"does not run ({lines[0] if lines else f'exit code {code}'})"
    if len(lines) < 2:
        return None, "is not a Python"
    if lines[-2] != version:
        return None, f"is Python {lines[-2]}"
    return Path(lines[-1]), ""


def _from_uv(version: str) -> Path | str:
    code, answer = ask(
        [uv(), "python", "find", "--managed-python", "--no-python-downloads", "--no-project", "-q", version],
        _START_SECONDS,
    )
    return Path(answer.strip()) if code == 0 and answer.strip() else "none"


def _download(version: str) -> Path | str:
    code, answer = ask([uv(), "python", "install", "--no-bin", "--no-progress", version], _DOWNLOAD_SECONDS)
    if code == 0:
        return _from_uv(version)
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    return f"failed ({'; '.join([*lines[:1], *lines[-1:]])})"
