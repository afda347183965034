"""Conversions that a user asks for through hubai-sdk, unmodified: what comes back is real, and opens."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import depthai
import pytest

from oakmill.settings import current
from oakmill.toolchains.installing import accepting
from oakmill.toolchains.ultralytics.toolchain import UltralyticsToolchain
from tests.compat import makers
from tests.compat.conftest import Sdk
from tests.hub_servers import ServedHub
from tests.tools import installed

USE = Path(__file__).with_name("use_sdk.py")
MODES: dict[str, tuple[str, dict[str, Any]]] = {
    "rvc2": ("RVC2", {}),
    "rvc3": ("RVC3", {}),
    "rvc4 int8": ("RVC4", {"quantization_data": "GENERAL", "max_quantization_images": 4}),
    "rvc4 zip": ("RVC4", {"quantization_data": "calibration.zip", "max_quantization_images": 3}),
}
MADE = [("rvc2", "onnx"), ("rvc4 zip", "onnx"), *((mode, "archive") for mode in ("rvc2", "rvc3", "rvc4 int8"))]
"""Every platform from an NN Archive, and from ONNX what is not like it.

The client's own suite converts ONNX in every mode, and test_zoo opens RVC4's floating point.
"""


def ask(
    sdk: Sdk, hub: ServedHub, folder: Path, calls: list[tuple[str, dict[str, Any]]], key: str = ""
) -> list[dict[str, Any]]:
    """What came of each call."""
    (folder / "calls.json").write_text(json.dumps(calls))
    done = sdk.run(hub, folder, USE, "calls.json", key=key)
    answers = [line.removeprefix("ANSWER ") for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    assert len(answers) == len(calls), done.stdout[-3000:] + done.stderr[-3000:]
    return [json.loads(answer) for answer in answers]


@pytest.fixture(scope="module")
def made(hub: ServedHub, sdk: Sdk, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What is made, by "MODE SOURCE"."""
    folder = tmp_path_factory.mktemp("user")
    model = makers.tiny(folder / "tiny.onnx")
    sources = {"onnx": model, "archive": makers.archived(folder / "tiny.tar.xz", model)}
    makers.calibration_images(folder / "calibration.zip")
    calls = {
        f"{mode} {kind}": (target, {"path": str(source), "name": f"Tiny {mode} {kind}", **more})
        for mode, kind in MADE
        for (target, more), source in ((MODES[mode], sources[kind]),)
    }
    said = {"opts": {"mean_values": makers.MEAN, "scale_values": makers.SCALE}}
    calls["rvc2 said"] = ("RVC2", {"path": str(model), "name": "Tiny rvc2 said", **said})
    return dict(zip(calls, ask(sdk, hub, folder, list(calls.values())), strict=True))


@pytest.mark.timeout(1900)
@pytest.mark.parametrize(("mode", "kind"), MADE)
def test_the_vendors_reader_opens_what_comes_back(made: dict[str, dict[str, Any]], mode: str, kind: str) -> None:
    found = made[f"{mode} {kind}"]
    assert "error" not in found, found["error"]
    archive = depthai.NNArchive(found["path"])
    assert [item.name for item in archive.getConfig().model.inputs] == ["image"]
    instance = found["instance"]
    assert instance["status"] == "available"
    assert instance["hash_short"] in Path(found["path"]).name
    assert instance["model_type"] == MODES[mode][0]
    assert instance["name"].endswith(f"exported to Target.{MODES[mode][0]}")


@pytest.mark.timeout(1900)
def test_what_an_archive_says_and_the_client_repeats_is_embedded_once(made: dict[str, dict[str, Any]]) -> None:
    archive, said = made["rvc2 archive"], made["rvc2 said"]
    assert superblob(archive["path"]) == superblob(said["path"]) != superblob(made["rvc2 onnx"]["path"])
    preprocessing = archive["config"]["model"]["inputs"][0]["preprocessing"]
    assert not any(preprocessing["mean"] or []) and preprocessing["dai_type"] == "BGR888p"


def superblob(path: str) -> bytes:
    with tarfile.open(path) as archive:
        file = archive.extractfile(next(name for name in archive.getnames() if name.endswith(".superblob")))
        assert file is not None
        return file.read()


@pytest.mark.timeout(1900)
def test_what_is_not_installed_is_said_to_be(hub: ServedHub, sdk: Sdk, tmp_path: Path) -> None:
    path = str(makers.tiny(tmp_path / "tiny.onnx"))
    int8 = {"path": path, "max_quantization_images": 2}
    calls: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
        ("RVC2", {"path": path, "name": "n1", "tool_version": "2021.4.0"}, ("2021.4.0", "2022.2.0")),
        ("RVC3", {"path": path, "name": "n2", "tool_version": "2022.3.0"}, ("2022.3.0", "2022.3.2")),
        ("RVC4", {**int8, "name": "n3", "tool_version": "2.32.6"}, ("2.32.6", "2.51")),
        (
            "RVC4",
            {**int8, "name": "n4", "quantization_data": "FOOD"},
            ("food", "GENERAL", "quantization_mode='FP16_STANDARD'", "operator"),
        ),
        ("RVC4", {**int8, "name": "n5", "quantization_data": "bananas"}, ("BANANAS", "GENERAL")),
        ("RVC4", {**int8, "name": "n6", "quantization_mode": "INT3"}, ("target_precision",)),
        ("Hailo", {"path": path, "name": "n7"}, ("Hailo", "RVC4")),
        ("RVC2", {"path": path, "name": "n8", "yolo_version": "yolov8"}, ("yolov8", ".pt")),
        ("RVC2", {"path": path, "name": "n9", "is_deployable": True}, ("is_deployable",)),
    ]
    answers = ask(sdk, hub, tmp_path, [(target, parameters) for target, parameters, _ in calls])
    for (_, parameters, words), answer in zip(calls, answers, strict=True):
        said = answer.get("error", "")
        assert all(word in said for word in words), (parameters, answer)
        own = [line for line in said.splitlines() if "operator can" not in line]
        assert not re.search(r" --\w|Try:\.|Unknown failure", "\n".join(own)), said


@pytest.mark.slow
@pytest.mark.timeout(1900)
def test_a_checkpoint_comes_back_with_a_head_and_its_classes(hub: ServedHub, sdk: Sdk, tmp_path: Path) -> None:
    """A .pt was refused, and so was the version that HubAI asks for; the way through a hub was never gone whole."""
    checkpoint = installed(UltralyticsToolchain(accepting(current(), "AGPL-3.0"))).make_tiny(tmp_path / "made")
    path = str(checkpoint.rename(tmp_path / "best.pt"))
    said = {"path": path, "name": "Acorns", "yolo_version": "yolov8", "yolo_class_names": ["Eichel", "Eiche, rot"]}
    (answer,) = ask(sdk, hub, tmp_path, [("RVC2", {**said, "yolo_input_shape": [64, 96]})])
    assert "error" not in answer, answer["error"]
    (head,) = depthai.NNArchive(answer["path"]).getConfig().model.heads or []
    assert (head.parser, head.metadata.classes) == ("YOLO", ["Eichel", "Eiche, rot"])
    assert head.outputs == ["output1_yolov6r2", "output2_yolov6r2", "output3_yolov6r2"]
    assert answer["config"]["model"]["inputs"][0]["preprocessing"]["dai_type"] == "BGR888p"


@pytest.mark.timeout(1900)
def test_a_name_that_is_taken_gets_the_next_version(hub: ServedHub, sdk: Sdk, tmp_path: Path) -> None:
    path = str(makers.tiny(tmp_path / "tiny.onnx"))
    first, second = ask(sdk, hub, tmp_path, [("RVC2", {"path": path, "name": "My_Net.v1"})] * 2)
    assert first["instance"]["model_id"] == second["instance"]["model_id"]
    with hub.client(path="") as client:
        asked = {"model_id": first["instance"]["model_id"], "variant_slug": "my_net.v1-32x48"}
        rows = client.get("/models/api/v1/modelVersions", params=asked).raise_for_status().json()
    assert sorted(row["version"] for row in rows) == ["0.1.0", "0.1.1"]
