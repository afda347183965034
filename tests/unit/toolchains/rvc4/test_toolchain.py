"""What our side says of a machine that cannot run QAIRT, and how it reads quantized numbers."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest

from oakmill.errors import ToolchainBroken, ToolchainMissing, VersionNotAvailable
from oakmill.settings import Settings
from oakmill.toolchains import environments
from oakmill.toolchains.base import State
from oakmill.toolchains.rvc4 import toolchain
from oakmill.toolchains.rvc4.toolchain import Port, Rvc4Toolchain


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    package = tmp_path / "lib" / "python3.11" / "site-packages" / "onnxruntime_qnn"
    package.mkdir(parents=True)
    for name in ("libQnnHtp.so", "libQnnIr.so", "libQnnSystem.so"):
        (package / name).touch()
    found = environments.Environment("rvc4/qairt-2.51", tmp_path, tmp_path / "python", None, "", "")
    monkeypatch.setattr(environments, "require", lambda *_: found)
    return Settings(home=tmp_path)


def test_a_whole_environment_is_installed(installed: Settings, tmp_path: Path) -> None:
    found = Rvc4Toolchain(installed)
    assert found.name == "rvc4/qairt-2.51"
    assert found.status().state is State.INSTALLED
    (tmp_path / "lib/python3.11/site-packages/onnxruntime_qnn/libQnnIr.so").unlink()
    with pytest.raises(ToolchainBroken, match=r"no libQnnIr\.so"):
        found.require()


def test_another_version_needs_libraries_of_it(installed: Settings, tmp_path: Path) -> None:
    with pytest.raises(VersionNotAvailable, match=r"2\.41 is not available.*carries 2\.51") as caught:
        Rvc4Toolchain(installed, "2.41").require()
    assert "--qairt-root" in caught.value.remedy
    own = Rvc4Toolchain(installed, "2.41", tmp_path / "sdk")
    assert own.name == "rvc4/qairt-2.41"
    assert own.status().state is State.BROKEN


@pytest.mark.parametrize(
    ("words", "version", "message"),
    [
        ("glibc 2.35", (2, 35), None),
        ("glibc 2.34", (2, 34), r"needs glibc 2\.35 or newer; this system has glibc 2\.34"),
        (None, (0, 0), "this system has another C library"),
        ("glibc devel", (0, 0), "this system has another C library"),
    ],
)
def test_an_old_system_is_told_so(
    words: str | None,
    version: tuple[int, int],
    message: str | None,
    installed: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "confstr", lambda _: words)
    assert toolchain.glibc() == version
    if message:
        with pytest.raises(ToolchainMissing, match=message):
            Rvc4Toolchain(installed).require()
    else:
        Rvc4Toolchain(installed).require()


def test_a_system_without_libatomic_is_told_the_package(installed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """libQnnSystem.so is linked against it, and slim images lack it."""

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(ToolchainMissing, match=r"needs libatomic\.so\.1") as caught:
        Rvc4Toolchain(installed).require()
    assert "libatomic1" in caught.value.remedy


def test_a_quantized_port_gives_real_values() -> None:
    stored = np.array([0, 127, 255], np.uint8)
    real = Port("scores", (3,), "uint8", 0.5, -127).real(stored)
    assert real.dtype == np.float32
    np.testing.assert_array_equal(real, np.array([-63.5, 0, 64], np.float32))
    plain = Port("labels", (3,), "int32", None, None).real(stored)
    assert plain is stored
