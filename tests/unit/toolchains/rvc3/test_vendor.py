"""The vendor's compile_tool plugs in by a setting; here stand-ins take its place, and the real one was never run."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from oakmill.errors import (
    CompileFailed,
    LimitExceeded,
    ToolchainBroken,
    ToolchainMissing,
    ToolKilled,
    VerificationFailed,
)
from oakmill.settings import Settings
from oakmill.toolchains import catalog
from oakmill.toolchains.base import State
from oakmill.toolchains.rvc3 import tiny, vendor

# Notes its arguments and a network's size beside the blob, as the real tool would write it for `-o FILE`.
TOOL = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in -o) out=$2 ;; -m) model=$2 ;; -c) cat "$2" >>"$PWD/said" ;; esac
    echo "$1" >>"$PWD/said"
    shift
done
echo "library path: $LD_LIBRARY_PATH"
[ -r "$model" ] || exit 3
printf '\\0\\1\\2\\3BLOB and more' >"$out"
"""
# What docker is asked, and the container's own work done in the folder that it is given.
ENGINE = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/asked"
case $1 in
    image) case $5 in known*) echo sha256:1234 ;; *) echo "no such image" >&2; exit 1 ;; esac ;;
    run)
        for word in "$@"; do
            case $word in *:/job) folder=${word%:/job} ;; -o) last=1 ;; /job/*) [ -n "${last:-}" ] && out=$word ;; esac
        done
        printf '\\0\\0\\0\\0BLOB' >"$folder/${out#/job/}" ;;
esac
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def ir(tmp_path: Path) -> Path:
    return tiny.write_ir(tmp_path / "tiny.xml")


def local(tool: Path, **settings: object) -> vendor.VendorCompiler:
    found = vendor.configured(Settings(home=tool.parent, rvc3_compile_tool=tool).model_copy(update=settings))
    assert isinstance(found, vendor.LocalTool)
    return found


def test_without_a_setting_there_is_no_compiler() -> None:
    assert vendor.configured(Settings()) is None


def test_a_tool_of_ones_own_compiles_in_the_sandbox(ir: Path, tmp_path: Path) -> None:
    tool = program(tmp_path / "tools" / "compile_tool", TOOL)
    made = local(tool).compile(ir, tmp_path / "job", ["-ip", "U8"], {"PERF_COUNT": "YES"})
    assert made.read_bytes()[4:8] == b"BLOB"
    said = (tmp_path / "job" / "said").read_text()
    assert said.startswith("-d\nVPUX.3400\n-ip\nU8\n-m\n")
    assert "PERF_COUNT YES" in said


def test_an_installation_s_libraries_are_found_beside_its_setupvars(ir: Path, tmp_path: Path) -> None:
    root = tmp_path / "openvino"
    tool = program(root / "tools" / "compile_tool" / "compile_tool", TOOL)
    program(root / "setupvars.sh", "")
    (root / "runtime" / "lib" / "intel64").mkdir(parents=True)
    local(tool).compile(ir, tmp_path / "job", [])
    assert (
        f"library path: {root}/runtime/lib/intel64:{root}/tools/compile_tool" in (tmp_path / "job/log.txt").read_text()
    )


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (
            "echo 'Unsupported layer: GridSample' >&2; exit 1",
            CompileFailed,
            "exit code 1: Unsupported layer: GridSample",
        ),
        ("exit 0", CompileFailed, "wrote no model.blob"),
        ("ln -s /etc/hostname model.blob", ToolKilled, r"left model\.blob, which is no plain file"),
        ("printf 'MyriadX!' >model.blob", VerificationFailed, "no blob for RVC3"),
        (": >model.blob", VerificationFailed, "begins with nothing"),
        ("sleep 60", LimitExceeded, "was not done after 1 s"),
    ],
    ids=["refuses", "writes nothing", "links elsewhere", "writes another blob", "writes an empty one", "hangs"],
)
def test_what_it_does_wrong_is_told(text: str, error: type[Exception], words: str, ir: Path, tmp_path: Path) -> None:
    tool = program(tmp_path / "tools" / "compile_tool", f"#!/bin/sh\n{text}\n")
    with pytest.raises(error, match=words):
        local(tool, tool_seconds=1).compile(ir, tmp_path / "job", [])


def test_a_tool_that_is_not_there_is_told_with_the_setting(tmp_path: Path) -> None:
    missing = local(tmp_path / "compile_tool")
    with pytest.raises(ToolchainMissing) as raised:
        missing.require()
    assert "OAKMILL_RVC3_COMPILE_TOOL" in raised.value.remedy
    assert missing.status().state is State.MISSING


def test_it_is_listed_with_its_digest_and_verified_by_work(tmp_path: Path) -> None:
    tool = program(tmp_path / "tools" / "compile_tool", TOOL)
    found = catalog.find(vendor.NAME, Settings(home=tmp_path, rvc3_compile_tool=tool))
    assert (found.status().state, len(found.status().digest)) == (State.INSTALLED, 64)
    assert found.verify() == {"blob_bytes": 17}
    program(tool, "#!/bin/sh\nexit 1\n")
    with pytest.raises(ToolchainBroken, match="installed but does not work"):
        found.install()


class TestContainer:
    @pytest.fixture(autouse=True)
    def engine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "engine"
        program(folder / "podman", ENGINE)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return folder

    def compiler(self, image: str = "known/image:1", **settings: object) -> vendor.VendorCompiler:
        given = Settings(rvc3_container=image, rvc3_container_engine="podman")
        found = vendor.configured(given.model_copy(update=settings))
        assert isinstance(found, vendor.Container)
        return found

    def test_it_has_no_network_no_rights_and_one_folder(self, ir: Path, tmp_path: Path, engine: Path) -> None:
        made = self.compiler().compile(ir, tmp_path / "job", ["-ip", "U8"])
        assert made.read_bytes()[4:8] == b"BLOB"
        _, asked = (engine / "asked").read_text().splitlines()
        for words in ("--network none", "--read-only", "--cap-drop ALL", "--pull never", f"{tmp_path}/job:/job"):
            assert words in asked
        assert asked.endswith("known/image:1 -d VPUX.3400 -ip U8 -m /job/model.xml -o /job/model.blob")
        assert asked.count("--volume") == 1

    def test_an_image_that_is_not_here_is_never_downloaded(self, ir: Path, tmp_path: Path, engine: Path) -> None:
        with pytest.raises(ToolchainMissing, match="podman has no image") as raised:
            self.compiler("other/image").compile(ir, tmp_path / "job", [])
        assert raised.value.remedy == "get it yourself: podman pull other/image"
        assert "run" not in (engine / "asked").read_text()

    def test_an_engine_that_is_not_installed_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ToolchainMissing, match="docker, which is to run the container"):
            self.compiler(rvc3_container_engine="docker").require()

    def test_a_container_that_hangs_is_ended_by_its_name(self, ir: Path, tmp_path: Path, engine: Path) -> None:
        program(engine / "podman", ENGINE.replace("    run)", "    run) sleep 60 ;;\n    done)"))
        with pytest.raises(LimitExceeded):
            self.compiler(tool_seconds=1).compile(ir, tmp_path / "job", [])
        *_, run, kill = (engine / "asked").read_text().splitlines()
        assert kill.removeprefix("kill ") in run

    @pytest.mark.parametrize("image", ["--privileged", "a b", "Image", "$(x)"])
    def test_an_image_s_name_is_no_option(self, image: str) -> None:
        with pytest.raises(ValueError, match="pattern"):
            Settings(rvc3_container=image)
