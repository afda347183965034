from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from oakmill.errors import NotAModel, UnsupportedModel
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


@pytest.mark.parametrize(
    ("file", "name"),
    [("ir/face_landmark_160x160.xml", "OpenVINO IR"), ("tflite/yolox_nano_416_fp16.tflite", "TFLite")],
)
def test_formats_of_later_versions_are_recognised(
    shared_data: Path, tmp_path: Path, settings: Settings, file: str, name: str
) -> None:
    with pytest.raises(UnsupportedModel, match=f"recognised as {name}, but this version converts ONNX"):
        open_source(shared_data / "models" / file, tmp_path / "work", settings)


def test_other_files_are_refused(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(NotAModel):
        open_source(tmp_path, tmp_path / "work", settings)
