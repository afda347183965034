"""The vendor's own tools in their order, each given what the one before it made.

The tools are stand-ins that write what they were told: no real SDK is public here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from oakmill.conversion.events import Event, Kind, Progress
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.rvc4.vendor_front import VendorFront
from oakmill.errors import CompileFailed, ToolchainMissing
from oakmill.settings import Settings
from oakmill.spec import Precision, Rvc4Spec
from oakmill.toolchains.rvc4 import sdk_python
from oakmill.toolchains.rvc4.sdk import HOST, LIBRARIES, Sdk
from oakmill.toolchains.rvc4.snpe_arguments import read
from tests.unit.conversion.preparing import classifier, prepared, samples_of

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"

CONVERTER = """import json, sys
words = sys.argv[1:]
told = {"tool": "converter", "words": words}
told["overrides"] = json.load(open(words[words.index("--quantization_overrides") + 1]))
told["model"] = len(open(words[words.index("--input_network") + 1], "rb").read())
open(words[words.index("--output_path") + 1], "w").write(json.dumps(told) + "\\n")
"""

TOOL = """#!/bin/sh
name=$(basename "$0")
words="$*"
while [ $# -gt 0 ]; do
  case "$1" in
    --input_dlc) cat "$2" > written.dlc.part ;;
    --input_list) images=$(wc -l < "$2"); first=$(head -1 "$2"); bytes=$(wc -c < "${first#*:=}") ;;
    --output_dlc) out="$2" ;;
  esac
  shift
done
echo "{\\"tool\\": \\"$name\\", \\"words\\": \\"$words\\", \\"images\\": \\"$images\\", \\"bytes\\": \\"$bytes\\"}" \
  >> written.dlc.part
mv written.dlc.part "$out"
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder laid out like an SDK, whose converter runs on this Python."""
    monkeypatch.setattr(sdk_python, "PACKAGES", ("numpy",))
    folder = tmp_path / "2.41.0.251128"
    for name in ("snpe-dlc-quant", "snpe-dlc-graph-prepare"):
        program(folder / "bin" / HOST / name, TOOL)
    for name in ("snpe-onnx-to-dlc", "snpe-dlc-info"):
        program(folder / "bin" / HOST / name, CONVERTER)
    for name in LIBRARIES:
        program(folder / "lib" / HOST / name, "")
    library = f"lib/python/qti/aisw/converters/common/linux-x86_64/libPyIrGraph{HERE.replace('.', '')}.so"
    program(folder / library, "")
    (folder / "sdk.yaml").write_text("version: 2.41.0\n")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", tool_seconds=20, pythons={HERE: Path(sys.executable)})


@pytest.fixture(scope="module")
def made() -> Prepared:
    return prepared(classifier())


def front(
    root: Path, settings: Settings, spec: Rvc4Spec, quant: Sequence[str] = (), graph_prepare: Sequence[str] = ()
) -> VendorFront:
    options = read(quant=quant, graph_prepare=graph_prepare, sdk=True)
    return VendorFront(Sdk.at(root), spec, options, settings)


def steps(file: Path) -> list[dict[str, object]]:
    """What each tool was told, the first one's words first."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_three_tools_make_one_file_in_their_order(
    root: Path, settings: Settings, made: Prepared, tmp_path: Path
) -> None:
    events: list[Event] = []
    own = front(root, settings, Rvc4Spec(device_runtime="2.41"), quant=["--algorithms", "cle"])
    file = own.convert(made, samples_of(made, 3), tmp_path / "job", Progress(events.append), cache=True)
    converter, quantizer, preparer = steps(file)
    assert converter["tool"] == "converter"
    assert (quantizer["tool"], preparer["tool"]) == ("snpe-dlc-quant", "snpe-dlc-graph-prepare")
    words = converter["words"]
    assert isinstance(words, list)
    assert words[words.index("--input_dim") + 1 :][:2] == ["image", "1,8,8,3"]
    assert converter["overrides"]["activation_encodings"]["image"][0]["scale"] == 1.0  # type: ignore[index]
    assert converter["model"] == len(made.model.SerializeToString())
    assert "--algorithms cle --use_per_channel_quantization --override_params" in str(quantizer["words"])
    assert (str(quantizer["images"]).strip(), str(quantizer["bytes"]).strip()) == ("3", str(8 * 8 * 3 * 4))
    assert "--htp_socs qcs8550" in str(preparer["words"])
    told = [event.text for event in events if event.kind is Kind.PROGRESS]
    assert told == [f"running {tool}" for tool in ("snpe-onnx-to-dlc", "snpe-dlc-quant", "snpe-dlc-graph-prepare")]


def test_what_is_not_quantized_goes_to_no_quantizer(
    root: Path, settings: Settings, made: Prepared, tmp_path: Path
) -> None:
    own = front(root, settings, Rvc4Spec(target_precision=Precision.FP16_STANDARD))
    (converter,) = steps(own.convert(made, None, tmp_path / "job", Progress(), cache=False))
    assert isinstance(converter["words"], list)
    assert converter["words"][-4:-2] == ["--float_bitwidth", "16"]


def test_a_file_of_ours_gets_its_cache_from_the_users_tool(root: Path, settings: Settings, tmp_path: Path) -> None:
    dlc = tmp_path / "ours.dlc"
    dlc.write_text('{"tool": "ours"}\n')
    own = front(root, settings, Rvc4Spec(), graph_prepare=["--vtcm_override", "4"])
    file = own.prepare(dlc, tmp_path / "job", Progress())
    ours, preparer = steps(file)
    assert ours["tool"] == "ours"
    assert "--htp_socs qcs8550 --vtcm_override 4" in str(preparer["words"])


@pytest.mark.parametrize("tool", ["snpe-dlc-quant", "snpe-dlc-graph-prepare"])
def test_a_tool_that_refuses_is_named_with_its_own_words(
    tool: str, root: Path, settings: Settings, made: Prepared, tmp_path: Path
) -> None:
    program(root / "bin" / HOST / tool, "#!/bin/sh\necho 'ERROR: axis 3 of conv is not known'; exit 1\n")
    own = front(root, settings, Rvc4Spec())
    with pytest.raises(CompileFailed, match=f"{tool} failed .* axis 3 of conv is not known"):
        own.convert(made, samples_of(made, 1), tmp_path / "job", Progress(), cache=True)


def test_without_a_python_for_the_converter_the_remedy_is_told(
    root: Path, made: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_python, "PACKAGES", ("surely_not_here",))
    settings = Settings(home=tmp_path, pythons={HERE: Path(sys.executable)})
    with pytest.raises(ToolchainMissing, match="surely_not_here"):
        front(root, settings, Rvc4Spec()).convert(made, None, tmp_path / "job", Progress(), cache=False)


def test_encodings_of_the_users_reach_the_converter(
    root: Path, settings: Settings, made: Prepared, tmp_path: Path
) -> None:
    encodings = tmp_path / "aimet.json"
    entry = {"bitwidth": 8, "scale": 0.5, "offset": 0}
    encodings.write_text(json.dumps({"activation_encodings": {"means": [entry]}, "param_encodings": {}}))
    spec = Rvc4Spec(target_precision=Precision.CUSTOM, aimet_encodings=encodings)
    file = front(root, settings, spec).convert(made, samples_of(made, 1), tmp_path / "job", Progress(), cache=False)
    overrides = steps(file)[0]["overrides"]
    assert isinstance(overrides, dict)
    assert set(overrides["activation_encodings"]) == {"image", "means"}
