from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import ModelProto

from oakmill.errors import BrokenModel, NotAModel, OakmillError, UnsafeSource, UnsupportedModel
from oakmill.model import load_onnx, open_nn_archive, sniff
from oakmill.model.source import SourceFormat
from oakmill.settings import Settings

Build = Callable[..., ModelProto]


def config_of(path: str = "small.onnx") -> dict[str, Any]:
    preprocessing = {"mean": [1, 2, 3], "scale": [4, 5, 6], "dai_type": "RGB888p"}
    x = {"name": "x", "dtype": "float32", "input_type": "image", "shape": [1, 3, 8, 8], "layout": "NCHW"}
    return {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": "My Model", "path": path},
            "inputs": [x | {"preprocessing": preprocessing}],
            "outputs": [{"name": "y", "dtype": "float32"}],
            "heads": None,
        },
    }


def pack(path: Path, config: Any, *files: Path, mode: str = "w:xz") -> Path:
    """Pack as luxonis_ml's ArchiveGenerator does: the executables first."""
    content = config if isinstance(config, bytes) else json.dumps(config).encode()
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for file in files:
            archive.add(file, file.name)
        info = tarfile.TarInfo("config.json")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return path


def refuse(path: Path, settings: Settings, expected: type[OakmillError], words: str) -> None:
    into = path.parent / "out"
    with pytest.raises(expected, match=words) as caught:
        open_nn_archive(path, into, settings)
    assert type(caught.value) is expected
    assert not into.exists()


def test_the_model_in_an_archive_is_read_with_its_config(tmp_path: Path, model_file: Path, settings: Settings) -> None:
    archive = pack(tmp_path / "model.tar.xz", config_of(), model_file)
    source = open_nn_archive(archive, tmp_path / "out", settings)
    assert sniff(archive) is SourceFormat.NN_ARCHIVE
    assert (source.format, source.name) == (SourceFormat.ONNX, "My Model")
    assert source.files == (tmp_path / "out" / "small.onnx",)
    assert source.archive is not None
    assert source.archive["model"]["inputs"][0]["preprocessing"]["mean"] == [1, 2, 3]
    assert source.archive["model"]["metadata"]["precision"] == "float32"
    assert load_onnx(source) == onnx.load(model_file)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("../../evil", "__.._evil"), ("a\nb", "a_b"), ("", "small"), ("ok 1.0", "ok 1.0")],
)
def test_a_models_name_can_name_a_file(
    tmp_path: Path, model_file: Path, settings: Settings, name: str, expected: str
) -> None:
    config = config_of()
    config["model"]["metadata"]["name"] = name
    archive = pack(tmp_path / "model.tar.xz", config, model_file)
    assert open_nn_archive(archive, tmp_path / "out", settings).name == expected


def test_what_luxonis_own_generator_writes_is_read(tmp_path: Path, model_file: Path, settings: Settings) -> None:
    from luxonis_ml.nn_archive import ArchiveGenerator

    path = ArchiveGenerator("generated", tmp_path, config_of(), [model_file], compression="gz").make_archive()
    assert open_nn_archive(path, tmp_path / "out", settings).inputs[0].name == "x"


def test_an_archive_may_hold_folders_and_external_data(tmp_path: Path, build: Build, settings: Settings) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    onnx.save(build(), folder / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    archive = pack(tmp_path / "model.tar", config_of("weights/m.onnx"), folder, mode="w")
    source = open_nn_archive(archive, tmp_path / "out", settings)
    assert [file.name for file in source.files] == ["m.onnx", "m.data"]
    assert load_onnx(source).graph.initializer[0].raw_data


def test_configs_of_other_versions_are_read(tmp_path: Path, model_file: Path, settings: Settings) -> None:
    config = config_of()
    del config["model"]["heads"], config["model"]["inputs"][0]["layout"]
    config["model"]["inputs"][0]["preprocessing"]["of_tomorrow"] = 1
    config["model"]["of_tomorrow"] = {}
    source = open_nn_archive(pack(tmp_path / "a.tar.xz", config, model_file), tmp_path / "out", settings)
    assert source.archive is not None
    assert source.archive["model"]["inputs"][0]["layout"] == "NCHW"
    assert "of_tomorrow" not in source.archive["model"]["inputs"][0]["preprocessing"]


@pytest.mark.parametrize("name", ["yolov6n-r2-coco-512x288.rvc2", "traffic_light-512x288.blob"])
def test_real_configs_are_valid_and_their_archives_known_as_converted(
    tmp_path: Path, shared_data: Path, settings: Settings, name: str
) -> None:
    config = json.loads((shared_data / "configs" / f"{name}.config.json").read_text())
    compiled = tmp_path / config["model"]["metadata"]["path"]
    shutil.copyfile(shared_data / "compiled" / "open-closed-eye-0001_openvino_2021.4_6shave.blob", compiled)
    archive = pack(tmp_path / "zoo.tar.xz", config, compiled)
    refuse(archive, settings, UnsupportedModel, "already converted: it holds an already compiled RVC2 blob")


@pytest.mark.parametrize(
    ("change", "expected", "words"),
    [
        ({"path": "none.onnx"}, BrokenModel, "names the model none.onnx, which is not in it"),
        ({"path": "../../etc/passwd"}, UnsafeSource, "names a file outside"),
        ({"path": "/etc/passwd"}, UnsafeSource, "names a file outside"),
        ({"path": "n" * 5000}, BrokenModel, "which is not in it"),
        ({"path": "."}, BrokenModel, "which is not in it"),
        ({"path": "config.json"}, NotAModel, "is text"),
        ({"name": None}, BrokenModel, r"model\.metadata\.name"),
    ],
)
def test_a_config_that_names_no_model_is_refused(
    tmp_path: Path,
    model_file: Path,
    settings: Settings,
    change: dict[str, str],
    expected: type[OakmillError],
    words: str,
) -> None:
    config = config_of()
    config["model"]["metadata"].update(change)
    refuse(pack(tmp_path / "a.tar.xz", config, model_file), settings, expected, words)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (b"", "not valid"),
        (b"{", "not valid"),
        (b"\xff\xfe\xff", "not valid"),
        (b"[]", "it is not an object"),
        (b"{}", "model: it is missing"),
        (b"[" * 200_000, "not valid"),
        (b'{"model": {"metadata": 1}}', r"model\.metadata"),
        (b" " * (2 << 20), "larger than 1 MB"),
    ],
)
def test_a_config_that_is_damaged_is_refused(
    tmp_path: Path, model_file: Path, settings: Settings, config: bytes, words: str
) -> None:
    refuse(pack(tmp_path / "a.tar.gz", config, model_file, mode="w:gz"), settings, BrokenModel, words)


def test_a_tar_without_config_is_no_nn_archive(tmp_path: Path, model_file: Path, settings: Settings) -> None:
    path = tmp_path / "other.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(model_file, "small.onnx")
    refuse(path, settings, NotAModel, "without config.json, so no NN Archive")


def test_a_broken_model_inside_leaves_nothing_behind(tmp_path: Path, settings: Settings) -> None:
    broken = tmp_path / "small.onnx"
    broken.write_bytes(b"\x08\x08\x3a\xff\x7f\x0a\x01")
    refuse(pack(tmp_path / "a.tar.xz", config_of(), broken), settings, BrokenModel, "damaged or cut off")


def test_archives_of_other_formats_and_of_two_stages_are_refused(
    tmp_path: Path, model_file: Path, settings: Settings
) -> None:
    inner = pack(tmp_path / "inner.tar", config_of(), model_file, mode="w")
    archive = pack(tmp_path / "a.tar", config_of(inner.name), inner, mode="w")
    refuse(archive, settings, UnsupportedModel, "recognised as an NN Archive")
    config = config_of()
    config["model"]["heads"] = [{"parser": "P", "metadata": {"postprocessor_path": "second.onnx"}}]
    refuse(pack(tmp_path / "b.tar", config, model_file, mode="w"), settings, UnsupportedModel, "two stages")
