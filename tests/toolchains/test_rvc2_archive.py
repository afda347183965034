"""OpenVINO out of an archive, with real libraries: those of the public package, packed as Intel packs its own.

They are of version 2022.2, so that is the series here; an archive of 2022.3 with the MyriadX plugin was not to be had.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from oakmill.settings import Settings, current
from oakmill.toolchains.rvc2 import openvino_install, tiny
from oakmill.toolchains.rvc2.openvino_install import OpenVino
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain
from tests import in_process
from tests.tools import installed
from tests.unit.toolchains.openvino_archive import packed_as_intel_does

NAME = "rvc2/openvino-2022.2"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without TBB, which Intel's builds for Ubuntu leave to the system."""
    environment = installed(Rvc2Toolchain(current())).require()
    assert environment.libraries
    into = tmp_path_factory.mktemp("archive") / "l_openvino_toolkit.tgz"
    libraries = environment.libraries / "onnxruntime" / "capi"
    return packed_as_intel_does(libraries, into, without=("libtbb.so.2", "libtbbmalloc.so.2"))


def test_it_is_installed_once_it_compiles_and_conversions_use_it(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is installed in this home: the conversion needs what came out of the archive alone."""
    monkeypatch.setattr(openvino_install, "SERIES", "2022.2")
    home = {"OAKMILL_HOME": str(tmp_path)}
    made = in_process.run("toolchains", "install", NAME, "--from", archive, **home)
    assert made.returncode == 0, made.stderr
    assert "leaves libtbb.so.2, libtbbmalloc.so.2 to the system" in made.stderr
    seen = OpenVino(Settings(home=tmp_path)).verify()
    assert seen["openvino"] == "2022.2.0"
    assert seen["blob_sha256"] == Rvc2Toolchain(current()).verify()["blob_sha256"]
    model = tiny.write_model(tmp_path / "tiny.onnx")
    asked = ("--to", "rvc2", "--ir-version", "2022.2", "--blob", "--max-images", "2", "-o", tmp_path / "out")
    converted = in_process.run("convert", model, *asked, **home)
    assert converted.returncode == 0, converted.stderr
    with tarfile.open(tmp_path / "out" / "tiny.rvc2.tar.xz") as packed:
        (name,) = [name for name in packed.getnames() if name.endswith("buildinfo.json")]
        file = packed.extractfile(name)
        assert file is not None
        assert '"compile_tool_version": "2022.2.0"' in json.dumps(json.load(file))


def test_an_archive_of_another_version_is_refused(archive: Path, tmp_path: Path) -> None:
    refused = in_process.run(
        "toolchains", "install", "rvc2/openvino-2022.3", "--from", archive, OAKMILL_HOME=str(tmp_path)
    )
    assert refused.returncode == 6
    assert "is not OpenVINO 2022.3 with the MyriadX compiler: it states the version 2022.2.0" in refused.stderr
    assert not (tmp_path / "toolchains" / "rvc2" / "openvino-2022.3").exists()


def test_libraries_that_do_not_load_are_not_installed(tmp_path: Path) -> None:
    """Their heads are right and the rest is missing: what counts is that a model of 1 kB is compiled."""
    environment = installed(Rvc2Toolchain(current())).require()
    assert environment.libraries
    real = environment.libraries / "onnxruntime" / "capi"
    torn = tmp_path / "torn"
    torn.mkdir()
    for name in ("libopenvino_c.so", "libopenvino_intel_myriad_plugin.so", "libopenvino.so"):
        (torn / name).write_bytes((real / name).read_bytes()[:4096])
    archive = packed_as_intel_does(torn, tmp_path / "torn.tgz")
    refused = in_process.run(
        "toolchains", "install", "rvc2/openvino-2022.3", "--from", archive, OAKMILL_HOME=str(tmp_path)
    )
    assert refused.returncode == 6
    assert "compiles nothing here, and was not installed" in refused.stderr
    assert not (tmp_path / "toolchains" / "rvc2" / "openvino-2022.3").exists()
