"""Class names that are given reach the archive's head, or are refused with both numbers."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import onnx
import pytest

from oakmill.conversion.converted import Converted
from oakmill.conversion.pipeline import summary
from oakmill.errors import SpecError
from tests.unit.conversion.conftest import Run
from tests.unit.conversion.sources.test_archive_heads import head, pack
from tests.unit.heads.families.exports import Export


def metadata_in(made: Converted) -> list[dict[str, Any]]:
    with tarfile.open(made.file) as archive:
        config = archive.extractfile("config.json")
        assert config is not None
        return [item["metadata"] for item in json.load(config)["model"]["heads"]]


def test_given_names_win_over_those_of_the_archive(run: Run, tmp_path: Path) -> None:
    names = ["a, b", "Käse", "猫", "scores"]  # the last is an output's name too
    made = run(pack(tmp_path, [head(["scores"])]), class_names=names)
    (metadata,) = metadata_in(made)
    assert (metadata["classes"], metadata["n_classes"]) == (names, 4)
    assert summary(made)["heads"][0]["metadata"]["classes"] == names
    assert made.recipe.spec.class_names == tuple(names)


def test_a_number_that_does_not_fit_is_told_with_both(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="names 3 classes, and the head 'ClassificationParser' of the model has 4"):
        run(pack(tmp_path, [head(["scores"])]), class_names="x,y,z")


def test_names_that_come_twice_are_told(run: Run, tmp_path: Path) -> None:
    made = run(pack(tmp_path, [head(["scores"])]), class_names="crane,crane,x,y")
    (found,) = (item for item in made.passport.findings if item.code == "class_names_twice")
    assert "'crane'" in found.message


def test_names_that_no_head_has_a_place_for_are_no_green(run: Run, tmp_path: Path) -> None:
    made = run(pack(tmp_path, []), class_names="x,y,z,w,v")
    assert [item.code for item in made.passport.findings if item.code.startswith("class")] == ["class_names_unused"]
    assert made.passport.verdict == "warning"


def test_a_recognised_detector_without_names_has_the_given_ones(run: Run, tmp_path: Path) -> None:
    """Its file named one class of three: they were numbered, which nobody wants to read who gave names."""
    onnx.save(Export().model(names="{0: 'one'}"), tmp_path / "detector.onnx")
    made = run(tmp_path / "detector.onnx", class_names="cat,dog,bird")
    assert metadata_in(made)[0]["classes"] == ["cat", "dog", "bird"]
    assert {item.code for item in made.passport.findings} >= {"head_recognised"}
    assert "class_names_missing" not in {item.code for item in made.passport.findings}
    assert "cat" in json.dumps(made.passport.as_dict())
