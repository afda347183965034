"""OpenVINO IR as a source for RVC3: as mo, POT and OpenVINO itself write it, through the real tools."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from oakmill.settings import current
from oakmill.toolchains.rvc3.toolchain import Rvc3Toolchain
from tests.conversion.conftest import Convert
from tests.conversion.makers import archive_of
from tests.conversion.test_rvc3 import FEW, checks, layers
from tests.unit.model.ir_making import write_ir

PLAIN = ("--encoding-from", "BGR", "--target-precision", "FP16", "--max-images", "2")


@pytest.fixture(scope="session")
def squeezenet(rvc3_toolchains: None, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real network as the Model Optimizer writes it, FP16."""
    folder = tmp_path_factory.mktemp("ir")
    model = shared_data / "models/squeezenet1.1_fp32.onnx"
    return Rvc3Toolchain(current()).convert(model, folder / "mo", ("--data_type", "FP16"))


def test_an_ir_is_quantized_as_the_onnx_model_would_be(
    squeezenet: Path, shared_data: Path, tmp_path: Path, convert3: Convert
) -> None:
    """RVC3 refused every IR, its own format: what it takes was said in the documents, and nowhere done."""
    answer = convert3(
        squeezenet, "--mean-values", "104,117,123", "--encoding-from", "BGR",
        "--quantization-data", shared_data / "images/imagenet", "--max-quantization-images", "16",
        "--max-images", "4", "-o", tmp_path / "out",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.error
    found = checks(answer)
    assert found["float32"] > 100
    assert found["INT8"] > 8
    archive = tmp_path / "out/squeezenet1.1_fp32.rvc3.tar.xz"
    assert layers(archive).count("FakeQuantize") > 20
    recipe = yaml.safe_load(archive_of(archive)["recipe.yaml"])
    assert recipe["source"]["format"] == "openvino_ir"
    assert [words.split()[0] for words in recipe["commands"]] == ["nncf"]


def test_the_preprocessing_in_an_ir_computes_what_numpy_does(tmp_path: Path, convert3: Convert) -> None:
    path = write_ir(tmp_path / "small.xml", 11)
    answer = convert3(
        path, "--mean-values", "1,2,3", "--scale-values", "4,5,6", "--target-precision", "FP16", "--format", "native",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.error
    raw = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 8)).astype(np.float32)
    mean, scale = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in ((1, 2, 3), (4, 5, 6)))
    toolchain = Rvc3Toolchain(current())
    (found,) = toolchain.infer(tmp_path / "out/small.rvc3.xml", tmp_path / "a", [{"x": raw}], ["y"])
    (wanted,) = toolchain.infer(path, tmp_path / "b", [{"x": (raw[:, ::-1] - mean) / scale}], ["y"])
    assert np.allclose(found["y"], wanted["y"], rtol=1e-4, atol=1e-3)
    assert np.abs(wanted["y"]).max() > 1


def test_it_ends_where_it_is_to_end(squeezenet: Path, tmp_path: Path, convert3: Convert) -> None:
    answer = convert3(squeezenet, *PLAIN, "--outputs", "pool10_1", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert [port["name"] for port in answer.result["passport"]["vendor_reader"]["outputs"]] == ["pool10_1"]


def test_an_ir_whose_tensors_have_no_names_goes_by_its_layers(
    squeezenet: Path, tmp_path: Path, convert3: Convert
) -> None:
    """OpenVINO 2022.3.2 names tensors only where the XML does; the layer's name is always there."""
    path = tmp_path / "nameless.xml"
    path.write_text(re.sub(r' names="[^"]*"', "", squeezenet.read_text()))
    shutil.copyfile(squeezenet.with_suffix(".bin"), path.with_suffix(".bin"))
    answer = convert3(path, *PLAIN, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert [port["name"] for port in answer.result["passport"]["vendor_reader"]["inputs"]] == ["data_0"]


def test_a_quantized_ir_is_left_as_it_is(photos: Path, tmp_path: Path, convert3: Convert) -> None:
    words = ["--quantization-data", photos, *FEW, "--format", "native"]
    assert convert3(write_ir(tmp_path / "n.xml", 11), *words, "-o", tmp_path / "first").exit_code == 0
    quantized = tmp_path / "first/n.rvc3.xml"

    again = convert3(quantized, *words, "-o", tmp_path / "second")
    assert (again.exit_code, again.error["code"]) == (2, "SpecError")
    assert "quantized already" in again.error["message"]

    kept = convert3(quantized, *PLAIN, "-o", tmp_path / "second")
    assert kept.exit_code == 0, kept.error
    files = archive_of(tmp_path / "second/n.rvc3.tar.xz")
    assert b'"precision": "int8"' in files["config.json"]
    assert layers(tmp_path / "second/n.rvc3.tar.xz").count("FakeQuantize") == 1


def test_version_10_converts_as_version_11_does(photos: Path, tmp_path: Path, convert3: Convert) -> None:
    """It was refused with a reason that is not true: OpenVINO 2022.3 and its quantizer read both."""
    answer = convert3(write_ir(tmp_path / "n.xml", 10), "--quantization-data", photos, *FEW, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert layers(tmp_path / "out/n.rvc3.tar.xz").count("FakeQuantize") >= 1
    assert b'"ir_version": 10' in archive_of(tmp_path / "out/n.rvc3.tar.xz")["buildinfo.json"]


def test_mo_args_are_told_with_the_reason(tmp_path: Path, convert3: Convert) -> None:
    words = ["--mo-args", "--scale 2", "-o", tmp_path / "out"]
    answer = convert3(write_ir(tmp_path / "n.xml", 11), *words)
    assert answer.error["code"] == "SpecError"
    assert "came out of the Model Optimizer already" in answer.error["message"]


def test_newer_operations_are_named(tmp_path: Path, convert3: Convert) -> None:
    path = write_ir(tmp_path / "n.xml", 11)
    path.write_text(path.read_text().replace('type="ReLU" version="opset1"', 'type="Mish" version="opset14"'))
    answer = convert3(path, "--target-precision", "FP16", "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (4, "UnsupportedModel")
    assert "(Mish) is of OpenVINO's opset 14; OpenVINO 2022.3.2 knows up to 10" in answer.error["message"]


@pytest.mark.slow  # an ONNX model twice is the quick one
def test_the_same_twice(squeezenet: Path, tmp_path: Path, convert3: Convert) -> None:
    for turn in ("first", "second"):
        assert convert3(squeezenet, *PLAIN, "--no-cache", "-o", tmp_path / turn).exit_code == 0
    files = [archive_of(tmp_path / turn / "squeezenet1.1_fp32.rvc3.tar.xz") for turn in ("first", "second")]
    assert files[0] == files[1]
