"""OpenVINO out of an archive: what is taken of it, which is refused before anything runs, and what a version means.

No archive of Intel's is here: these are made up. tests/toolchains/test_rvc2_archive.py packs real libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from click.testing import CliRunner

from oakmill.cli.toolchains import command
from oakmill.conversion import registry
from oakmill.errors import ToolchainMissing, VersionNotAvailable
from oakmill.settings import Settings
from oakmill.spec import Rvc2Spec
from oakmill.spec.platforms import PLATFORMS
from oakmill.toolchains import catalog, downloading, making, trusted
from oakmill.toolchains.base import State
from oakmill.toolchains.installing import missing, taking_from
from oakmill.toolchains.rvc2 import openvino_install
from oakmill.toolchains.rvc2.openvino_install import OpenVino
from oakmill.toolchains.rvc2.toolchain import Rvc2Toolchain
from oakmill.toolchains.unpacking import ArchiveRefused
from oakmill.web.forms import choices
from tests.unit.toolchains.archive_server import Service, serving
from tests.unit.toolchains.openvino_archive import LIBRARIES, LINKS, ROOT, RUNTIME, parts_of_a_made_up_openvino, tarred

NAME = "rvc2/openvino-2022.3"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(downloading, "PAUSES", (0.0,))
    with serving(Service(tarred(parts_of_a_made_up_openvino(), LINKS), kind="application/gzip")) as it:
        yield it


@pytest.fixture
def home(service: Service, tmp_path: Path) -> Settings:
    """Settings of somebody who named the archive by its address."""
    return taking_from(Settings(home=tmp_path / "home"), f"{service.url}/{ROOT}.tgz")


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that are made up compile nothing, so nothing is asked of them here."""

    def fill(into: Path, *_: object) -> None:
        (into / "bin").mkdir(parents=True)
        (into / "bin" / "python").symlink_to("/bin/true")

    monkeypatch.setattr(making, "fill", fill)
    monkeypatch.setattr(OpenVino, "_tried", lambda self, made, watch: "2022.3.1")
    monkeypatch.setattr(OpenVino, "prove", lambda self, folder: {"files": self.require_unchanged()})


def test_libraries_licences_and_nothing_else_is_taken_from_wherever_they_lie() -> None:
    taken = {
        f"{LIBRARIES}/libopenvino.so.2022.3.0": "libopenvino.so.2022.3.0",
        f"{LIBRARIES}/libopenvino_intel_myriad_plugin.so": "libopenvino_intel_myriad_plugin.so",
        f"{LIBRARIES}/plugins.xml": "plugins.xml",
        f"{RUNTIME}/3rdparty/tbb/lib/libtbb.so.12.5": "libtbb.so.12.5",
        f"{ROOT}/docs/licensing/LICENSE": "LICENSE",
        "runtime/lib/intel64/libopenvino_c.so": "libopenvino_c.so",
        f"intel/{LIBRARIES}/libopenvino_c.so": "libopenvino_c.so",
    }
    for name, place in taken.items():
        assert openvino_install._place(PurePosixPath(name)) == PurePosixPath(place), name
    for name in (
        f"{LIBRARIES}/libopenvino_intel_gpu_plugin.so", f"{LIBRARIES}/usb-ma2x8x.mvcmd",
        f"{LIBRARIES}/vpu_custom_kernels/x.bin", f"{LIBRARIES}/libopenvino_tensorflow_fe.so",
        f"{RUNTIME}/include/ie/ie_core.hpp", f"{ROOT}/tools/compile_tool/compile_tool", f"{ROOT}/setupvars.sh",
        f"a/b/c/{LIBRARIES}/libopenvino_c.so", "libopenvino_c.so",
    ):  # fmt: skip
        assert openvino_install._place(PurePosixPath(name)) is None, name


def test_a_version_is_read_from_the_build_or_else_from_a_file_s_name(tmp_path: Path) -> None:
    (tmp_path / "libopenvino.so.2231").touch()
    words = {"2022.3.0-9052-9752fafe8eb-releases/2022/3": "2022.3.0", "custom_HEAD_cdb9bec7210f": "2022.3.1"}
    for build, version in words.items():
        assert next(openvino_install._versions(build, tmp_path)) == version
    (tmp_path / "libopenvino.so.2231").unlink()
    assert not list(openvino_install._versions("custom_HEAD_cdb9bec7210f", tmp_path))


@pytest.mark.usefixtures("made_up")
def test_it_is_installed_with_its_links_and_gone_on_with_after_a_cut(service: Service, home: Settings) -> None:
    service.cuts = [300, 0]
    tool = OpenVino(home)
    with pytest.raises(ToolchainMissing, match="could not be downloaded whole"):
        tool.install()
    status = tool.install()
    assert (status.name, status.state, status.versions) == (NAME, State.INSTALLED, {"openvino": "2022.3.1"})
    assert service.asked[-1][1] == "bytes=300-"
    folder = home.toolchains / NAME / "openvino"
    assert (folder / "libopenvino.so").resolve().name == "libopenvino.so.2022.3.1"
    assert not list(folder.glob("*gpu*")) and not list(folder.glob("*.mvcmd"))
    (folder / "libopenvino.so.2022.3.1").write_bytes(b"other")
    with pytest.raises(ToolchainMissing, match=r"libopenvino\.so\.2022\.3\.1 is not what was unpacked"):
        tool.require_unchanged()
    service.data = tarred({**parts_of_a_made_up_openvino(), f"{LIBRARIES}/libevil.so": b"new"}, LINKS)
    with pytest.raises(trusted.ArchiveChanged, match=f"The archive of {NAME} has changed"):
        tool.install()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({f"{LIBRARIES}/libopenvino_intel_myriad_plugin.so": None}, "no runtime/lib/intel64/libopenvino_intel_m"),
        ({f"{LIBRARIES}/libopenvino_c.so.2022.3.1": None}, "the link 'libopenvino_c.so' leads to"),
        ({f"{LIBRARIES}/libopenvino_c.so.2022.3.1": b"\x7fELF" + bytes(14) + b"\xb7\0"}, "for another kind of machine"),
        ({f"{LIBRARIES}/libopenvino_c.so.2022.3.1": b"MZ"}, "libopenvino_c.so is for another kind of machine"),
        ({"../evil": b""}, "leads outside"),
    ],
)  # fmt: skip
def test_what_is_no_such_openvino_is_refused_before_it_is_loaded(
    service: Service, home: Settings, change: dict[str, bytes | None], why: str
) -> None:
    """Intel's 2022.3.0 for the public has no MyriadX plugin, and its builds for Raspberry Pi are of another machine."""
    parts = {**parts_of_a_made_up_openvino(), **change}
    service.data = tarred({name: data for name, data in parts.items() if data is not None}, LINKS)
    with pytest.raises(ArchiveRefused) as caught:
        OpenVino(home).install()
    assert why in caught.value.message
    assert f"oakmill toolchains install {NAME} --from FILE_OR_URL" in caught.value.remedy
    assert OpenVino(home).status().state is State.MISSING
    assert trusted.known(NAME, home) is None
    assert [path.name for path in (home.toolchains / "rvc2").iterdir()] == [".openvino-2022.3.lock"]


def test_what_is_no_tgz_is_refused(service: Service, home: Settings, tmp_path: Path) -> None:
    service.data = b"<html><title>Sign in to Drive</title>"
    service.kind = "text/html"
    with pytest.raises(ToolchainMissing, match="gives no archive but text/html, 'Sign in to Drive'"):
        OpenVino(home).install()
    own = tmp_path / "openvino.tgz"
    own.write_bytes(service.data)
    with pytest.raises(ArchiveRefused, match="is damaged: Not a gzipped file"):
        OpenVino(taking_from(home, str(own))).install()


def test_no_archive_is_looked_for_unless_one_is_named(tmp_path: Path) -> None:
    own = Settings(home=tmp_path, install_toolchains=True)
    tool = OpenVino(own)
    assert tool.status().needs_source
    with pytest.raises(ToolchainMissing, match="made out of an archive that you name") as caught:
        tool.install()
    assert caught.value.remedy.startswith(f"oakmill toolchains install {NAME} --from FILE_OR_URL")
    assert not missing([tool], own)
    with pytest.raises(ToolchainMissing, match=r"There is no file nowhere\.tgz"):
        taking_from(own, "nowhere.tgz")


def test_the_command_takes_an_archive_for_what_is_made_out_of_one_alone(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").touch()
    for names in (["rvc2"], [NAME, "rvc4/qairt-2.41.0"]):
        refused = CliRunner().invoke(command, ["install", *names, "--from", str(tmp_path / "a.tgz")])
        assert refused.exit_code == 2
        assert "--from names the archive of one toolchain" in refused.output


# conversions


def test_its_version_is_not_available_until_it_is_installed(tmp_path: Path) -> None:
    own = Settings(home=tmp_path)
    assert catalog.find("rvc2/openvino-2022.3.0", own).name == catalog.find(NAME, own).name == NAME
    for asked in ("2022.3", "2022.3.0", "2022.3.1"):
        with pytest.raises(VersionNotAvailable, match=f"IR version {asked} is not available") as caught:
            registry.of(Rvc2Spec(ir_version=asked), own)
        assert f"oakmill toolchains install {NAME} --from FILE_OR_URL" in caught.value.remedy
    with pytest.raises(ToolchainMissing):
        registry.of(Rvc2Spec(), own)


@pytest.mark.usefixtures("made_up")
def test_once_installed_it_compiles_what_asks_for_it_and_stands_in_the_form(home: Settings) -> None:
    OpenVino(home).install()
    for asked in ("2022.3", "2022.3.0", "2022.3.1"):
        platform = registry.of(Rvc2Spec(ir_version=asked), home)
        assert [(tool.name, tool.version) for tool in platform.toolchains] == [(NAME, "2022.3.1")]  # type: ignore[attr-defined]
    assert openvino_install.of_version("2022.3.2", home) is None
    tools = PLATFORMS["rvc2"].tools
    assert tools is not None
    labels = {option.value: option.label for option in choices._versions(tools, home)}
    assert labels["2022.3.0"] == "2022.3.0 – installed (2022.3.1)"
    assert labels["2021.4.2"].startswith("2021.4.2 – needs")


@pytest.mark.usefixtures("made_up")
def test_the_user_s_own_openvino_wins(home: Settings, tmp_path: Path) -> None:
    OpenVino(home).install()
    own = home.model_copy(update={"rvc2_libraries": {"2022.3.0": tmp_path}})
    assert type(openvino_install.compiler("2022.3.0", own)) is Rvc2Toolchain
    assert type(openvino_install.compiler("2022.3.1", own)) is OpenVino
