"""PyTorch's files are told apart by content; no pickle in them is ever opened."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from oakmill.errors import BrokenModel, NotAModel, UnsafeSource, UnsupportedModel
from oakmill.model import open_source, pickles
from oakmill.model.sniff import sniff
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.model.torch_files import ONLY_INPUT
from oakmill.settings import Settings, current
from oakmill.toolchains.torchscript import tiny

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)


class Hostile:
    """Writes a file when its pickle is opened."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._target}",)


def named(*classes: str) -> bytes:
    """A pickle that names these classes and cannot be opened, as they are nowhere."""
    return b"\x80\x02" + b"".join(b"c%s\n%s\n" % tuple(map(str.encode, name.rsplit(".", 1))) for name in classes) + b"."


def checkpoint(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("best/data.pkl", data)
        archive.writestr("best/data/0", bytes(64))
        archive.writestr("best/version", "3\n")
    return path


def refusal(path: Path) -> NotAModel:
    with pytest.raises(NotAModel) as caught:
        sniff(path)
    return caught.value


def read(path: Path, settings: Settings | None = None) -> SourceModel:
    return open_source(path, path.parent / "work", settings or current())


def test_a_module_is_recognised_and_its_one_input_is_called_images(tmp_path: Path) -> None:
    path = tiny.write_model(tmp_path / "model.onnx")
    assert sniff(path) is SourceFormat.TORCHSCRIPT
    source = read(path)
    assert [(item.name, item.shape) for item in source.inputs] == [(ONLY_INPUT, (None,) * 4)]
    assert source.outputs == ()


def test_several_inputs_keep_their_names_and_those_with_a_default_are_none(tmp_path: Path) -> None:
    arguments = "left: Tensor,\n    right: Tensor,\n    scale: float=2.,\n    mask: Optional[Tensor]=None"
    source = read(tiny.write_model(tmp_path / "model.pt", arguments=arguments, body="return torch.add(left, right)"))
    assert [item.name for item in source.inputs] == ["left", "right"]


@pytest.mark.parametrize(
    ("noted", "shape"),
    [
        ('{"imgsz": [288, 512], "batch": 1}', (1, 3, 288, 512)),
        ('{"imgsz": [64, 64], "batch": 2, "channels": 1}', (2, 1, 64, 64)),
        ('{"imgsz": 640}', (None,) * 4),
        ('{"imgsz": [-1, 640]}', (None,) * 4),
        ('{"imgsz": [640, "640"]}', (None,) * 4),
        ("[640, 640]", (None,) * 4),
        ("[" * 100_000, (None,) * 4),
        ("no JSON", (None,) * 4),
    ],
)
def test_the_size_that_ultralytics_notes_is_the_shape(
    tmp_path: Path, noted: str, shape: tuple[int | None, ...]
) -> None:
    assert read(tiny.write_model(tmp_path / "model.pt", extra=noted)).inputs[0].shape == shape


@pytest.mark.parametrize("arguments", ["x: List[Tensor]", "x: Tensor,\n    scale: float", "x: float=1."])
def test_a_forward_that_needs_other_things_than_tensors_is_refused(tmp_path: Path, arguments: str) -> None:
    with pytest.raises(UnsupportedModel, match=r"the forward of model\.pt takes") as caught:
        read(tiny.write_model(tmp_path / "model.pt", arguments=arguments))
    assert "tensors alone" in caught.value.remedy


@pytest.mark.parametrize(
    "replaced",
    [
        {"data.pkl": b"no pickle"},
        {"data.pkl": named("os.system")},
        {"code/__torch__.py": b"class Other(Module):\n  def forward(self: x,\n    x: Tensor) -> Tensor:\n"},
        {"code/__torch__.py": b"class Tiny(Module):\n  pass\nclass B(Module):\n  def forward(self: x) -> Tensor:\n"},
        {"code/__torch__.py": b"class Tiny(Module):\n" + b"  def forward(self: x,\n" * 100_000},
        {"code/__torch__.py": b"\xff" * 100},
    ],
)
def test_a_damaged_module_is_named_as_such(tmp_path: Path, replaced: dict[str, bytes]) -> None:
    whole = zipfile.ZipFile(tiny.write_model(tmp_path / "whole.pt"))
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        for name in whole.namelist():
            archive.writestr(name, replaced.get(name.partition("/")[2], whole.read(name)))
    with pytest.raises((BrokenModel, UnsupportedModel)):
        read(tmp_path / "model.pt")


def test_a_module_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tiny.write_model(tmp_path / "model.pt", extra=" " * (1 << 20))
    with pytest.raises(UnsafeSource, match="allowed are 1"):
        read(path, current().model_copy(update={"source_max_mb": 1}))


@pytest.mark.parametrize(
    ("classes", "words", "remedy"),
    [
        (["yolov6.models.yolo.Model"], "needs yolov6.models.yolo.Model", "deploy/ONNX/export_onnx.py"),
        (["models.yolo.Model", "models.common.Conv"], "models.common.Conv", "export.py --weights best.pt"),
        (["my.net.Net"], "needs my.net.Net", "torch.onnx.export"),
        (["a.A", "b.B", "c.C", "d.D"], "a.A, b.B, c.C and 1 more", "torch.jit.trace"),
        (["collections.OrderedDict", "torch._utils._rebuild_tensor_v2"], "weights without a network", "own class"),
    ],
)
def test_a_checkpoint_is_refused_with_the_classes_that_it_needs(
    tmp_path: Path, classes: list[str], words: str, remedy: str
) -> None:
    path = checkpoint(tmp_path / "best.pt", named(*classes))
    error = refusal(path)
    assert error.message.startswith("best.pt is a PyTorch checkpoint")
    assert words in error.message
    assert remedy in error.remedy
    path.write_bytes(MAGIC + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + named(*classes) + bytes(100))
    old = refusal(path)  # the format of before PyTorch 1.6
    assert (old.message, old.remedy) == (error.message, error.remedy)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_hostile_pickles_are_named_and_never_opened(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "executed"
    data = pickle.dumps(Hostile(target), protocol)
    assert "posix.system" in refusal(checkpoint(tmp_path / "zip.pt", data)).message
    (tmp_path / "bare.pt").write_bytes(data)
    assert (
        "a Python pickle, which would run code when opened and needs posix.system"
        in refusal(tmp_path / "bare.pt").message
    )
    assert not target.exists()
    pickle.loads(data)  # where it is opened, it does
    assert target.exists()


def test_a_module_whose_data_are_hostile_stays_unopened(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    whole = zipfile.ZipFile(tiny.write_model(tmp_path / "whole.pt"))
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        for name in whole.namelist():
            hostile = name.endswith(".pkl")
            archive.writestr(name, pickle.dumps(Hostile(target)) if hostile else whole.read(name))
    with pytest.raises(BrokenModel, match="of which class"):
        read(tmp_path / "model.pt")
    assert not target.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\x02X\xff\xff\xff\xffshort",
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60),
        b"\x80\x04\x93\x94h\x07.",
        b"\x80\x02I" + b"9" * 10_000 + b"\n.",
        b"\x80\x02c\xff\xfe\n\x1b[31m\n.",
        b"\x80\x02" + b"0" * 3_000_000,
    ],
)
def test_damaged_pickles_end_the_search_and_nothing_else(data: bytes) -> None:
    for name in pickles.classes(data):
        assert name.isascii()
        assert name.isprintable()
