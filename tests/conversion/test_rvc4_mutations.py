"""A fault between the proof and Qualcomm's compiler is told: the finished file itself runs on the vendor's library.

The rules are tested one by one in tests/unit/conversion/rvc4/test_methods.py; here a real file holds the fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from oakmill.toolchains.rvc4.toolchain import Compiled, Rvc4Toolchain
from tests.conversion.conftest import Answer, Convert
from tests.conversion.makers import conv_model, saved

Array = NDArray[Any]


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler gets a graph whose largest weights count the other way round."""
    compile_ = Rvc4Toolchain.compile

    def compile_faulty(self: Rvc4Toolchain, file: Path, job: Path, **more: Any) -> Compiled:
        model = onnx.load(file)
        for tensor in model.graph.initializer:
            if len(tensor.dims) == 4:
                tensor.CopyFrom(numpy_helper.from_array(negated(numpy_helper.to_array(tensor)), tensor.name))
        onnx.save(model, file)
        return compile_(self, file, job, **more)

    monkeypatch.setattr(Rvc4Toolchain, "compile", compile_faulty)


def negated(weights: Array) -> Array:
    """With the largest weight negated; quantized ones lie about 0, or about the middle of their range."""
    middle = 128 if weights.dtype == np.uint8 else 0
    whole = weights.astype(np.float64) - middle
    place = np.unravel_index(np.abs(whole).argmax(), whole.shape)
    whole[place] *= -1
    return np.clip(whole + middle, *_range(weights.dtype)).astype(weights.dtype)


def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    return (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (-np.inf, np.inf)


def converted(tmp_path: Path, photos: Path, convert4: Convert, *words: str) -> Answer:
    return convert4(saved(conv_model(), tmp_path / "small.onnx"), *words, "--images", photos, "-o", tmp_path / "out")


def test_a_weight_that_is_negated_in_the_file_is_told(
    tmp_path: Path, photos: Path, convert4: Convert, faulty: None
) -> None:
    """20 dB were good enough whatever was simulated: the file was green."""
    answer = converted(tmp_path, photos, convert4, "--target-precision", "FP16_STANDARD")
    assert (answer.exit_code, answer.error["code"]) == (8, "VerificationFailed")
    assert "of the finished file has an SNR of" in answer.error["message"]


def test_so_it_is_in_8_bits(tmp_path: Path, photos: Path, convert4: Convert, faulty: None) -> None:
    answer = converted(tmp_path, photos, convert4, "--quantization-data", str(photos))
    assert (answer.exit_code, answer.error["code"]) == (8, "VerificationFailed")


def test_without_a_fault_the_same_model_is_fit(tmp_path: Path, photos: Path, convert4: Convert) -> None:
    answer = converted(tmp_path, photos, convert4, "--target-precision", "FP16_STANDARD")
    assert (answer.exit_code, answer.result["verdict"]) == (0, "ok"), answer.error
