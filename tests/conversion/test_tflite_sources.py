"""TFLite models go all the way to RVC2 and RVC4, or are refused with the name of what is in the way."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from oakmill.settings import current
from oakmill.toolchains.tflite.toolchain import TfliteToolchain
from tests.conversion import tflite_makers as makers
from tests.conversion.conftest import Convert
from tests.conversion.tflite_writer import ModelOf, OperatorOf, Scalar, TensorOf
from tests.tools import installed

PREPROCESSED = ["--mean-values", "127.5", "--scale-values", "127.5"]
CAST, ONE_HOT = 53, 85


@pytest.fixture(scope="session", autouse=True)
def tflite_toolchain() -> TfliteToolchain:
    """The real toolchain; installed into the user's own folder where it is not yet."""
    return installed(TfliteToolchain(current()))


def said(answer: Any, kind: str) -> str:
    return "\n".join(answer.result[kind])


def test_a_model_in_nhwc_becomes_a_blob_with_a_recipe_of_all_steps(tmp_path: Path, convert: Convert) -> None:
    model = makers.written(makers.convolution(), tmp_path / "small.tflite")
    answer = convert(model, *PREPROCESSED, "--blob", "--shaves", "4", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    passport = answer.result["passport"]
    assert passport["checks"][0]["verdict"] == "ok"
    (read,) = passport["vendor_reader"]["inputs"]
    assert read["name"] == makers.INPUT
    assert "computes what LiteRT does" in said(answer, "notes")
    recipe = yaml.safe_load((tmp_path / "out" / "small.rvc2.recipe.yaml").read_text())
    assert recipe["source"]["format"] == "tflite"
    assert next(item["name"] for item in recipe["toolchains"]) == "sources/tf2onnx-1.17.0"
    assert recipe["commands"][0].startswith("python -m tf2onnx.convert --tflite small")
    assert recipe["inputs"][0]["layout"] == "NHWC"


def test_a_model_in_nhwc_becomes_a_dlc(tmp_path: Path, convert4: Convert, photos: Path) -> None:
    model = makers.written(makers.convolution(), tmp_path / "small.tflite")
    answer = convert4(model, *PREPROCESSED, "--quantization-data", photos, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert "computes what LiteRT does" in said(answer, "notes")


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_an_integer_model_is_converted_without_its_quantizers(dtype: str, tmp_path: Path, convert: Convert) -> None:
    model = makers.written(makers.quantized(dtype), tmp_path / "small.tflite")
    answer = convert(model, "--blob", "--shaves", "4", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert "quantizers and all" in said(answer, "notes")
    assert "own quantizers are left out" in said(answer, "notes")
    assert ("give --mean-values 128" in said(answer, "warnings")) == (dtype == "int8")


def test_a_quantization_that_spoils_the_model_is_told(tmp_path: Path, convert: Convert) -> None:
    model = makers.written(makers.quantized("uint8", features_step=1e-4), tmp_path / "small.tflite")
    answer = convert(model, "--blob", "--shaves", "4", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert "changes its results a lot" in said(answer, "warnings")


def test_an_archive_that_holds_tflite_fills_in_the_preprocessing(tmp_path: Path, convert: Convert) -> None:
    makers.written(makers.convolution(signature=(-1, 16, 16, 3)), tmp_path / "small.tflite")
    described = {
        "name": makers.INPUT, "dtype": "float32", "shape": [1, 16, 16, 3], "layout": "NHWC", "input_type": "image",
        "preprocessing": {"mean": [127.5] * 3, "scale": [127.5] * 3, "dai_type": "RGB888i"},
    }  # fmt: skip
    outputs = [{"name": makers.OUTPUT, "dtype": "float32"}]
    metadata = {"name": "small", "path": "small.tflite"}
    config = {"config_version": "1.0", "model": {"metadata": metadata, "inputs": [described], "outputs": outputs}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with tarfile.open(tmp_path / "small.tar.xz", "w:xz") as archive:
        for name in ("small.tflite", "config.json"):
            archive.add(tmp_path / name, name)
    answer = convert(tmp_path / "small.tar.xz", "--blob", "--shaves", "4", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert "mean 127.5" in said(answer, "notes")


def test_what_cannot_be_converted_is_named(tmp_path: Path, convert: Convert) -> None:
    gelu = makers.written(makers.one_operation(makers.GELU), tmp_path / "gelu.tflite")
    answer = convert(gelu, "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["subject"]) == (4, "y")
    assert "no conversion for GELU, which computes 'y'" in answer.error["message"]
    custom = makers.written(makers.one_operation(makers.CUSTOM, "Unheard"), tmp_path / "custom.tflite")
    answer = convert(custom, "-o", tmp_path / "out")
    assert answer.exit_code == 4
    assert "the custom operation 'Unheard'" in answer.error["message"]
    assert not list((tmp_path / "out").iterdir())


def test_shapes_that_stay_open_or_do_not_fit_are_refused(tmp_path: Path, convert: Convert) -> None:
    model = makers.written(makers.convolution(signature=(1, -1, -1, 3)), tmp_path / "small.tflite")
    answer = convert(model, "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (4, "DynamicShape")
    assert "--shape" in answer.error["remedy"]
    answer = convert(model, "--shape", "1,3,16,16", "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (2, "SpecError")


def test_a_graph_that_means_something_else_in_onnx_is_not_converted(tmp_path: Path, convert: Convert) -> None:
    """An index below zero is no index for TFLite's one-hot, and counts from the end for ONNX's."""
    shape, deeper = (1, 4, 4, 3), (1, 4, 4, 3, 3)
    model = ModelOf(
        tensors=[
            TensorOf("x", shape),
            TensorOf("index", shape, "int32"),
            TensorOf("depth", (), "int32", np.array(3, np.int32)),
            TensorOf("on", (), data=np.array(1, np.float32)),
            TensorOf("off", (), data=np.array(0, np.float32)),
            TensorOf("y", deeper),
        ],
        operators=[
            OperatorOf(CAST, [0], [1]),
            OperatorOf(ONE_HOT, [1, 2, 3, 4], [5], options=(70, {0: Scalar("i", -1)})),
        ],
        inputs=[0],
        outputs=[5],
    )
    path = makers.written(model, tmp_path / "one_hot.tflite")
    answer = convert(path, "--mean-values", "128", "--scale-values", "64", "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (5, "ProofFailed")
    assert "what LiteRT makes of the TFLite model: output 'y'" in answer.error["message"]


@pytest.mark.slow
def test_real_models_become_superblobs(shared_data: Path, tmp_path: Path, convert: Convert) -> None:
    for name in ("yolox_nano_416_fp16", "yolox_nano_416_int8"):
        answer = convert(
            shared_data / "models" / "tflite" / f"{name}.tflite",
            "--encoding-from",
            "BGR",
            "--keep-outputs",
            "--blob",
            "-o",
            tmp_path / name,
        )
        assert answer.exit_code == 0, answer.error
        assert answer.result["passport"]["checks"][0]["verdict"] == "ok"
        (output,) = answer.result["passport"]["vendor_reader"]["outputs"]
        assert output["name"] == "PartitionedCall:0"
    assert "changes its results a lot" in said(answer, "warnings")


@pytest.mark.slow
def test_a_real_model_becomes_a_dlc(shared_data: Path, tmp_path: Path, convert4: Convert) -> None:
    answer = convert4(
        shared_data / "models" / "tflite" / "yolox_nano_416_fp16.tflite",
        *("--encoding-from", "BGR", "--target-precision", "FP16_STANDARD", "-o", tmp_path / "out"),
    )
    assert answer.exit_code == 0, answer.error
    assert answer.result["verdict"] != "error"
