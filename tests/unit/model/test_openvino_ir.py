from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oakmill.errors import BrokenModel, NotAModel, OakmillError, UnsafeSource, UnsupportedModel
from oakmill.model import SourceFormat, Tensor, open_source
from oakmill.model.openvino_ir import load_ir, read_ir, require_finite_ir, stored_bytes
from oakmill.settings import Settings
from tests.unit.model.ir_making import WEIGHTS, write_ir


@pytest.mark.parametrize("version", [10, 11])
def test_an_ir_is_described_with_both_its_files(tmp_path: Path, settings: Settings, version: int) -> None:
    path = write_ir(tmp_path / "small.xml", version)
    weights = path.with_suffix(".bin")

    source = open_source(path, tmp_path / "work", settings)

    assert source.format is SourceFormat.OPENVINO_IR
    assert source.files == (path, weights)
    assert source.sha256 == hashlib.sha256(path.read_bytes() + weights.read_bytes()).hexdigest()
    assert source.size == path.stat().st_size + weights.stat().st_size
    assert source.inputs == (Tensor("x", (1, 3, 8, 8), "float32"),)
    assert source.outputs == (Tensor("y", (1, 4, 6, 6), "float32"),)
    assert source.producer == f"OpenVINO IR v{version} 2021.4"


def test_a_real_ir_is_described(shared_data: Path, tmp_path: Path, settings: Settings) -> None:
    source = open_source(shared_data / "models/ir/face_landmark_160x160.xml", tmp_path / "work", settings)

    stem = "StatefulPartitionedCall/strided_slice_2/Split"
    assert source.inputs == (Tensor("images", (1, 3, 160, 160), "float32"),)
    assert {item.name: item.shape for item in source.outputs} == {
        f"{stem}.0": (1, 136), f"{stem}.1": (1, 3), f"{stem}.2": (1, 4)
    }  # fmt: skip
    assert stored_bytes(load_ir(source)) < 2503940


def test_open_dimensions_are_none(tmp_path: Path, settings: Settings) -> None:
    source = read_ir(write_ir(tmp_path / "small.xml", 11, shape="?,3,8..16,-1"), settings)

    assert source.inputs[0].shape == (None, 3, None, None)


def test_the_weights_must_lie_beside_the_xml(tmp_path: Path, settings: Settings) -> None:
    path = write_ir(tmp_path / "small.xml")
    path.with_suffix(".bin").unlink()

    with pytest.raises(BrokenModel, match=r"there is no small\.bin beside it"):
        read_ir(path, settings)


def test_weights_without_their_xml_are_no_model(tmp_path: Path, settings: Settings) -> None:
    weights = tmp_path / "small.bin"
    weights.write_bytes(WEIGHTS.tobytes())
    with pytest.raises(NotAModel) as alone:
        open_source(weights, tmp_path / "work", settings)
    assert "put small.xml beside it" in alone.value.remedy

    write_ir(tmp_path / "small.xml")
    with pytest.raises(NotAModel, match="is the weights of an OpenVINO IR") as beside:
        open_source(weights, tmp_path / "work", settings)
    assert "Give small.xml" in beside.value.remedy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"offset": "4"}, r"lies at bytes 4 to 436 of small\.bin, which has 432"),
        ({"offset": "-4"}, "does not say where its values lie"),
        ({"offset": "9" * 5000}, "does not say where its values lie"),
        ({"size": "400"}, "needs 432 bytes, but has 400"),
        ({"shape": "1,3,eight,8,..."}, "any number of dimensions"),
    ],
)
def test_a_contradiction_is_named(tmp_path: Path, settings: Settings, changes: dict[str, str], words: str) -> None:
    with pytest.raises(OakmillError, match=words):
        read_ir(write_ir(tmp_path / "small.xml", **changes), settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["2", "7", "12"])
def test_other_versions_are_refused_by_number(tmp_path: Path, settings: Settings, version: str) -> None:
    with pytest.raises(UnsupportedModel, match=f"of version {version}; read are 10 and 11"):
        read_ir(write_ir(tmp_path / "small.xml", version), settings)


def _cut_off(text: str) -> str:
    return text[: len(text) // 2]


def _bomb(text: str) -> str:
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    return text.replace("<net", f'<!DOCTYPE net [<!ENTITY a0 "ha">{entities}]><net', 1).replace("2021.4", "&a9;")


def _reads_a_file(text: str) -> str:
    doctype = '<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    return text.replace("<net", f"{doctype}<net", 1).replace("2021.4", "&x;")


def _deep(text: str) -> str:
    return text.replace("<meta_data>", "<meta_data>" + "<a>" * 100_000 + "</a>" * 100_000)


def _utf16(text: str) -> str:
    return text.replace('<?xml version="1.0"?>', '<?xml version="1.0" encoding="utf-16"?>')


def _no_such_layer(text: str) -> str:
    return text.replace('to-layer="3"', 'to-layer="33"')


def _two_edges(text: str) -> str:
    edge = '<edge from-layer="2" from-port="2" to-layer="3" to-port="0"/>'
    return text.replace(edge, edge * 2)


def _twice_the_id(text: str) -> str:
    return text.replace('id="3" name', 'id="2" name')


def _no_output(text: str) -> str:
    return text.replace('type="Result"', 'type="ReLU"')


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_cut_off, BrokenModel),
        (_bomb, UnsafeSource),
        (_reads_a_file, UnsafeSource),
        (_deep, UnsafeSource),
        (_no_such_layer, BrokenModel),
        (_two_edges, BrokenModel),
        (_twice_the_id, BrokenModel),
        (_no_output, BrokenModel),
    ],
)
def test_hostile_and_damaged_xml_is_refused(
    tmp_path: Path, settings: Settings, spoil: Callable[[str], str], error: type[OakmillError]
) -> None:
    path = write_ir(tmp_path / "small.xml")
    path.write_text(spoil(path.read_text()))

    with pytest.raises(error):
        read_ir(path, settings)


def test_another_encoding_than_utf8_does_not_hide_anything(tmp_path: Path, settings: Settings) -> None:
    path = write_ir(tmp_path / "small.xml")
    path.write_bytes(_utf16(_reads_a_file(path.read_text())).encode("utf-16"))

    with pytest.raises(UnsafeSource):
        read_ir(path, settings)


def test_size_has_its_limit(tmp_path: Path, settings: Settings) -> None:
    path = write_ir(tmp_path / "small.xml", weights=np.zeros(40_000_000, np.float32))

    with pytest.raises(UnsafeSource, match="allowed are 128"):
        read_ir(path, settings)


def test_a_weight_that_is_nan_is_refused(tmp_path: Path, settings: Settings) -> None:
    spoilt = WEIGHTS.copy()
    spoilt[1, 1, 1, 1] = np.nan
    source = read_ir(write_ir(tmp_path / "small.xml", weights=spoilt), settings)

    with pytest.raises(BrokenModel, match="'w' holds NaN"):
        require_finite_ir(load_ir(source), source.files[1])


CONFIG = """{"config_version": "1.0", "model": {
  "metadata": {"name": "small", "path": "net/small.xml"},
  "inputs": [{"name": "x", "dtype": "float32", "input_type": "image", "shape": [1, 3, 8, 8], "layout": "NCHW",
              "preprocessing": {"mean": [1, 2, 3], "scale": [4, 5, 6], "dai_type": "BGR888p"}}],
  "outputs": [{"name": "y", "dtype": "float32"}], "heads": null}}"""


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:xz") as packed:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
    return path


def test_an_nn_archive_may_hold_an_ir(tmp_path: Path, settings: Settings) -> None:
    path = write_ir(tmp_path / "small.xml")
    files = {"config.json": CONFIG.encode(), "net/small.xml": path.read_bytes()}
    packed = archive(tmp_path / "whole.tar.xz", {**files, "net/small.bin": path.with_suffix(".bin").read_bytes()})

    source = open_source(packed, tmp_path / "work", settings)

    assert source.format is SourceFormat.OPENVINO_IR
    assert [file.name for file in source.files] == ["small.xml", "small.bin"]
    assert source.archive is not None
    with pytest.raises(BrokenModel, match=r"no small\.bin beside it"):
        open_source(archive(tmp_path / "half.tar.xz", files), tmp_path / "again", settings)
    assert not (tmp_path / "again").exists()
