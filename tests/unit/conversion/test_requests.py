"""What each platform's runner is asked for, by parameter; no tool runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oakmill.spec import Rvc2Spec, Rvc3Spec, Rvc4Spec
from tests import doors


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    drawn = np.random.default_rng(1)
    for index in range(12):
        Image.fromarray(drawn.integers(0, 255, (12, 12, 3), np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"superblob": True, "shaves": 8, "config": {}}),
        ({"blob": True, "number_of_shaves": 6}, {"superblob": False, "shaves": 6, "target": "model.blob"}),
        (
            {"blob": True, "compile_tool_args": ["-c", "MYRIAD_NUMBER_OF_SHAVES=5"]},
            {"shaves": 5, "config": {"MYRIAD_NUMBER_OF_SHAVES": "5"}},
        ),
        ({}, {"ports": {"inputs": {"image": {"precision": "U8"}}, "outputs": {"scores": {}}}}),
        (
            {"compile_tool_args": ["-ip", "FP16", "-iop", "image:U8,scores:FP32", "-il", "NHWC"]},
            {
                "ports": {
                    "inputs": {"image": {"precision": "U8", "layout": "NHWC"}},
                    "outputs": {"scores": {"precision": "FP32"}},
                }
            },
        ),
    ],
)
def test_rvc2(
    asked: dict[str, Any], expected: dict[str, Any], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,) = doors.requests(model, Rvc2Spec.model_validate(asked), tmp_path, monkeypatch)
    assert request["toolchain"] == "rvc2/openvino-2022.2.0"
    assert {name: request[name] for name in expected} == expected


def test_rvc2_with_mo_args(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Rvc2Spec(mo_args=("--compress_to_fp16",))
    optimizer, compiler = doors.requests(model, spec, tmp_path, monkeypatch)
    assert optimizer["toolchain"] == "rvc2/mo-2022.2.0"
    assert optimizer["arguments"][-2:] == ["--data_type", "FP16"]
    assert Path(compiler["model"]).suffix == ".xml"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"action": "nncf", "device": "NPU", "preset": "mixed", "control": None}),
        ({"pot_target_device": "ANY"}, {"device": "ANY", "preset": "performance"}),
        ({"quantizer": "pot"}, {"action": "pot"}),
        (
            {"ignored_names": ["conv"], "ignored_types": ["Add"]},
            {"ignored_names": ["conv"], "ignored_types": ["Add"]},
        ),
        (
            {"accuracy_control": True, "accuracy_drop": 0.05, "accuracy_seconds": 20},
            {"control": {"drop": 0.05, "seconds": 20}},
        ),
    ],
)
def test_rvc3(
    asked: dict[str, Any],
    expected: dict[str, Any],
    model: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = Rvc3Spec.model_validate({"quantization_data": str(photos), **asked})
    optimizer, quantizer = doors.requests(model, spec, tmp_path, monkeypatch)
    assert optimizer["toolchain"] == "rvc3/openvino-2022.3.2"
    assert optimizer["arguments"][-2:] == ["--data_type", "FP16"]
    assert {name: quantizer[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("precision", "half"), [("INT8", "0"), ("INT8_INT16_MIXED", "0"), ("FP16", "1"), ("FP32", "1")]
)
def test_rvc4(
    precision: str, half: str, model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Rvc4Spec.model_validate({"target_precision": precision, "quantization_data": str(photos)})
    (request,) = doors.requests(model, spec, tmp_path, monkeypatch)
    assert request["action"] == "compile"
    assert request["options"]["enable_htp_fp16_precision"] == half


def test_rvc4_prepares_a_cache_for_a_device_of_the_same_version(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Rvc4Spec.model_validate(
        {
            "target_precision": "FP16",
            "device_runtime": "2.51",
            "snpe_dlc_graph_prepare_args": ["--optimization_level=3"],
        }
    )
    (request,) = doors.requests(model, spec, tmp_path, monkeypatch)
    assert request["options"]["htp_graph_finalization_optimization_mode"] == "3"
