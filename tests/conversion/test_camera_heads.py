"""From a trained detector's export to what a camera app reads, by the vendor's own parser."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tests.conversion.conftest import Convert
from tests.conversion.makers import saved
from tests.unit.heads.families.exports import Export


def test_the_vendors_parser_sees_what_the_export_saw(convert: Convert, tmp_path: Path) -> None:
    """A plain export came out with `"heads": []`: DepthAI could make no parser of it, and knew no class by name."""
    model = Export(side=64).model()
    answer = convert(saved(model, tmp_path / "detector.onnx"), "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    with tarfile.open(tmp_path / "out" / "detector.rvc2.tar.xz") as packed:
        file = packed.extractfile("config.json")
        assert file is not None
        (head,) = json.load(file)["model"]["heads"]
    assert head["metadata"]["classes"] == ["thing 0", "thing 1", "thing 2"]
    (row,) = answer.result["passport"]["parsers"]
    assert row["boxes"] > 100
    assert (row["found"], row["extra"], row["named"]) == (row["boxes"], 0, 1.0)
    assert row["mean_iou"] > 0.95


def test_who_wants_the_exports_own_outputs_keeps_them(convert: Convert, tmp_path: Path) -> None:
    model = saved(Export(side=64).model(), tmp_path / "detector.onnx")
    answer = convert(model, "--keep-outputs", "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    with tarfile.open(tmp_path / "out" / "detector.rvc2.tar.xz") as packed:
        file = packed.extractfile("config.json")
        assert file is not None
        config = json.load(file)["model"]
    assert [item["name"] for item in config["outputs"]] == ["output0"]
    assert config["heads"] == []


def test_the_vendors_parser_takes_the_shares_of_a_classifier_in_8_bits(convert4: Convert, tmp_path: Path) -> None:
    """Where a classifier of a thousand is unsure, its shares round to nothing in 8 bits: the vendor's parser refused
    what did not sum up to 1, and stopped the app."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]>
        unsure (float[1,3,32,32] image) => (float[1,1000] shares) {
            map = Conv <strides = [16, 16]> (image, weight)
            rows = Flatten (map)
            scores = MatMul (rows, classes)
            shares = Softmax <axis = 1> (scores)
        }
    """)
    random = np.random.default_rng(3)
    weights = {"weight": random.normal(size=(8, 3, 16, 16)) / 4000, "classes": random.normal(size=(32, 1000)) / 4}
    for name, values in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    answer = convert4(
        saved(model, tmp_path / "unsure.onnx"), "--target-precision", "INT8_STANDARD", "--max-images", "8",
        "--quantization-data", "random",
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.error
    (row,) = answer.result["passport"]["parsers"]
    assert (row["kind"], row["answers"]) == ("classification", row["boxes"])
    codes = {finding["code"] for finding in answer.result["passport"]["findings"]}
    assert not any(code.startswith("parser") for code in codes), codes
