from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import random
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from oakmill.errors import NotAModel
from oakmill.model.sniff import ACCEPTED, sniff
from oakmill.model.source import SourceFormat

MYRIAD = b"\x7felf" + bytes(48) + struct.pack("<I", 9709) + bytes(100)


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return buffer.getvalue()


def tarred(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        archive.addfile(tarfile.TarInfo("config.json"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("models/mnist_cntk.onnx", SourceFormat.ONNX),
        ("models/fns_candy_720.onnx", SourceFormat.ONNX),
        ("models/yunet_n_dynamic.onnx", SourceFormat.ONNX),
        ("models/ir/face_landmark_160x160.xml", SourceFormat.OPENVINO_IR),
        ("models/tflite/yolox_nano_416_int8.tflite", SourceFormat.TFLITE),
    ],
)
def test_real_models_are_recognised_whatever_their_name(
    shared_data: Path, tmp_path: Path, file: str, expected: SourceFormat
) -> None:
    disguised = tmp_path / "picture.jpg"
    shutil.copyfile(shared_data / file, disguised)
    assert sniff(disguised) is expected


@pytest.mark.parametrize("mode", ["w", "w:xz", "w:gz", "w:bz2"])
def test_a_tar_is_an_nn_archive_whatever_compresses_it(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "model"
    path.write_bytes(tarred(mode))
    assert sniff(path) is SourceFormat.NN_ARCHIVE


def test_a_small_onnx_model_is_recognised_when_its_end_is_missing(model_file: Path) -> None:
    model_file.write_bytes(model_file.read_bytes()[:60])
    assert sniff(model_file) is SourceFormat.ONNX


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (MYRIAD, "is an already compiled RVC2 blob"),
        (bytes(136) + MYRIAD, "is an already compiled RVC2 superblob"),
        (b"\0\0\0\0BLOB" + bytes(90), "is an already compiled RVC3 blob"),
        (b"\x01HEF" + bytes(90), "is an already compiled Hailo HEF"),
        (zipped("dlc.metadata", "model", "model.params.bin"), "is an already compiled DLC"),
        (zipped("archive/data.pkl", "archive/data/0"), "is a PyTorch checkpoint"),
        (zipped("readme.md"), "is a zip without a model"),
        (zipped("readme.md")[:40], "is a zip whose end is missing or damaged"),
        (pickle.dumps({"state_dict": [1, 2]}), "is a Python pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "is an HDF5 file"),
        (b"{'this': 'is text'}\n", "is text"),
        ("größer als ASCII, über 4 kB: ".encode() * 200, "is text"),
        (b"\n<!DOCTYPE html><html></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "is a Git LFS pointer"),
        (b"\xff\xd8\xff\xe0" + bytes(90), "is a JPEG image"),
        (gzip.compress(b"not a tar" * 100, mtime=0), "is compressed with gzip, but no tar archive"),
        (bz2.compress(b"not a tar" * 100), "is compressed with bzip2, but no tar archive"),
        (lzma.compress(b"not a tar" * 100)[:50], "is compressed with xz, but no tar archive, or damaged"),
        (
            b"\x08\x01\x12\x05saved\x1a\x01x",
            "is of no known format",
        ),  # a TensorFlow SavedModel has no graph field
        (b"\x08\x01" * 5000, "is of no known format"),
    ],
)
def test_other_files_are_refused_with_the_words_for_what_they_are(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(NotAModel, match=words) as caught:
        sniff(path)
    assert ACCEPTED in caught.value.remedy


def test_a_pytorch_checkpoint_is_answered_with_how_to_export_it(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(zipped("best/data.pkl"))
    with pytest.raises(NotAModel) as caught:
        sniff(path)
    assert "torch.onnx.export" in caught.value.remedy


@pytest.mark.parametrize("name", ["open-closed-eye-0001", "face_landmark_160x160"])
def test_real_blobs_are_recognised_as_compiled(shared_data: Path, name: str) -> None:
    with pytest.raises(NotAModel, match="already compiled RVC2 blob"):
        sniff(shared_data / "compiled" / f"{name}_openvino_2021.4_6shave.blob")


def test_folders_missing_files_and_pipes_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opening it would wait for a writer for ever
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "none.onnx", "No such file"),
        (tmp_path / ("x" * 300), "cannot be read"),
        (pipe, "is not a regular file"),
    ):
        with pytest.raises(NotAModel, match=words):
            sniff(path)


def test_random_bytes_are_never_taken_for_a_model(tmp_path: Path) -> None:
    path = tmp_path / "noise.onnx"
    noise = random.Random(0)
    for _ in range(500):
        path.write_bytes(noise.randbytes(noise.randrange(1, 300)))
        with pytest.raises(NotAModel):
            sniff(path)
