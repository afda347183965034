"""The user's own Qualcomm SDK: found whole or refused with the reason; its tools run behind the wall.

The tools are stand-ins that print what they were told: no real SDK is public here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from oakmill.errors import CompileFailed, LimitExceeded, ToolchainBroken, ToolchainMissing, ToolKilled
from oakmill.processes.events import ToolEvent
from oakmill.settings import Settings
from oakmill.toolchains.rvc4 import sdk_python
from oakmill.toolchains.rvc4.sdk import HOST, LIBRARIES, Sdk, last_words

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"

TOOL = """#!/bin/sh
echo "told: $*"
echo "libraries: $LD_LIBRARY_PATH; root: $SNPE_ROOT; secret: $OAKMILL_SECRET"
while [ $# -gt 0 ]; do
  case "$1" in
    --input_dlc) cat "$2" ;;
    --output_dlc) out="$2" ;;
  esac
  shift
done
echo DLC > "$out"
"""

CONVERTER = """import json, os, sys
words = sys.argv[1:]
print(json.dumps({"words": words, "path": os.environ["PYTHONPATH"]}))
print(open(words[words.index("--input_network") + 1]).read())
open(words[words.index("--output_path") + 1], "w").write("DLC")
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder laid out like an SDK."""
    folder = tmp_path / "2.41.0.251128"
    for name in ("snpe-dlc-quant", "snpe-dlc-graph-prepare"):
        program(folder / "bin" / HOST / name, TOOL)
    for name in ("snpe-onnx-to-dlc", "snpe-dlc-info"):
        program(folder / "bin" / HOST / name, CONVERTER)
    for name in LIBRARIES:
        program(folder / "lib" / HOST / name, "")
    (folder / "lib" / "python").mkdir()
    (folder / "sdk.yaml").write_text("name: qairt\nversion: 2.41.0\nbuild_id: 251128145156\n")
    return folder


@pytest.fixture
def dlc(tmp_path: Path) -> Path:
    path = tmp_path / "model.dlc"
    path.write_text("the model\n")
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", tool_seconds=20)


# found


def test_a_whole_sdk_is_found_with_its_version_and_libraries(root: Path) -> None:
    found = Sdk.at(root)
    assert found.version == "2.41.0"
    assert found.libraries == root / "lib" / HOST
    assert found.tool("snpe-dlc-quant").name == "snpe-dlc-quant"


def test_the_older_name_of_the_quantizer_does_too(root: Path) -> None:
    tools = root / "bin" / HOST
    (tools / "snpe-dlc-quant").rename(tools / "snpe-dlc-quantize")
    assert Sdk.at(root).tool("snpe-dlc-quant").name == "snpe-dlc-quantize"


@pytest.mark.parametrize(
    "text", ["version: 2.32.6.250402", "version: '2.32.6.250402'", "a: 1\n  version: v2.32.6.250402 "]
)
def test_the_version_is_read_from_its_file(root: Path, text: str) -> None:
    (root / "sdk.yaml").write_text(text)
    assert Sdk.at(root).version == "2.32.6.250402"


def test_without_that_file_the_folders_own_name_tells_the_version(root: Path) -> None:
    (root / "sdk.yaml").unlink()
    assert Sdk.at(root).version == "2.41.0.251128"


@pytest.mark.parametrize("content", [b"version: unknown", b"", b"\xff\xfe\x00", b"version: 2.41.0.1.2.3"])
def test_a_version_that_cannot_be_told_is_refused(root: Path, content: bytes) -> None:
    (root / "sdk.yaml").write_bytes(content)
    renamed = root.rename(root.parent / "snpe")
    with pytest.raises(ToolchainBroken, match=r"version of the SDK .* cannot be told") as caught:
        Sdk.at(renamed)
    assert "sdk.yaml" in caught.value.remedy


def test_no_folder_and_no_sdk_are_told_apart(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "sdk.zip"
    file.write_text("")
    for path in (file, tmp_path / "none"):
        with pytest.raises(ToolchainMissing, match="is not a folder"):
            Sdk.at(path)
    with pytest.raises(ToolchainMissing, match="holds no Qualcomm SDK") as caught:
        Sdk.at(root.parent)
    assert caught.value.remedy == "It lies deeper: 2.41.0.251128."


@pytest.mark.parametrize(
    "part",
    [f"bin/{HOST}/snpe-dlc-quant", f"bin/{HOST}/snpe-dlc-info", f"lib/{HOST}/libQnnIr.so", f"lib/{HOST}/libSNPE.so"],
)
def test_a_missing_part_is_named(root: Path, part: str) -> None:
    (root / part).unlink()
    with pytest.raises(ToolchainBroken, match=part):
        Sdk.at(root)


def test_a_tool_without_permission_to_run_is_named_with_the_command_that_helps(root: Path) -> None:
    (root / "bin" / HOST / "snpe-dlc-graph-prepare").chmod(0o644)
    with pytest.raises(ToolchainBroken, match="snpe-dlc-graph-prepare may not be run") as caught:
        Sdk.at(root)
    assert caught.value.remedy.startswith("chmod +x ")


# run


def test_a_cache_is_prepared_with_the_words_and_libraries_of_the_sdk(
    root: Path, dlc: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAKMILL_SECRET", "hidden")
    job, out, lines = tmp_path / "job", tmp_path / "out.dlc", list[str]()

    def watch(event: ToolEvent) -> None:
        lines.append(event.line)

    words = ["--htp_socs", "qcs8550", "--vtcm_override", "4"]
    assert Sdk.at(root).graph_prepare(dlc, out, words, job=job, settings=settings, watch=watch) == out
    assert out.read_text() == "DLC\n"
    assert lines == [
        f"told: --input_dlc {dlc} --htp_socs qcs8550 --vtcm_override 4 --output_dlc {job / 'written.dlc'}",
        f"libraries: {root / 'lib' / HOST}; root: {root}; secret: ",
        "the model",
    ]
    assert (job / "log.txt").read_text().splitlines() == lines


def test_quantization_gets_its_list_and_what_lies_in_the_datas_folders(
    root: Path, dlc: Path, settings: Settings, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "0.raw").write_text("numbers")
    (tmp_path / "list.txt").write_text(f"image:={data / '0.raw'}\n")
    program(
        root / "bin" / HOST / "snpe-dlc-quant",
        '#!/bin/sh\ncat "$4" && cat ' + str(data / "0.raw") + ' && eval "echo DLC > \\${$#}"\n',
    )
    job, out = tmp_path / "job", tmp_path / "out.dlc"
    Sdk.at(root).quantize(dlc, tmp_path / "list.txt", out, [], data=[data], job=job, settings=settings)
    assert "numbers" in (job / "log.txt").read_text()
    assert out.read_text() == "DLC\n"


def fail(root: Path, dlc: Path, settings: Settings, body: str) -> None:
    program(root / "bin" / HOST / "snpe-dlc-graph-prepare", f"#!/bin/sh\n{body}\n")
    Sdk.at(root).graph_prepare(dlc, dlc.parent / "out.dlc", [], job=dlc.parent / "job", settings=settings)


def test_a_tools_own_last_error_lines_are_told(root: Path, dlc: Path, settings: Settings) -> None:
    body = "echo starting; echo '[ERROR] Graph x: op Det has no kernel'; echo bye; exit 3"
    with pytest.raises(CompileFailed, match="op Det has no kernel") as caught:
        fail(root, dlc, settings, body)
    assert "exit code 3" in caught.value.message
    assert "bye" not in caught.value.message
    assert "starting" in caught.value.log


def test_a_tool_that_ends_well_and_writes_nothing_has_failed(root: Path, dlc: Path, settings: Settings) -> None:
    with pytest.raises(CompileFailed, match="ended well but wrote no DLC"):
        fail(root, dlc, settings, "echo done")


def test_a_dlc_of_an_earlier_run_is_not_taken_for_this_runs(root: Path, dlc: Path, settings: Settings) -> None:
    (dlc.parent / "job").mkdir()
    (dlc.parent / "job" / "written.dlc").write_text("old")
    with pytest.raises(CompileFailed, match="wrote no DLC"):
        fail(root, dlc, settings, "true")


def test_a_link_in_place_of_the_result_is_not_followed(root: Path, dlc: Path, settings: Settings) -> None:
    with pytest.raises(ToolKilled, match=r"left written\.dlc, which is no plain file"):
        fail(root, dlc, settings, f"ln -s {dlc} {dlc.parent / 'job' / 'written.dlc'}")


@pytest.mark.parametrize(("body", "name"), [("kill -ABRT $$", "SIGABRT"), ("exit 137", "SIGKILL")])
def test_a_tool_that_crashes_is_told_apart(root: Path, dlc: Path, settings: Settings, body: str, name: str) -> None:
    with pytest.raises(ToolKilled, match=name):
        fail(root, dlc, settings, body)


def test_a_tool_that_hangs_is_ended(root: Path, dlc: Path, tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match="snpe-dlc-graph-prepare was not done after 1 s"):
        fail(root, dlc, Settings(home=tmp_path).model_copy(update={"tool_seconds": 1}), "sleep 60")


def test_last_words_of_a_silent_tool() -> None:
    assert last_words("") == "nothing"
    assert last_words("one\n\ntwo\nthree\nfour\n") == "two / three / four"


# the converter's Python


def this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...]) -> Settings:
    monkeypatch.setattr(sdk_python, "PACKAGES", packages)
    return Settings(home=tmp_path, pythons={HERE: Path(sys.executable)})


def extension(root: Path, version: str) -> None:
    program(root / "lib/python/qti/aisw/converters/common/linux-x86_64" / f"libPyIrGraph{version}.so", "")


def test_the_converter_runs_on_the_python_that_the_sdk_is_built_for(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension(root, HERE.replace(".", ""))
    settings = this_python(tmp_path, monkeypatch, ("numpy", "onnx"))
    model, overrides, job = tmp_path / "models" / "m.onnx", tmp_path / "encodings.json", tmp_path / "job"
    model.parent.mkdir()
    model.write_text("the graph")
    overrides.write_text("{}")
    out = tmp_path / "out.dlc"
    Sdk.at(root).onnx_to_dlc(
        model, out, ["--out_node", "a"], job=job, settings=settings, overrides=overrides
    )  # fmt: skip
    said, graph = (job / "log.txt").read_text().splitlines()
    assert json.loads(said) == {
        "words": [
            "--input_network", str(model), "--quantization_overrides", str(overrides), "--out_node", "a",
            "--output_path", str(job / "written.dlc"),
        ],
        "path": str(root / "lib" / "python"),
    }  # fmt: skip
    assert graph == "the graph"
    assert out.read_text() == "DLC"


def test_packages_that_the_python_lacks_are_named(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extension(root, HERE.replace(".", ""))
    settings = this_python(tmp_path, monkeypatch, ("numpy", "surely_not_here"))
    with pytest.raises(ToolchainMissing, match="lacks the packages surely_not_here") as caught:
        sdk_python.converter_python(root, settings)
    assert "check-python-dependency" in caught.value.remedy
    assert "OAKMILL_PYTHONS" in caught.value.remedy


def test_a_named_python_of_another_version_is_refused(root: Path, tmp_path: Path) -> None:
    extension(root, "310")
    settings = Settings(home=tmp_path, pythons={"3.10": Path(sys.executable)})
    with pytest.raises(ToolchainMissing, match=r"is no Python 3\.10 that runs"):
        sdk_python.converter_python(root, settings)


def test_a_package_that_is_missed_only_in_the_run_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension(root, HERE.replace(".", ""))
    program(root / "bin" / HOST / "snpe-onnx-to-dlc", "import surely_not_here")
    settings = this_python(tmp_path, monkeypatch, ("numpy",))
    model = tmp_path / "m.onnx"
    model.write_text("")
    with pytest.raises(ToolchainMissing, match="'surely_not_here'"):
        Sdk.at(root).onnx_to_dlc(model, tmp_path / "out.dlc", [], job=tmp_path / "job", settings=settings)


def test_the_pythons_that_an_sdk_is_built_for(root: Path) -> None:
    assert sdk_python.versions(root) == ("3.10", "3.8")
    for version in ("36", "38", "310"):
        extension(root, version)
    assert sdk_python.versions(root) == ("3.10", "3.8", "3.6")
