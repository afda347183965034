"""The Python that an SDK's own snpe-onnx-to-dlc runs on: its version, its packages, its shared library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oakmill.errors import ToolchainMissing
from oakmill.processes import sandbox
from oakmill.processes.events import Watcher, ignore
from oakmill.processes.tree import ask
from oakmill.settings import Settings
from oakmill.toolchains import interpreters, making

PACKAGES = ("numpy", "onnx", "pandas", "yaml", "packaging")
"""What the converter cannot start without; the SDK's bin/check-python-dependency knows all."""

LOCKS = {"3.10": Path(__file__).parent / "sdk-python-3.10.lock"}
"""What is installed for the converter of an SDK that Oakmill downloads, for each Python that this is known of.

Public build scripts name these packages; that they do with a real SDK was not tried.
"""
OWN = Path("python", "bin", "python")
"""The interpreter that was made for an SDK, beside its folder."""

_EXTENSION = re.compile(r"libPyIrGraph(3)(\d+)\.so$")
_USUAL = ("3.10", "3.8")
_SECONDS = 30

_WHAT_IS_THERE = """
import importlib.util, sys
print("%d.%d" % sys.version_info[:2])
print(",".join(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))
"""


@dataclass(frozen=True)
class Python:
    """An interpreter, the folders that it must be able to read, and those with its shared library."""

    program: Path
    folders: tuple[Path, ...]
    libraries: tuple[Path, ...]


def versions(root: Path) -> tuple[str, ...]:
    """The Python versions that the SDK's extension modules are built for, the newest first."""
    found = {
        (int(match[1]), int(match[2]))
        for path in (root / "lib" / "python").rglob("libPyIrGraph3*.so")
        if (match := _EXTENSION.search(path.name))
    }
    return tuple(f"{major}.{minor}" for major, minor in sorted(found, reverse=True)) or _USUAL


def make(root: Path, name: str, settings: Settings, watch: Watcher) -> str:
    """Make a Python for the converter beside the SDK's folder; returns its version, "" where none is known to do.

    Raises:
        ToolchainMissing: such a Python, or a package of it, cannot be had here.
    """
    for version in versions(root):
        if lock := LOCKS.get(version):
            found = interpreters.find(version, settings, watch)
            into = root.parent / OWN.parts[0]
            making.fill(into, name, making.Contents(lock), found, settings, watch)
            return version
    return ""


def converter_python(root: Path, settings: Settings, watch: Watcher = ignore) -> Python:
    """A Python of one of those versions with the packages that the converter needs.

    The setting `pythons` may name the interpreter of a virtual environment; its packages are used then.

    Raises:
        ToolchainMissing: there is none; the message says what was looked at and what is missing there.
    """
    wanted = versions(root)
    looked: list[str] = []
    for version, program in _candidates(root, wanted, settings, watch, looked):
        code, answer = ask([program, "-s", "-c", _WHAT_IS_THERE, *PACKAGES], _SECONDS)
        lines = [*answer.splitlines(), "", ""]
        if code != 0 or lines[0] != version:
            looked.append(f"{program}: is no Python {version} that runs")
        elif lines[1]:
            looked.append(f"{program}: lacks the packages {lines[1].replace(',', ', ')}")
        else:
            return Python(program, _folders(program), _libraries(program))
    raise ToolchainMissing(
        "\n  ".join([f"The SDK's snpe-onnx-to-dlc needs Python {' or '.join(wanted)}. Looked at:", *looked]),
        subject=str(root),
        remedy=f"Make a virtual environment of Python {wanted[0]}, run {root / 'bin' / 'check-python-dependency'} in "
        f'it, and name it: OAKMILL_PYTHONS=\'{{"{wanted[0]}": "/path/to/it/bin/python"}}\'.',
    )


def _candidates(
    root: Path, wanted: tuple[str, ...], settings: Settings, watch: Watcher, looked: list[str]
) -> Iterator[tuple[str, Path]]:
    """The interpreters to try: those that the setting names as they are, the SDK's own, and what else is here."""
    named = {version: settings.pythons[version] for version in wanted if version in settings.pythons}
    yield from ((version, path.absolute()) for version, path in named.items())
    if named:
        return
    own = root.parent / OWN
    yield from ((version, own) for version in wanted if version in LOCKS and own.is_file())
    for version in wanted:
        try:
            yield version, interpreters.find(version, settings, watch)
        except ToolchainMissing as error:
            looked.append(error.message)


def _folders(program: Path) -> tuple[Path, ...]:
    """The virtual environment, if it is one, and the interpreter behind it; what lies in /usr is readable anyway."""
    base = sandbox.interpreter_folders(program)
    own = program.parent.parent
    return (own, *base) if (own / "pyvenv.cfg").is_file() else tuple(base)


def _libraries(program: Path) -> tuple[Path, ...]:
    """The folder of the interpreter's shared library, which the SDK's extension modules look for."""
    folder = program.resolve().parent.parent / "lib"
    return (folder,) if any(folder.glob("libpython3*.so*")) else ()
