"""From a trained detector's export to what a camera app reads, by the vendor's own parser."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

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
