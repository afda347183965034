"""Qualcomm's SDK at a device's version is installed by one command, remembered, and used by the conversions that ask.

No real SDK is here, and none was tried: a server on this machine gives an archive that is made up, in the layout of
the real one, whose programs do nothing. So nothing here is a proof that anything is converted by it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from oakmill.cli.toolchains import command
from oakmill.conversion import registry
from oakmill.errors import LicenceNotAccepted, ToolchainBroken, ToolchainMissing, VersionNotAvailable
from oakmill.processes.events import ToolEvent
from oakmill.settings import Settings
from oakmill.spec import Rvc4Spec
from oakmill.toolchains import catalog, downloading, environments, places, trusted
from oakmill.toolchains.base import State
from oakmill.toolchains.installing import accepting, missing
from oakmill.toolchains.rvc4 import sdk_install, sdk_python
from oakmill.toolchains.rvc4.sdk import HOST
from oakmill.toolchains.rvc4.sdk_install import LICENCE, QairtSdk
from oakmill.toolchains.unpacking import ArchiveRefused
from tests.unit.toolchains.archive_server import ROOT, VERSION, Service, parts_of_a_made_up_sdk, serving, zipped
from tests.unit.toolchains.test_environments import OURS, wheel

NAME = f"rvc4/qairt-{VERSION}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "PAUSES", (0.0,))


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service(zipped(parts_of_a_made_up_sdk()))) as it:
        yield it


@pytest.fixture
def home(service: Service, tmp_path: Path) -> Settings:
    """Settings of somebody who accepts the licence, with the service as the source."""
    own = Settings(home=tmp_path / "home", qairt_source=f"{service.url}/All/{{version}}/v{{version}}.zip")
    return accepting(own, LICENCE)


def test_it_is_downloaded_checked_unpacked_and_found(service: Service, home: Settings) -> None:
    told: list[ToolEvent] = []
    status = QairtSdk(home, VERSION).install(told.append)
    assert (status.name, status.state) == (NAME, State.INSTALLED)
    assert service.asked == [(f"/All/{VERSION}/v{VERSION}.zip", "")]
    folder = home.toolchains / NAME
    assert sorted(path.relative_to(folder / VERSION).as_posix() for path in (folder / VERSION).glob("*/*")) == [
        "bin/check-python-dependency", f"bin/{HOST}", "lib/python", f"lib/{HOST}",
    ]  # fmt: skip
    assert not list(folder.rglob("*windows*"))
    assert QairtSdk(home, VERSION).sdk.tool("snpe-dlc-quant").stat().st_mode & 0o111
    assert any("no sum is published to compare it with" in event.line for event in told)
    assert not list(folder.parent.glob(".*.part*"))
    seen = QairtSdk(home, VERSION).verify()
    assert seen["files"] == 13
    assert str(seen["compiled"]).startswith("nothing")


def test_the_list_names_those_on_devices_and_all_others_by_their_version(home: Settings) -> None:
    names = [tool.name for tool in catalog.all_toolchains(home)]
    assert {NAME, "rvc4/qairt-2.32.6.250402"} < set(names)
    assert catalog.find("rvc4/qairt-2.41.0", home).name == NAME
    assert catalog.find("rvc4/qairt-2.32.6", home).name == "rvc4/qairt-2.32.6.250402"
    assert catalog.find("rvc4/qairt-2.40.0.251030", home).name == "rvc4/qairt-2.40.0.251030"
    assert catalog.find("rvc4", home).name == catalog.find("rvc4/qairt", home).name == "rvc4/qairt-2.51"
    for wrong in ("rvc4/qairt-2.39.0", "rvc4/qairt-latest", "rvc4/qairt-2.41.0.251128/..", "rvc4/qairt-"):
        with pytest.raises(ToolchainMissing, match="There is no toolchain"):
            catalog.find(wrong, home)


@pytest.mark.parametrize("answer", ["", "MIT", "AGPL-3.0", "yes"])
def test_nothing_is_asked_of_anybody_before_the_licence_is_accepted(
    service: Service, tmp_path: Path, answer: str
) -> None:
    own = Settings(home=tmp_path, qairt_source=service.url, accepted_licences=(answer,) if answer else ())
    with pytest.raises(LicenceNotAccepted, match="The SDK is Qualcomm's, under its own terms") as caught:
        QairtSdk(own, VERSION).install()
    assert caught.value.remedy == f"oakmill toolchains install {NAME} --accept-licence Qualcomm-AI-Stack-License"
    assert service.asked == []


def test_a_second_installation_is_compared_with_the_first_even_after_a_removal(
    service: Service, home: Settings
) -> None:
    """The archive is trusted once. One that has changed since is refused, whatever is in it, and what is here stays."""
    QairtSdk(home, VERSION).install()
    told: list[ToolEvent] = []
    QairtSdk(home, VERSION).install(told.append)
    assert any("as at its first use" in event.line for event in told)
    service.data = zipped({**parts_of_a_made_up_sdk(), f"{ROOT}/lib/python/new.py": b"import os"})
    for removed in (False, True):
        if removed:
            assert environments.remove(NAME, home)
        with pytest.raises(trusted.ArchiveChanged, match=f"The archive of {NAME} has changed") as caught:
            QairtSdk(home, VERSION).install()
        assert (home.toolchains / NAME).exists() != removed
        assert not list((home.toolchains / "rvc4").glob(".*.part*"))
    record = Path(caught.value.remedy.rpartition("rm ")[2])
    record.unlink()
    assert QairtSdk(home, VERSION).install().state is State.INSTALLED


def test_a_record_of_the_first_use_that_cannot_be_read_trusts_nothing(service: Service, home: Settings) -> None:
    QairtSdk(home, VERSION).install()
    trusted.record_of(NAME, home).write_text("{}")
    service.asked.clear()
    with pytest.raises(trusted.ArchiveChanged, match="cannot be read"):
        QairtSdk(home, VERSION).install()
    assert service.asked == []


def test_a_file_changed_since_is_found_by_a_verification(home: Settings) -> None:
    QairtSdk(home, VERSION).install()
    (home.toolchains / NAME / VERSION / "lib" / HOST / "libQnnHtp.so").write_bytes(b"other")
    with pytest.raises(ToolchainBroken, match=r"libQnnHtp\.so is not what was unpacked") as caught:
        QairtSdk(home, VERSION).verify()
    assert caught.value.remedy.startswith(f"oakmill toolchains install {NAME}")


def test_a_part_that_is_gone_makes_it_broken(home: Settings) -> None:
    QairtSdk(home, VERSION).install()
    (home.toolchains / NAME / VERSION / "lib" / HOST / "libQnnIr.so").unlink()
    status = QairtSdk(home, VERSION).status()
    assert status.state is State.BROKEN
    assert "libQnnIr.so missing" in status.detail


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (zipped({"readme.txt": b"no SDK"}), f"there is no bin/{HOST}"),
        (zipped({f"{ROOT}/sdk.yaml": b"version: 2.41.0"}), f"there is no bin/{HOST}"),
        (zipped(parts_of_a_made_up_sdk(stated="2.40.0")), "it states the version 2.40.0"),
        (zipped({**parts_of_a_made_up_sdk(), "../evil": b""}), "leads outside"),
        (zipped(parts_of_a_made_up_sdk())[:-40], "is damaged"),
    ],
)
def test_what_is_no_such_sdk_is_refused_and_not_remembered(
    service: Service, home: Settings, data: bytes, why: str
) -> None:
    service.data = data
    with pytest.raises(ArchiveRefused) as caught:
        QairtSdk(home, VERSION).install()
    assert why in caught.value.message
    assert f"--from /path/v{VERSION}.zip" in caught.value.remedy
    assert trusted.known(NAME, home) is None
    assert QairtSdk(home, VERSION).status().state is State.MISSING
    service.data = zipped(parts_of_a_made_up_sdk())
    assert QairtSdk(home, VERSION).install().state is State.INSTALLED


def test_a_full_disk_is_told_with_the_folder(home: Settings) -> None:
    """Bytes that do not fit after all: /dev/full takes none."""
    part = environments.part_of(NAME, home)
    with pytest.raises(ToolchainMissing, match="No space left on device") as caught:
        _filling(QairtSdk(home, VERSION), part)
    assert "Free some space there" in caught.value.remedy


def _filling(tool: QairtSdk, part: Path) -> None:
    """Install, with a part that is a device without room, put there once the old one was cleared away."""

    def watch(event: ToolEvent) -> None:
        if event.line.startswith("Downloading"):
            part.symlink_to("/dev/full")

    tool.install(watch)


def test_two_installations_at_once_make_one(service: Service, home: Settings) -> None:
    ready, told = threading.Barrier(2), list[str]()

    def install() -> None:
        ready.wait()
        QairtSdk(home, VERSION).install(lambda event: told.append(event.line))

    threads = [threading.Thread(target=install) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert any(line.startswith("Waiting for another process") for line in told)
    assert len(service.asked) == 1
    assert QairtSdk(home, VERSION).status().state is State.INSTALLED


def test_an_installation_that_was_killed_is_gone_on_with(service: Service, home: Settings) -> None:
    """By kill -9 in the middle of the download: nothing of it counts as installed, what came is not fetched twice."""
    service.data = zipped({f"{ROOT}/lib/python/large": os.urandom(300_000), **parts_of_a_made_up_sdk()})
    service.cuts, service.holds = [200_000], threading.Event()
    words = [sys.executable, "-m", "oakmill", "toolchains", "install", NAME, "--accept-licence", LICENCE]
    variables = {**os.environ, "OAKMILL_HOME": str(home.home), "OAKMILL_QAIRT_SOURCE": home.qairt_source}  # noqa: TID251
    part = environments.part_of(NAME, home)
    with subprocess.Popen(words, env=variables, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size > 100_000) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    service.holds.set()
    assert QairtSdk(home, VERSION).status().state is State.MISSING
    assert QairtSdk(home, VERSION).install().state is State.INSTALLED
    (first, second) = (range_ for _, range_ in service.asked)
    assert first == ""
    assert 100_000 < int(second.removeprefix("bytes=").removesuffix("-")) <= 200_000


def test_a_file_that_is_here_needs_no_network(home: Settings, tmp_path: Path, service: Service) -> None:
    archive = tmp_path / "my archive.zip"
    archive.write_bytes(service.data)
    own = home.model_copy(update={"qairt_source": archive.as_uri()})
    assert QairtSdk(own, VERSION).install().state is State.INSTALLED
    assert archive.exists()
    assert service.asked == []
    archive.unlink()
    with pytest.raises(ToolchainMissing, match="There is no file"):
        QairtSdk(own, VERSION).install()


def test_a_removal_takes_what_a_cut_download_left_too(service: Service, home: Settings) -> None:
    service.cuts = [1000, 0]
    with pytest.raises(ToolchainMissing, match="could not be downloaded whole"):
        QairtSdk(home, VERSION).install()
    assert list((home.toolchains / "rvc4").glob(".*.part*"))
    assert environments.remove(NAME, home)
    assert not list((home.toolchains / "rvc4").glob(".*.part*"))
    assert not environments.remove(NAME, home)


def test_the_command_installs_lists_verifies_and_removes_it(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAKMILL_HOME", str(tmp_path))
    monkeypatch.setenv("OAKMILL_QAIRT_SOURCE", service.url + "/v{version}.zip")
    monkeypatch.setattr("oakmill.cli.toolchains.current", Settings)
    run = CliRunner()
    refused = run.invoke(command, ["install", NAME, "--accept-licence", "MIT"])
    assert isinstance(refused.exception, LicenceNotAccepted)
    made = run.invoke(command, ["install", NAME, "--accept-licence", LICENCE])
    assert made.exception is None, made.output
    assert f"{NAME}: installed and verified" in made.output
    listed = json.loads(run.invoke(command, ["list", "--json"]).stdout)
    assert next(row["state"] for row in listed if row["name"] == NAME) == "installed"
    assert "works; sdk 2.41.0, files 13" in run.invoke(command, ["verify", NAME]).output
    assert "removed" in run.invoke(command, ["remove", NAME]).output
    own, asked = tmp_path / "mine.zip", len(service.asked)
    own.write_bytes(service.data)
    again = run.invoke(command, ["install", NAME, "--accept-licence", LICENCE, "--from", str(own)])
    assert f"{NAME}: installed and verified" in again.output and "as at its first use" in again.output
    assert len(service.asked) == asked


# its Python


def test_a_python_with_what_its_converter_needs_is_made_for_it(
    service: Service, home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real uv, from a wheel of our own."""
    lock = tmp_path / "own.lock"
    lock.write_text(f"--no-index\n--find-links {tmp_path}\n{wheel(tmp_path, 'converting')}")
    monkeypatch.setattr(sdk_python, "LOCKS", {OURS: lock})
    monkeypatch.setattr(sdk_python, "PACKAGES", ("converting",))
    service.data = zipped(parts_of_a_made_up_sdk(python=OURS.replace(".", "")))
    tool = QairtSdk(home, VERSION)
    tool.install()
    python = sdk_python.converter_python(tool.sdk.root, home)
    assert python.program == home.toolchains / NAME / "python" / "bin" / "python"
    assert set(python.folders) <= set(places.folders(home)) | {home.toolchains / NAME / "python"}
    python.program.unlink()
    assert tool.status().state is State.BROKEN


def test_without_such_a_python_all_else_is_installed_and_that_is_told(
    service: Service, home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_python, "LOCKS", {"3.5": tmp_path / "none.lock"})
    own = home.model_copy(update={"pythons": {"3.5": Path("/bin/false")}})
    for data, why in ((parts_of_a_made_up_sdk(python="35"), "does not run"), (None, "is not known")):
        service.data = zipped(data) if data else zipped(parts_of_a_made_up_sdk(python="37"))
        trusted.record_of(NAME, home).unlink(missing_ok=True)
        told: list[ToolEvent] = []
        assert QairtSdk(own, VERSION).install(told.append).state is State.INSTALLED
        (line,) = (event.line for event in told if event.line.startswith("No Python was made"))
        assert why in line


# conversions


@pytest.fixture
def furnished(home: Settings) -> Settings:
    """A home with the made-up SDK, and the real public toolchain, which writes with any SDK's libraries."""
    public = Settings().toolchains / "rvc4" / "qairt-2.51"
    if not public.exists():
        pytest.skip("the toolchain rvc4 is not installed here")
    QairtSdk(home, VERSION).install()
    (home.toolchains / "rvc4" / "qairt-2.51").symlink_to(public)
    return home


def test_a_conversion_that_asks_for_its_version_uses_its_libraries_and_tools(furnished: Settings) -> None:
    for asked in ("2.41.0", "2.41", VERSION):
        platform = registry.of(Rvc4Spec(snpe_version=asked, device_runtime="2.41.0"), furnished)
        assert platform.sdk.root == furnished.toolchains / NAME / VERSION  # type: ignore[attr-defined]
        assert [tool.name for tool in platform.toolchains] == ["rvc4/qairt-2.41.0", NAME]
    plain = registry.of(Rvc4Spec(), furnished)
    assert plain.sdk is None  # type: ignore[attr-defined]
    assert [tool.name for tool in plain.toolchains] == ["rvc4/qairt-2.51"]


def test_arguments_that_only_its_tools_carry_out_are_taken_with_it(furnished: Settings) -> None:
    spec = Rvc4Spec(snpe_version="2.41.0", snpe_dlc_quant_args=("--algorithms", "cle"))
    assert registry.of(spec, furnished).options.vendor_front  # type: ignore[attr-defined]


def test_the_users_own_sdk_wins(furnished: Settings, tmp_path: Path) -> None:
    own = tmp_path / VERSION
    shutil.copytree(furnished.toolchains / NAME / VERSION, own)
    settings = furnished.model_copy(update={"qairt_root": own})
    platform = registry.of(Rvc4Spec(snpe_version="2.41.0"), settings)
    assert platform.sdk.root == own  # type: ignore[attr-defined]


def test_libraries_that_do_not_work_make_the_verification_fail(furnished: Settings) -> None:
    """Those of the made-up SDK do not: a real one has to compile a model of 1 kB here."""
    with pytest.raises(ToolchainBroken, match=f"{NAME} is installed whole, but nothing can be compiled"):
        QairtSdk(furnished, VERSION).verify()


def test_a_version_that_is_not_here_names_the_command_that_installs_it(home: Settings) -> None:
    with pytest.raises(VersionNotAvailable, match=r"SNPE 2\.32\.6 is not available") as caught:
        registry.of(Rvc4Spec(snpe_version="2.32.6"), home)
    assert caught.value.remedy.startswith(
        "Install it: oakmill toolchains install rvc4/qairt-2.32.6.250402 --accept-licence Qualcomm-AI-Stack-License. Or"
    )


def test_it_is_installed_for_a_conversion_only_at_the_operators_word(home: Settings) -> None:
    spec = Rvc4Spec(snpe_version="2.41.0")
    allowed = home.model_copy(update={"install_toolchains": True})
    assert NAME in [tool.name for tool in missing(registry.needed_toolchains(spec, allowed), allowed)]
    unasked = allowed.model_copy(update={"accepted_licences": ()})
    assert NAME not in [tool.name for tool in missing(registry.needed_toolchains(spec, unasked), unasked)]
    assert sdk_install.needed(Rvc4Spec(), home) == []
    assert sdk_install.needed(Rvc4Spec(snpe_version="2.39"), home) == []


def test_a_job_behind_the_wall_may_read_the_pythons_of_its_converter(home: Settings) -> None:
    pyenv = Path.home() / ".pyenv" / "versions"
    assert pyenv.absolute() not in places.folders(home)
    QairtSdk(home, VERSION).install()
    assert pyenv.absolute() in places.folders(home)
