"""An archive's heads whose outputs are gone, or never were, used to pass into the result without a word."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.conversion.conftest import Run


def pack(folder: Path, heads: list[dict[str, Any]]) -> Path:
    """An NN Archive of the small classifier with these heads."""
    config = {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": "small", "path": "small.onnx", "precision": "float32"},
            "inputs": [
                {
                    "name": "image", "dtype": "float32", "input_type": "image", "shape": [1, 3, 8, 8],
                    "layout": "NCHW", "preprocessing": {},
                }
            ],
            "outputs": [{"name": "scores", "dtype": "float32"}],
            "heads": heads,
        },
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    with tarfile.open(folder / "packed.tar.xz", "w:xz") as archive:
        for name in ("config.json", "small.onnx"):
            archive.add(folder / name, name)
    return folder / "packed.tar.xz"


def head(outputs: list[str], **metadata: Any) -> dict[str, Any]:
    given = {"classes": list("abcd"), "n_classes": 4, "is_softmax": True, **metadata}
    return {"name": "kind", "parser": "ClassificationParser", "outputs": outputs, "metadata": given}


def heads_in(file: Path) -> list[list[str]]:
    with tarfile.open(file) as archive:
        config = archive.extractfile("config.json")
        assert config is not None
        return [item["outputs"] for item in json.load(config)["model"]["heads"]]


def test_heads_that_fit_are_kept_without_a_word(run: Run, tmp_path: Path) -> None:
    made = run(pack(tmp_path, [head(["scores"])]))
    assert heads_in(made.file) == [["scores"]]
    assert not [item for item in made.passport.findings if item.code.startswith("head")]


def test_a_head_of_an_output_that_a_cut_removed_is_dropped_and_told(run: Run, tmp_path: Path) -> None:
    """`--outputs` ended a YOLO before its second scale; the head still named both, green, and failed on the camera."""
    made = run(pack(tmp_path, [head(["scores"])]), outputs=["relu"])
    assert heads_in(made.file) == []
    (found,) = (item for item in made.passport.findings if item.code == "head_cut")
    assert "'scores'" in found.message
    assert found.message in made.progress.notes


@pytest.mark.parametrize("metadata", [{"yolo_outputs": ["score"]}, {"boxes_outputs": "score"}])
def test_a_head_of_an_output_that_never_was_is_no_green(run: Run, tmp_path: Path, metadata: dict[str, Any]) -> None:
    """`yolo_outputs` named an output that the model never had; the archive was green and passed on unchanged."""
    made = run(pack(tmp_path, [head(["scores"], **metadata), head(["scores"])]))
    assert heads_in(made.file) == [["scores"]]
    assert made.passport.verdict == "warning"
    assert any("'score'" in reason and "'scores'" in reason for reason in made.progress.warnings)
