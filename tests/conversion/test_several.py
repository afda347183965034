"""One command for several platforms and precisions: what they share is made once, and one refusal stops no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oakmill.settings import current
from oakmill.toolchains.rvc4.toolchain import Rvc4Toolchain
from oakmill.toolchains.tflite.toolchain import TfliteToolchain
from tests import in_process
from tests.conversion import tflite_makers as makers
from tests.conversion.conftest import FEW_IMAGES, own_home
from tests.tools import installed


def test_a_matrix_from_one_reading_of_the_model(
    rvc4_toolchain: Rvc4Toolchain, photos: Path, temporary: Path, tmp_path: Path
) -> None:
    installed(TfliteToolchain(current()))
    model = makers.written(makers.convolution(), tmp_path / "small.tflite")
    asked = ("--to", "rvc2", "--to", "rvc4", "--target-precision", "INT8,FP16,INT9", "--quantization-data", photos)
    few = (*FEW_IMAGES, "--proof-images", "1", "--no-cache", "--json", "-o", tmp_path / "out")
    variables = {"TMPDIR": str(temporary), "OAKMILL_HOME": str(own_home(tmp_path))}
    answer = in_process.run("convert", model, *asked, *few, **variables)
    assert answer.returncode == 2, answer.stderr
    said = [json.loads(line) for line in answer.stdout.splitlines()]
    matrix = said[-1]["matrix"]
    assert [(row["platform"], row["precision"], row["exit_code"]) for row in matrix["rows"]] == [
        ("RVC2", "FP16", 0),
        ("RVC4", "INT8", 0),
        ("RVC4", "FP16", 0),
        ("RVC4", "INT9", 2),
    ]
    made = [Path(row["file"]).name for row in matrix["rows"][:3]]
    assert made == ["small.rvc2.tar.xz", "small.rvc4.int8.tar.xz", "small.rvc4.fp16.tar.xz"]
    assert all((tmp_path / "out" / name).is_file() for name in made)
    assert [words.split(":")[0] for words in matrix["choices"]] == ["RVC2", "RVC4"]
    assert _reused(said, "as-onnx") == 2  # the first writes the TFLite as ONNX, the others take it
    assert _reused(said, "prepare") >= 1


def _reused(said: list[dict[str, Any]], stage: str) -> int:
    results = [entry["result"] for entry in said if "result" in entry]
    return sum(f"reused from the cache: {stage}" in result["notes"] for result in results)
