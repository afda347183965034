"""Bad pictures, sets and models for RVC4 are refused with one clear sentence and a remedy, or simply work."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from oakmill.toolchains.rvc4.toolchain import Rvc4Toolchain
from tests.conversion.conftest import Answer, Convert, made_photos, one_format, own_home, read_answer
from tests.conversion.makers import SIDE, conv_model, saved

Maker = Callable[[Path], None]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return saved(conv_model(), tmp_path / "small.onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "teaches"
    made.mkdir()
    return made


def nothing_left(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


# sets


@pytest.mark.parametrize(
    ("data", "code", "words", "remedy"),
    [
        ("teaches", "SourceError", "teaches holds no image", ".npy"),
        ("teaches/none", "SourceError", "none does not exist", "a folder, a zip, or a set's name"),
        ("general", "SetMissing", "the calibration set general is not installed", "oakmill datasets install general"),
        ("", "SetMissing", "(the default where no quantization data is given)", "--quantization-data FOLDER"),
        ("genral", "UnknownSet", "no calibration set 'genral'", "Did you mean general"),
    ],
)
def test_a_set_that_is_not_there(
    data: str, code: str, words: str, remedy: str, small: Path, folder: Path, tmp_path: Path, convert4: Convert
) -> None:
    where = str(tmp_path / data) if data.startswith("teaches") else data
    options = ["--quantization-data", where] if data else []
    answer = convert4(small, *options, "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error.get("code")) == (3, code), answer.error
    assert words in answer.error["message"]
    assert remedy in answer.error["remedy"]
    assert nothing_left(tmp_path / "out")


def test_one_picture_works_and_says_how_little_it_is(
    small: Path, folder: Path, tmp_path: Path, convert4: Convert
) -> None:
    made_photos(folder, 1)
    answer = convert4(small, "--quantization-data", folder, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert any("one image only" in warning for warning in answer.result["warnings"])


# pictures


def cmyk(folder: Path) -> None:
    Image.new("CMYK", (20, 20), (10, 200, 30, 5)).save(folder / "cmyk.jpg")


def sixteen_bits(folder: Path) -> None:
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 160).save(folder / "deep.png")


def gray(folder: Path) -> None:
    Image.new("L", (20, 20), 77).save(folder / "gray.png")


def one_pixel(folder: Path) -> None:
    Image.new("RGB", (1, 1), (1, 2, 3)).save(folder / "pixel.png")


def palette(folder: Path) -> None:
    Image.new("P", (20, 20), 3).save(folder / "palette.png", transparency=3)


def thin(folder: Path) -> None:
    Image.new("RGB", (1000, 1), (1, 2, 3)).save(folder / "thin.png")


def test_unusual_pictures_calibrate_as_well(small: Path, folder: Path, tmp_path: Path, convert4: Convert) -> None:
    """CMYK, 16 bits, gray, a palette with transparency, one pixel, one row: all in one set, among photos."""
    made_photos(folder, 3)
    for maker in (cmyk, sixteen_bits, gray, one_pixel, palette, thin):
        maker(folder)
    answer = convert4(small, "--quantization-data", folder, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error


def text(folder: Path) -> None:
    (folder / "words.jpg").write_text("these are words and no picture\n" * 20)


def cut_off(folder: Path) -> None:
    path = made_photos(folder, 1, size=200) / "000.png"
    path.write_bytes(path.read_bytes()[:500])


def bomb(folder: Path) -> None:
    """100 megapixels in some kB."""
    side, rows = 10_000, zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(side + 1)) for _ in range(side)) + rows.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    path = folder / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    assert path.stat().st_size < 200_000


def array(values: np.ndarray) -> Maker:
    def make(folder: Path) -> None:
        np.save(folder / "values.npy", values)

    return make


PICTURE = np.zeros((1, 3, SIDE, SIDE), np.float32)

FILES: dict[str, tuple[Maker, int, str, str]] = {
    # what: how it is made, exit code, file, words of the message
    "text": (text, 3, "words.jpg", "cannot be read as an image"),
    "cut off": (cut_off, 3, "000.png", "cannot be read as an image"),
    "100 megapixels": (bomb, 3, "bomb.png", "pixels"),
    "wrong shape": (array(PICTURE[:, :, :8]), 2, "values.npy", "has the shape (1, 3, 8, 16), but the input's is"),
    "NHWC for NCHW": (array(PICTURE.transpose(0, 2, 3, 1)), 2, "values.npy", "but the input's is (1, 3, 16, 16)"),
    "objects": (array(np.full((1, 3, SIDE, SIDE), "x")), 3, "values.npy", "not numbers"),
    "complex": (array(PICTURE.astype("c8")), 3, "values.npy", "not numbers"),
    "below 0": (array(PICTURE - 1), 2, "values.npy", "holds values from -1 to -1"),
    "above 255": (array(PICTURE + 256), 2, "values.npy", "holds values from 256 to 256"),
    "not numbers": (array(PICTURE * np.nan), 3, "values.npy", "NaN"),
    "pickled": (array(np.array([{}, []], dtype=object)), 3, "values.npy", "cannot be read as an array"),
}


@pytest.mark.parametrize("what", FILES)
def test_files_that_cannot_calibrate_are_named(
    what: str, small: Path, folder: Path, tmp_path: Path, convert4: Convert
) -> None:
    make, code, name, words = FILES[what]
    make(folder)
    answer = convert4(small, "--quantization-data", folder, "-o", tmp_path / "out")
    assert answer.exit_code == code, answer.error
    assert name in answer.error["message"], answer.error
    assert words in answer.error["message"], answer.error
    assert "Traceback" not in answer.stderr
    assert nothing_left(tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"activation_encodings": {"other_net_out": [{"bitwidth": 8}]}}', "encodings of another model"),
        ("{", "is not JSON"),
        ('{"a": 1}', "holds no encodings of AIMET's"),
    ],
)
def test_encodings_that_are_not_this_models(
    content: str, words: str, small: Path, photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    (tmp_path / "encodings.json").write_text(content)
    options = ["--target-precision", "CUSTOM", "--aimet-encodings", tmp_path / "encodings.json"]
    answer = convert4(small, *options, "--quantization-data", photos, "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (2, "SpecError"), answer.error
    assert words in answer.error["message"]
    assert answer.error["remedy"]


# models


def with_tail(*nodes: str, **constants: np.ndarray) -> ModelProto:
    """The small network with other nodes behind it, each as "Op input,input output"."""
    tail = []
    for text in nodes:
        op, inputs, output = text.split()
        tail.append(helper.make_node(op, inputs.split(","), [output], f"{op.lower()}_{output}"))
    model = conv_model(tail=tail)
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    return model


def select_boxes() -> ModelProto:
    model = with_tail(
        "Reshape hidden,four boxes", "Reshape hidden,flat chances", "NonMaxSuppression boxes,chances,most scores",
        four=np.array([1, 256, 4]), flat=np.array([1, 4, 256]), most=np.array(10),
    )  # fmt: skip
    return of_integers(model)


def of_integers(model: ModelProto) -> ModelProto:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    return model


def pool_in_three() -> ModelProto:
    model = with_tail("Unsqueeze hidden,axis volume", "MaxPool volume scores", axis=np.array([2]))
    model.graph.node[-1].attribute.append(helper.make_attribute("kernel_shape", [1, 2, 2]))
    return model


MODELS: dict[str, tuple[Callable[[], ModelProto], int, str, str]] = {
    # what: how it is made, exit code, words of the message, words of the remedy
    "NonMaxSuppression": (
        select_boxes,
        4,
        "nonmaxsuppression_scores",
        "end the network before it (--outputs boxes --outputs chances)",
    ),
    "NonZero": (
        lambda: of_integers(with_tail("NonZero hidden scores")),
        7,
        "nonzero_scores",
        "end the network before it",
    ),
    "MaxPool3d": (pool_in_three, 4, "maxpool_scores", "end the network before it (--outputs volume)"),
    "open": (lambda: conv_model(shape=(1, 3, "height", "width")), 4, "height", "--shape"),
}


@pytest.mark.parametrize("precision", ["INT8", "FP16"])
@pytest.mark.parametrize("what", MODELS)
def test_a_network_that_cannot_go_is_refused_with_the_node_and_the_way_out(
    what: str, precision: str, photos: Path, tmp_path: Path, convert4: Convert
) -> None:
    make, code, words, remedy = MODELS[what]
    path = saved(make(), tmp_path / "model.onnx")
    teaches = ["--quantization-data", photos] if precision == "INT8" else []
    answer = convert4(path, "--target-precision", precision, *teaches, "-o", tmp_path / "out")
    assert answer.exit_code == code, answer.error
    assert words in answer.error["message"] + answer.error["subject"], answer.error
    assert remedy in answer.error["remedy"], answer.error
    assert nothing_left(tmp_path / "out")


# in the middle


def slow_model() -> ModelProto:
    """As large as to take two hundredths of a second and more for an image."""
    weight = np.random.default_rng(0).standard_normal((32, 3, 3, 3)).astype(np.float32) * 0.05
    deep = np.random.default_rng(1).standard_normal((32, 32, 3, 3)).astype(np.float32) * 0.05
    model = conv_model(shape=(1, 3, 96, 96), weight=weight)
    nodes = [
        helper.make_node("Conv", [f"x{index}" if index else "features", "deep"], [f"x{index + 1}"], f"c{index}",
                         pads=[1, 1, 1, 1])
        for index in range(8)
    ]  # fmt: skip
    del model.graph.node[1:]
    model.graph.node.extend([*nodes, helper.make_node("Relu", ["x8"], ["scores"], "last")])
    model.graph.initializer.append(numpy_helper.from_array(deep, "deep"))
    return model


SAVED = 8
"""More images than an event may leave out at the beginning."""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(slow_model(), tmp_path_factory.mktemp("slow") / "slow.onnx")


OFTEN = """
from oakmill.calibration import checkpoint
from oakmill.cli.main import main
checkpoint.EVERY = 0.05
main()
"""
"""`oakmill`, whose calibration is saved twenty times a second, not every ten seconds."""


class Running:
    """A conversion that is in the middle of its calibration."""

    def __init__(self, arguments: list[str | Path], temporary: Path, home: Path, images: int) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                OFTEN,
                "convert",
                *one_format(arguments),
                "--to",
                "rvc4",
                "--json",
                "--proof-images",
                "1",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary), "OAKMILL_HOME": str(home)},  # noqa: TID251
        )
        self.lines: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            event = json.loads(line).get("event", {})
            if event.get("stage") == "calibrate" and event.get("done", 0) >= images:
                return
        raise AssertionError(f"it ended before: {self.process.communicate()}")

    def answer(self) -> Answer:
        output, errors = self.process.communicate(timeout=120)
        return read_answer(self.process.returncode, "".join(self.lines) + output, errors)


@pytest.fixture
def begin(temporary: Path, tmp_path: Path, rvc4_toolchain: Rvc4Toolchain) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(*arguments: str | Path, images: int) -> Running:
        started.append(Running(list(arguments), temporary, own_home(tmp_path), images))
        return started[-1]

    yield run
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()


def test_a_set_that_vanishes_in_the_middle_is_told_and_nothing_stays(
    slow: Path, folder: Path, tmp_path: Path, begin: Callable[..., Running]
) -> None:
    made_photos(folder, 200)
    running = begin(slow, "--quantization-data", folder, "-o", tmp_path / "out", images=3)
    for path in folder.iterdir():
        path.unlink()
    answer = running.answer()
    assert (answer.exit_code, answer.error.get("code")) == (3, "SourceError"), answer.error
    assert "cannot be read" in answer.error["message"]
    assert "Traceback" not in answer.stderr
    assert nothing_left(tmp_path / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_in_the_calibration_ends_it_at_once_and_cleans_up(
    number: signal.Signals, slow: Path, folder: Path, tmp_path: Path, begin: Callable[..., Running]
) -> None:
    made_photos(folder, 200)
    running = begin(slow, "--quantization-data", folder, "-o", tmp_path / "out", images=3)
    began = time.monotonic()
    running.process.send_signal(number)
    _, errors = running.process.communicate(timeout=240)
    assert running.process.returncode == 130
    assert "interrupted" in errors
    assert time.monotonic() - began < 60
    assert nothing_left(tmp_path / "out")


def test_a_killed_calibration_goes_on_where_it_was(
    slow: Path, folder: Path, tmp_path: Path, temporary: Path, begin: Callable[..., Running]
) -> None:
    """kill -9 after the first checkpoint: the second run begins behind it."""
    made_photos(folder, 200)
    options = [slow, "--quantization-data", folder, "--max-quantization-images", "160", "--max-images", "2"]
    running = begin(*options, "-o", tmp_path / "out", images=1)
    cache = own_home(tmp_path) / "cache"
    end = time.monotonic() + 240
    while images_saved(cache) < SAVED and time.monotonic() < end and running.process.poll() is None:
        running.lines.append(running.process.stdout.readline())  # type: ignore[union-attr]
    running.process.kill()
    running.process.communicate(timeout=240)
    saved = images_saved(cache)
    assert saved >= SAVED, "it ended before its checkpoint"
    assert nothing_left(tmp_path / "out")
    for path in temporary.iterdir():  # whoever is killed leaves its temporary files
        subprocess.call(["rm", "-rf", str(path)])
    again = begin(*options, "-o", tmp_path / "out", images=1)
    first = next(count for count in map(images_done, again.lines) if count)
    assert first > saved
    again.process.send_signal(signal.SIGINT)
    again.process.communicate(timeout=240)


def images_saved(cache: Path) -> int:
    """How many images the checkpoint knows; none where there is none."""
    for path in cache.glob("*/*.partial"):
        with np.load(path) as state:
            return int(state["images"])
    return 0


def images_done(line: str) -> int:
    event = json.loads(line).get("event", {})
    return int(event.get("done", 0)) if event.get("stage") == "calibrate" else 0
