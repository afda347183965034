"""Real models become IRs for RVC3 that OpenVINO 2022.3.2 reads and runs, and decide on photos as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conversion.conftest import Answer, Convert

MODELS = {
    "squeezenet1.1_fp32": ["--mean-values", "104,117,123", "--encoding-from", "BGR"],
    "cifar10_smallcnn": ["--mean-values", "127.5", "--scale-values", "127.5"],
    "yolox_nano_416": ["--encoding-from", "BGR", "--resize", "stretch"],
    "ultraface_rfb_320": ["--mean-values", "127", "--scale-values", "128"],
    "plate_rec_48x168": ["--mean-values", "149.94", "--scale-values", "49.215", "--encoding-from", "BGR"],
}


SURE = "top-1 agreement where the float model is sure"


def outputs(answer: Any, name: str) -> dict[str, float]:
    (check,) = [check for check in answer.result["passport"]["checks"] if check["name"] == name]
    return {output["name"]: float(output["snr_db"]) for output in check["outputs"]}


def metric(answer: Any, words: str) -> float:
    """A number of the first task by INT8, by the words that the passport calls it."""
    (task, *_) = answer.result["passport"]["checks"][0]["tasks"]
    (found,) = [item for item in task["metrics"].values() if item["words"] == words]
    return float(found["value"])


def require_running(answer: Any) -> None:
    assert answer.exit_code == 0, answer.error
    assert min(outputs(answer, "FP16 weights").values()) > 40
    assert min(outputs(answer, "INT8").values()) > 10
    reader = answer.result["passport"]["vendor_reader"]
    assert reader["name"].startswith("OpenVINO 2022.3.2")
    assert reader["inputs"][0]["dims"][1] == 3  # NCHW, as the source has it


@pytest.mark.parametrize("name", [pytest.param("ultraface_rfb_320", marks=pytest.mark.slow), "plate_rec_48x168"])
def test_a_real_model_becomes_an_ir_that_runs(name: str, shared_data: Path, tmp_path: Path, convert3: Convert) -> None:
    answer = convert3(
        shared_data / "models" / f"{name}.onnx", *MODELS[name],
        "--quantization-data", shared_data / "images" / "coco" / "train2017", "--max-quantization-images", "8",
        "--max-images", "4", "-o", tmp_path / "out",
    )  # fmt: skip
    require_running(answer)


@pytest.mark.slow
def test_squeezenet_in_8_bits_decides_on_photos_as_before(shared_data: Path, tmp_path: Path, convert3: Convert) -> None:
    answer = classified("squeezenet1.1_fp32", shared_data, tmp_path, convert3)
    assert metric(answer, "top-1 agreement") > 0.88
    assert metric(answer, SURE) > 0.96


@pytest.mark.slow
def test_by_pot_a_small_network_decides_as_before_where_it_is_sure(
    shared_data: Path, tmp_path: Path, convert3: Convert
) -> None:
    """POT takes a minute for SqueezeNet. Of most photos of 32 pixels this network is sure of nothing."""
    answer = classified("cifar10_smallcnn", shared_data, tmp_path, convert3, "--quantizer", "pot")
    assert metric(answer, SURE) > 0.96


def classified(name: str, data: Path, folder: Path, convert3: Convert, *options: str) -> Answer:
    """What came of a classifier in 8 bits, and runs."""
    answer = convert3(
        data / "models" / f"{name}.onnx", *MODELS[name], *options, "--quantization-data", data / "images" / "imagenet",
        "--max-quantization-images", "32", "--max-images", "48", "-o", folder / "out",
    )  # fmt: skip
    require_running(answer)
    return answer


@pytest.mark.slow
def test_yolox_in_8_bits_finds_the_same_boxes(shared_data: Path, tmp_path: Path, convert3: Convert) -> None:
    answer = convert3(
        shared_data / "models" / "yolox_nano_416.onnx", *MODELS["yolox_nano_416"],
        "--quantization-data", shared_data / "images" / "coco" / "train2017", "--max-quantization-images", "24",
        "--max-images", "16", "-o", tmp_path / "out",
    )  # fmt: skip
    require_running(answer)
    assert metric(answer, "box agreement (F1)") > 0.9


@pytest.mark.slow
def test_a_calibration_on_noise_comes_out_red(shared_data: Path, tmp_path: Path, convert3: Convert) -> None:
    answer = convert3(
        shared_data / "models" / "cifar10_smallcnn.onnx", *MODELS["cifar10_smallcnn"],
        "--quantization-data", "random", "--max-quantization-images", "8",
        "--images", shared_data / "images" / "imagenet", "--max-images", "8", "-o", tmp_path / "out",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.error
    assert answer.result["verdict"] == "error"
    assert "random_calibration" in [finding["code"] for finding in answer.result["passport"]["findings"]]
