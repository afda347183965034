"""Bad input is refused with one clear sentence, a remedy and the right exit code; nothing is left behind."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.conversion.conftest import Convert
from tests.conversion.makers import conv_model, saved

Maker = Callable[[Path], Path]


def text(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_text("hello, this is not a model\n" * 10)
    return path


def empty(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.touch()
    return path


def truncated(folder: Path) -> Path:
    path = saved(conv_model(), folder / "model.onnx")
    path.write_bytes(path.read_bytes()[:-200])
    return path


def zip_bomb(folder: Path) -> Path:
    path = folder / "model.tar.xz"
    with tarfile.open(path, "w:xz", preset=1) as archive:
        entry = tarfile.TarInfo("config.json")
        entry.size = 400 << 20
        archive.addfile(entry, _Zeros(entry.size))
    assert path.stat().st_size < 1 << 20
    return path


class _Zeros(io.RawIOBase):
    def __init__(self, size: int) -> None:
        self._left = size

    def read(self, size: int = -1) -> bytes:
        taken = min(size, self._left)
        self._left -= taken
        return bytes(taken)


def climbing_archive(folder: Path) -> Path:
    path = folder / "model.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        for name in ("config.json", "../../escaped.txt"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


def external_data_outside(folder: Path) -> Path:
    (folder.parent / "secret.bin").write_bytes(bytes(432))
    model = conv_model()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../secret.bin"), ("offset", "0"), ("length", "432")):
        weight.external_data.add(key=key, value=value)
    return saved(model, folder / "model.onnx")


def opset_99(folder: Path) -> Path:
    return saved(conv_model(opset=99), folder / "model.onnx")


def unsupported_op(folder: Path) -> Path:
    sample = helper.make_node("GridSample", ["hidden", "grid"], ["scores"], "sample_it")
    model = conv_model(opset=16, tail=[sample])
    model.graph.input.append(helper.make_tensor_value_info("grid", TensorProto.FLOAT, [1, 4, 4, 2]))
    return saved(model, folder / "model.onnx")


def an_expand_of_terabytes(folder: Path) -> Path:
    model = conv_model(tail=[helper.make_node("Expand", ["hidden", "sizes"], ["scores"], "much")])
    model.graph.initializer.append(helper.make_tensor("sizes", TensorProto.INT64, [4], [1 << 40, 1, 1, 1]))
    return saved(model, folder / "model.onnx")


def an_expand_of_computed_terabytes(folder: Path) -> Path:
    """Its sizes are products of constants, which onnx does not follow: the runtime asks for them, and gets none."""
    model = conv_model(tail=[helper.make_node("Expand", ["hidden", "sizes"], ["scores"], "much")])
    model.graph.node.insert(0, helper.make_node("Pow", ["base", "power"], ["sizes"], "sizes"))
    model.graph.initializer.append(helper.make_tensor("base", TensorProto.INT64, [4], [1 << 20, 1, 1, 1]))
    model.graph.initializer.append(helper.make_tensor("power", TensorProto.INT64, [], [2]))
    return saved(model, folder / "model.onnx")


def an_input_of_exabytes(folder: Path) -> Path:
    return saved(conv_model(shape=(1, 3, 1 << 31, 1 << 31)), folder / "model.onnx")


def open_dimensions(folder: Path) -> Path:
    return saved(conv_model(shape=(1, 3, "height", "width")), folder / "model.onnx")


def good(folder: Path) -> Path:
    return saved(conv_model(), folder / "model.onnx")


def nan_weight(folder: Path) -> Path:
    weight = np.ones((4, 3, 3, 3), np.float32)
    weight[2, 1, 0, 0] = np.nan
    return saved(conv_model(weight=weight), folder / "model.onnx")


def two_inputs_of_one_name(folder: Path) -> Path:
    model = conv_model()
    model.graph.input.append(model.graph.input[0])
    return saved(model, folder / "model.onnx")


def nothing(folder: Path) -> Path:
    return folder / "nothing.onnx"


def a_folder(folder: Path) -> Path:
    return folder


CASES: dict[str, tuple[Maker, list[str], int, str, str]] = {
    # what: how it is made, options, exit code, error, words of the message
    "not a model": (text, [], 3, "NotAModel", "model.onnx"),
    "empty": (empty, [], 3, "NotAModel", "empty"),
    "truncated": (truncated, [], 3, "BrokenModel", "model.onnx"),
    "not there": (nothing, [], 3, "NotAModel", "nothing.onnx"),
    "a folder": (a_folder, [], 3, "NotAModel", "folder"),
    "zip bomb": (zip_bomb, [], 3, "UnsafeSource", "200 times its size"),
    "archive with ..": (climbing_archive, [], 3, "UnsafeSource", "../../escaped.txt"),
    "external data outside": (external_data_outside, [], 3, "UnsafeSource", "../secret.bin"),
    "opset 99": (opset_99, [], 4, "UnsupportedOpset", "99"),
    "unsupported op": (unsupported_op, [], 4, "UnsupportedModel", "sample_it"),
    "open dimensions": (open_dimensions, [], 4, "DynamicShape", "height"),
    "an Expand of terabytes": (an_expand_of_terabytes, [], 4, "UnsupportedModel", "no camera has room"),
    "computed terabytes": (an_expand_of_computed_terabytes, [], 7, "LimitExceeded", "more memory than there is"),
    "an input of exabytes": (an_input_of_exabytes, [], 4, "UnsupportedModel", "no camera has room"),
    "a shape of gigabytes": (open_dimensions, ["--shape", "1,3,65536,65536"], 4, "UnsupportedModel", "65536"),
    "wrong rank": (good, ["--shape", "1,3,16"], 2, "SpecError", "4 dimensions"),
    "contradicting shape": (good, ["--shape", "1,4,16,16"], 2, "SpecError", "image"),
    "mean of wrong length": (good, ["--mean-values", "1,2"], 2, "SpecError", "3 channel(s), but 2 mean"),
    "unknown encoding": (good, ["--encoding-from", "YUV"], 2, "SpecError", "--encoding-from"),
    "no SHAVEs": (good, ["--blob", "--shaves", "0"], 2, "SpecError", "--shaves"),
    "17 SHAVEs": (good, ["--blob", "--shaves", "17"], 2, "SpecError", "--shaves"),
    "SHAVEs of a superblob": (
        good,
        ["--compile-tool-args", "-c MYRIAD_NUMBER_OF_SHAVES=4"],
        2,
        "SpecError",
        "superblob",
    ),
    "unknown input": (good, ["--mean-values", "picture=1"], 2, "SpecError", "no input 'picture'"),
    "unknown port": (good, ["--compile-tool-args", "-iop picture:U8"], 2, "SpecError", "'picture'"),
    "unsafe argument": (good, ["--compile-tool-args", "-flagfile=/etc/passwd"], 2, "ArgumentRefused", "-flagfile"),
    "IR version": (good, ["--ir-version", "2022.3.0"], 2, "VersionNotAvailable", "2022.2.0"),
    "NaN weight": (nan_weight, [], 3, "BrokenModel", "weight"),
    "two inputs of one name": (two_inputs_of_one_name, [], 3, "BrokenModel", "image"),
    "no pictures": (good, ["--images", "nowhere"], 3, "SourceError", "nowhere"),
}


@pytest.mark.parametrize(("make", "options", "exit_code", "code", "words"), CASES.values(), ids=CASES)
def test_bad_input_is_refused(
    make: Maker, options: list[str], exit_code: int, code: str, words: str, tmp_path: Path, convert: Convert
) -> None:
    folder, out = tmp_path / "source", tmp_path / "out"
    folder.mkdir()
    answer = convert(make(folder), *options, "-o", out)
    assert (answer.exit_code, answer.error.get("code")) == (exit_code, code), answer.error or answer.stderr
    assert words in answer.error["message"] + answer.error["remedy"]
    assert "\n" not in answer.error["message"].strip()
    assert "Traceback" not in answer.stderr
    assert not out.exists() or not list(out.iterdir())
    assert not list(tmp_path.rglob("escaped.txt"))


def test_what_is_there_is_not_overwritten(tmp_path: Path, convert: Convert) -> None:
    mine = tmp_path / "model.rvc2.tar.xz"
    mine.write_text("mine")
    answer = convert(good(tmp_path), "-o", tmp_path)
    assert (answer.exit_code, answer.error["code"]) == (9, "OutputExists")
    assert "--overwrite" in answer.error["remedy"]
    assert mine.read_text() == "mine"
    assert convert(tmp_path / "model.onnx", "-o", tmp_path, "--overwrite").exit_code == 0
    assert mine.stat().st_size > 1000


def test_an_output_folder_that_cannot_be_written(tmp_path: Path, convert: Convert) -> None:
    answer = convert(good(tmp_path), "-o", "/proc/oakmill")
    assert (answer.exit_code, answer.error["code"]) == (9, "OutputError")
    (tmp_path / "file").touch()
    answer = convert(tmp_path / "model.onnx", "-o", tmp_path / "file")
    assert (answer.exit_code, answer.error["code"]) == (9, "OutputError")
    assert answer.error["remedy"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(folder)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.call(mount, stderr=subprocess.DEVNULL):
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.call(["umount", str(folder)])


def test_a_full_disk(tmp_path: Path, small_disk: Path, convert: Convert) -> None:
    answer = convert(good(tmp_path), "-o", small_disk)
    assert (answer.exit_code, answer.error["code"]) == (9, "OutputError")
    assert "disk is full" in answer.error["message"]
    assert not list(small_disk.iterdir())


def test_a_full_disk_where_the_work_is_done(tmp_path: Path, small_disk: Path, convert: Convert) -> None:
    answer = convert(good(tmp_path), "-o", tmp_path / "out", TMPDIR=str(small_disk))
    assert (answer.exit_code, answer.error["code"]) == (9, "OutputError"), answer.error
    assert not list(small_disk.iterdir())
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_a_model_of_more_than_two_gigabytes(tmp_path: Path, convert: Convert) -> None:
    """2.1 GB of weights outside the graph: read flat, and refused because RVC2 has 512 MB of memory."""
    path = tmp_path / "big.onnx"
    rows, columns = 1024, 550_000
    model = conv_model()
    model.graph.initializer.append(
        TensorProto(name="big", data_type=TensorProto.FLOAT, dims=[rows, columns], data_location=TensorProto.EXTERNAL)
    )
    length = rows * columns * 4
    for key, value in (("location", "big.data"), ("offset", "0"), ("length", str(length))):
        model.graph.initializer[-1].external_data.add(key=key, value=value)
    del model.graph.node[1].output[:]
    model.graph.node[1].output.append("hidden")
    model.graph.node.append(helper.make_node("MatMul", ["flat", "big"], ["scores"], "matmul"))
    onnx.save(model, path)
    with (tmp_path / "big.data").open("wb") as file:
        file.truncate(length)
    answer = convert(path, "-o", tmp_path / "out")
    assert answer.exit_code in (3, 4), answer.error
    assert answer.error["remedy"]
