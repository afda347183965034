"""Files that do harm, or are not what they are sent as: each by a name, with what the hub is to call it."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from onnx import ModelProto, TensorProto, helper

from tests.api.conftest import relu

LARGE = 100 << 20


@dataclass(frozen=True)
class Hostile:
    """An upload that is to be refused."""

    name: str
    made: bytes | Callable[[], bytes]
    code: str
    file: str = "model.onnx"
    model_type: str = "ONNX"
    more: dict[str, bytes] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """What is sent. Bombs are packed when they are, and not by everybody who collects tests."""
        return self.made if isinstance(self.made, bytes) else self.made()


def external(location: str, *, offset: str = "", length: str = "4") -> bytes:
    """A model whose weight is said to lie elsewhere."""
    model = ModelProto.FromString(relu())
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value:
            weight.external_data.add(key=key, value=value)
    model.graph.initializer.append(weight)
    model.graph.node.append(helper.make_node("Add", ["y", "w"], ["z"]))
    model.graph.output[0].name = "z"
    data: bytes = model.SerializeToString()
    return data


def tar(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:xz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def bomb(mode: str) -> bytes:
    """An archive whose model is 100 MB of zeros."""
    return tar((member("model.onnx"), bytes(LARGE)), (member("config.json"), config()), mode=mode)


def very_many() -> bytes:
    empty = ((member(f"f{number}"), b"") for number in range(10_100))
    return tar(*empty, (member("config.json"), config()), mode="w:gz")


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def config(path: str = "model.onnx", **more: object) -> bytes:
    tensor = {"name": "x", "dtype": "float32", "input_type": "image", "shape": [1, 3, 8, 8], "layout": "NCHW"}
    preprocessing = {"mean": None, "scale": None, "dai_type": "RGB888p"}
    model = {
        "metadata": {"name": "m", "path": path, "precision": "float32"},
        "inputs": [{**tensor, "preprocessing": preprocessing, **more}],
        "outputs": [{"name": "y", "dtype": "float32"}],
        "heads": None,
    }
    return json.dumps({"config_version": "1.0", "model": model}).encode()


def zipped(*members: tuple[str, bytes], link: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if link else 0o100644) << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def of_onnx() -> Iterator[Hostile]:
    whole = relu()
    yield Hostile("an ONNX cut off", whole[:40], "BrokenModel")
    yield Hostile("an ONNX with bytes turned over", whole[:30] + b"\xff" * 20 + whole[50:], "BrokenModel")
    yield Hostile("nothing but zeros", bytes(4096), "NotAModel")
    yield Hostile("one byte", b"x", "NotAModel")
    yield Hostile("random bytes", bytes(range(256)) * 8, "NotAModel")
    yield Hostile("an empty graph", ModelProto(ir_version=8).SerializeToString(), "NotAModel")
    yield Hostile("data outside by ..", external("../secret"), "UnsafeSource")
    yield Hostile("data outside by an absolute path", external("/etc/passwd"), "UnsafeSource")
    yield Hostile("data outside through a folder", external("a/../../secret"), "UnsafeSource")
    yield Hostile("data in a backslash path", external("..\\secret"), "UnsafeSource")
    short = {"w.bin": b"abcd"}
    yield Hostile("data beyond its file", external("w.bin", offset="4096"), "BrokenModel", more=short)
    yield Hostile("data longer than its file", external("w.bin", length="999999"), "BrokenModel", more=short)
    yield Hostile("data at a place that is no number", external("w.bin", offset="-8"), "BrokenModel", more=short)


def of_other_kinds() -> Iterator[Hostile]:
    yield Hostile("a pickle", pickle.dumps({"state_dict": 1}, protocol=2), "NotAModel", "model.pt")
    yield Hostile(
        "a PyTorch checkpoint", zipped(("archive/data.pkl", b"\x80\x02"), ("archive/version", b"3")), "NotAModel"
    )
    yield Hostile("a page of HTML", b"<!DOCTYPE html><html><body>Sign in</body></html>", "NotAModel")
    yield Hostile(
        "a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "NotAModel"
    )
    yield Hostile("an ELF program", b"\x7fELF\x02\x01\x01" + bytes(200), "NotAModel")
    yield Hostile("a JPEG", b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(200), "NotAModel", "photo.jpg")
    yield Hostile("a script", b"#!/bin/sh\nrm -rf /\n", "NotAModel", "run.sh")
    yield Hostile("JSON", b'{"model": 1}', "NotAModel", "config.json")
    yield Hostile("a Keras HDF5", b"\x89HDF\r\n\x1a\n" + bytes(500), "NotAModel", "model.h5")
    flat = struct.pack("<I", 1 << 31) + b"TFL3" + bytes(64)
    yield Hostile("a TFLite that points outside itself", flat, "BrokenModel", "model.tflite", "TFLITE")
    yield Hostile("a TFLite cut off", b"\x1c\0\0\0TFL3", "BrokenModel", "model.tflite", "TFLITE")


def of_ir() -> Iterator[Hostile]:
    net = b'<?xml version="1.0"?><net name="n" version="11"><layers>%s</layers><edges/></net>'
    bomb = b'<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>' + net % b"&b;"
    outside = b'<!DOCTYPE net [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + net % b"&a;"
    weights = {"model.bin": bytes(16)}
    for name, data, code in (
        ("an IR with entities that grow", bomb, "UnsafeSource"),
        ("an IR that reads a file of the hub", outside, "UnsafeSource"),
        ("an IR cut off", (net % b"")[:60], "BrokenModel"),
        ("an IR without layers", net % b"", "BrokenModel"),
    ):
        yield Hostile(name, data, code, "model.xml", "IR", weights)


def of_archives() -> Iterator[Hostile]:
    model, good = (member("model.onnx"), relu()), (member("config.json"), config())
    yield Hostile("an archive with ..", tar((member("../model.onnx"), relu()), good), "UnsafeSource", "a.tar.xz")
    yield Hostile(
        "an archive with an absolute path", tar((member("/tmp/m.onnx"), relu()), good), "UnsafeSource", "a.tar.xz"
    )
    symbolic = tar((member("model.onnx", tarfile.SYMTYPE, "/etc/passwd"), b""), good)
    yield Hostile("an archive with a symbolic link", symbolic, "UnsafeSource", "a.tar.xz")
    hard = tar((member("model.onnx", tarfile.LNKTYPE, "../../etc/passwd"), b""), good)
    yield Hostile("an archive with a hard link", hard, "UnsafeSource", "a.tar.xz")
    yield Hostile(
        "an archive with a device", tar((member("d", tarfile.CHRTYPE), b""), good), "UnsafeSource", "a.tar.xz"
    )
    yield Hostile("an archive with a pipe", tar((member("d", tarfile.FIFOTYPE), b""), good), "UnsafeSource", "a.tar.xz")
    yield Hostile("an archive with a name twice", tar(model, model, good), "UnsafeSource", "a.tar.xz")
    yield Hostile("an archive of very many files", very_many, "UnsafeSource", "a.tar.gz")
    deep = tar((member("/".join("d" * 40) + "/m"), b"x"), good)
    yield Hostile("an archive of very deep folders", deep, "UnsafeSource", "a.tar.xz")
    yield Hostile("a bomb in xz", partial(bomb, "w:xz"), "UnsafeSource", "a.tar.xz")
    yield Hostile("a bomb in gzip", partial(bomb, "w:gz"), "UnsafeSource", "a.tar.gz")
    yield Hostile("a bomb in bzip2", partial(bomb, "w:bz2"), "UnsafeSource", "a.tar.bz2")
    whole = tar(model, good)
    yield Hostile("an archive cut off", whole[: len(whole) // 2], "BrokenModel", "a.tar.xz")
    yield Hostile("an archive without its model", tar(good), "BrokenModel", "a.tar.xz")
    elsewhere = tar(model, (member("config.json"), config("../../etc/passwd")))
    yield Hostile("an archive whose config points outside", elsewhere, "UnsafeSource", "a.tar.xz")
    other = tar(model, (member("config.json"), config(name="z")))
    yield Hostile("an archive that describes another model", other, "BrokenModel", "a.tar.xz")
    yield Hostile(
        "an archive with a config that is no JSON", tar(model, (member("config.json"), b"{")), "BrokenModel", "a.tar.xz"
    )
    nested = tar(model, (member("config.json"), b"[" * 200_000))
    yield Hostile("an archive with a config without end", nested, "BrokenModel", "a.tar.xz")
    yield Hostile("xz of nothing", lzma.compress(b""), "NotAModel", "a.tar.xz")
    yield Hostile("gzip of text", gzip.compress(b"hello" * 100), "NotAModel", "a.tar.gz")
    yield Hostile("bzip2 of text", bz2.compress(b"hello" * 100), "NotAModel", "a.tar.bz2")


MODELS = [*of_onnx(), *of_other_kinds(), *of_ir()]
ARCHIVES = [*of_archives()]

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(50)
SETS = [
    Hostile("a set with ..", zipped(("../a.png", PICTURE)), "UnsafeSource"),
    Hostile("a set with an absolute path", zipped(("/tmp/a.png", PICTURE)), "UnsafeSource"),
    Hostile("a set with a link", zipped(("a.png", b"/etc/passwd"), link=True), "UnsafeSource"),
    Hostile("a set that is a bomb", lambda: zipped(("a.raw", bytes(LARGE))), "UnsafeSource"),
    Hostile("a set that is no zip", b"hello" * 100, "SourceError"),
    Hostile("a set cut off", zipped(("a.png", PICTURE))[:60], "SourceError"),
    Hostile("a set without pictures", zipped(("readme.txt", b"x")), "SourceError"),
]
