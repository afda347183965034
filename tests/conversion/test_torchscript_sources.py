"""TorchScript goes all the way to RVC2, RVC3 and RVC4, or is refused with what is in the way and what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from oakmill.conversion.events import Progress, unobserved
from oakmill.conversion.sources import torchscript
from oakmill.errors import ProofFailed
from oakmill.settings import current
from oakmill.toolchains.torchscript import tiny
from oakmill.toolchains.torchscript.toolchain import Exported, TorchScriptToolchain
from tests.conversion.conftest import Convert
from tests.tools import installed

MAKER = Path(__file__).with_name("torchscript_maker.py")
PREPROCESSED = ["--scale-values", "255"]
SHAPE = ["--shape", "1,3,64,96"]
OUTPUTS = {"output0", "output1", "output2"}


@pytest.fixture(scope="session")
def toolchain() -> TorchScriptToolchain:
    """The real toolchain; installed into the user's own folder where it is not yet."""
    return installed(TorchScriptToolchain(current()))


@pytest.fixture
def made(toolchain: TorchScriptToolchain, tmp_path: Path) -> Callable[..., Path]:
    """Makes a detector as TorchScript."""

    def make(*how: str) -> Path:
        target = tmp_path / "detector.pt"
        python = toolchain.require().python
        subprocess.run([python, "-W", "ignore", MAKER, target, *how], check=True)  # noqa: TID251
        return target

    return make


def said(answer: Any, kind: str) -> str:
    return "\n".join(answer.result[kind])


def test_a_detector_becomes_a_blob_with_a_recipe_of_all_steps(
    made: Callable[..., Path], tmp_path: Path, convert: Convert
) -> None:
    answer = convert(made(), *SHAPE, *PREPROCESSED, "--blob", "--shaves", "4", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    passport = answer.result["passport"]
    assert passport["checks"][0]["verdict"] == "ok"
    assert [item["name"] for item in passport["vendor_reader"]["inputs"]] == ["images"]
    assert {item["name"] for item in passport["vendor_reader"]["outputs"]} == OUTPUTS
    assert "computes what PyTorch does (at most" in said(answer, "notes")
    recipe = yaml.safe_load((tmp_path / "out" / "detector.rvc2.recipe.yaml").read_text())
    assert recipe["source"]["format"] == "torchscript"
    assert recipe["toolchains"][0]["name"] == "sources/torch-2.13.0"
    assert 'torch.jit.load("detector.pt")' in recipe["commands"][0]
    assert recipe["inputs"][0]["shape"] == [1, 3, 64, 96]


@pytest.mark.slow
def test_a_detector_becomes_a_dlc(made: Callable[..., Path], tmp_path: Path, convert4: Convert, photos: Path) -> None:
    answer = convert4(made("scripted"), *SHAPE, *PREPROCESSED, "--quantization-data", photos, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert answer.result["verdict"] != "error"


@pytest.mark.slow
def test_a_detector_becomes_an_ir_for_rvc3(made: Callable[..., Path], tmp_path: Path, convert3: Convert) -> None:
    answer = convert3(made(), *SHAPE, *PREPROCESSED, "--target-precision", "FP16", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert answer.result["verdict"] != "error"


def test_weights_of_16_bits_are_widened_and_the_same_file_gives_the_same_bytes(
    made: Callable[..., Path], toolchain: TorchScriptToolchain, tmp_path: Path
) -> None:
    model = made("half")
    sample = {"images": np.random.RandomState(0).rand(1, 3, 64, 96).astype(np.float32)}
    exports = [toolchain.export(model, tmp_path / name, [sample]).onnx.read_bytes() for name in ("first", "second")]
    assert exports[0] == exports[1]


def test_the_size_that_ultralytics_notes_needs_no_shape(
    toolchain: TorchScriptToolchain, tmp_path: Path, convert: Convert
) -> None:
    model = tiny.write_model(tmp_path / "noted.pt", extra='{"imgsz": [32, 64], "batch": 1}')
    answer = convert(model, "--blob", "--shaves", "4", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    recipe = yaml.safe_load((tmp_path / "out" / "noted.rvc2.recipe.yaml").read_text())
    assert recipe["inputs"][0]["shape"] == [1, 3, 32, 64]


def test_what_cannot_be_converted_is_refused_with_the_way_out(
    toolchain: TorchScriptToolchain, tmp_path: Path, convert: Convert
) -> None:
    answer = convert(tiny.write_model(tmp_path / "open.pt"), "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (4, "DynamicShape")
    assert "--shape 1,3,HEIGHT,WIDTH" in answer.error["remedy"]
    other = tiny.write_model(tmp_path / "other.pt", body="return torch.reshape(x, [7, 7])")
    answer = convert(other, *SHAPE, "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (4, "UnsupportedModel")
    assert "cannot run other.pt on inputs of [1, 3, 64, 96]: shape '[7, 7]' is invalid" in answer.error["message"]
    unknown = tiny.write_model(tmp_path / "unknown.pt", body="return torch.special_bessel_j0(x)")
    answer = convert(unknown, *SHAPE, "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (4, "UnsupportedModel")
    assert "special_bessel_j0" in answer.error["message"]


def test_an_onnx_that_computes_something_else_is_not_converted(toolchain: TorchScriptToolchain, tmp_path: Path) -> None:
    sample = {tiny.INPUT: tiny.PICTURE}
    exported = toolchain.export(tiny.write_model(tmp_path / "tiny.pt"), tmp_path / "job", [sample])
    lying = Exported(exported.onnx, ({"output0": tiny.ANSWER + 1},))
    with pytest.raises(ProofFailed, match="'output0'"):
        torchscript._prove(lying, [sample], Progress(unobserved))
