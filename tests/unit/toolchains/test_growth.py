"""What an installation tells of itself: megabytes, and nothing that it does not know."""

from __future__ import annotations

from pathlib import Path

from oakmill.processes.events import ToolEvent
from oakmill.settings import Settings
from oakmill.toolchains import catalog
from oakmill.toolchains.archived import Archived
from oakmill.toolchains.growth import SIZES_MB, Growth


def told(growth: Growth, heard: list[ToolEvent]) -> tuple[str, int, int, str]:
    last = heard[-1]
    return last.what.partition(" ")[0], last.done, last.total, last.unit


def test_megabytes_that_come_and_then_lie_there(tmp_path: Path) -> None:
    heard: list[ToolEvent] = []
    growth = Growth("rvc2/x", heard.append, size_mb=400, made=tmp_path / "made", arriving=tmp_path)
    for line in ("Resolved 2 packages in 1ms", "Downloading numpy (10.0MiB)", "Downloading openvino (0.1GiB)"):
        growth.hear(ToolEvent(line=line))
    assert told(growth, heard) == ("downloading", 0, 118, "MB")
    (tmp_path / ".tmpA").mkdir()
    (tmp_path / ".tmpA" / "half").write_bytes(bytes(20_000_000))
    growth.written(0)
    assert told(growth, heard) == ("downloading", 7, 118, "MB")
    growth.hear(ToolEvent(line=" Downloaded numpy\n"))
    assert told(growth, heard) == ("downloading", 10, 118, "MB")
    growth.hear(ToolEvent(line=" Downloaded openvino"))
    growth.written(100_000_000)
    assert told(growth, heard) == ("unpacking", 100, 400, "MB")
    growth.written(900_000_000)
    assert told(growth, heard) == ("unpacking", 396, 400, "MB")
    lib = tmp_path / "made" / "lib" / "__pycache__"
    lib.mkdir(parents=True)
    for name in ("../a.py", "../b.py", "a.cpython-311.pyc"):
        (lib / name).touch()
    growth.written(900_000_000)
    assert told(growth, heard) == ("compiling", 1, 2, "modules")


def test_of_an_environment_of_unknown_size_only_what_is_downloaded_is_told(tmp_path: Path) -> None:
    heard: list[ToolEvent] = []
    Growth("a/b", heard.append).written(5_000_000)
    assert heard == []


def test_every_toolchain_that_is_installed_from_packages_says_what_it_takes() -> None:
    settings = Settings()
    managed = {
        name
        for item in catalog.all_toolchains(settings)
        if (name := getattr(item, "environment", ""))
        and not isinstance(item, Archived)  # its server says how long it is
    }
    assert managed <= SIZES_MB.keys(), managed - SIZES_MB.keys()
