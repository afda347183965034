from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from oakmill.errors import NotAModel
from oakmill.model import SourceFormat, open_source
from oakmill.settings import Settings


def test_an_onnx_file_is_opened_where_it_is(tmp_path: Path, model_file: Path, settings: Settings) -> None:
    source = open_source(model_file, tmp_path / "work", settings)
    assert (source.graph, source.format) == (model_file, SourceFormat.ONNX)
    assert not (tmp_path / "work").exists()


def test_an_nn_archive_is_unpacked_into_the_work_folder(tmp_path: Path, model_file: Path, settings: Settings) -> None:
    metadata = {"name": "small", "path": "small.onnx"}
    (tmp_path / "config.json").write_text(
        json.dumps({"model": {"metadata": metadata, "inputs": [], "outputs": [], "heads": []}})
    )
    path = tmp_path / "archive"
    with tarfile.open(path, "w:bz2") as archive:
        archive.add(model_file, "small.onnx")
        archive.add(tmp_path / "config.json", "config.json")
    source = open_source(path, tmp_path / "work", settings)
    assert source.graph == tmp_path / "work" / "small.onnx"
    assert source.archive is not None


def test_other_files_are_refused(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(NotAModel):
        open_source(tmp_path, tmp_path / "work", settings)
