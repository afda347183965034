"""Says what a file is by its content, never by its name."""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from oakmill.errors import NotAModel, UnsupportedModel
from oakmill.model import archives, checkpoints, torch_files
from oakmill.model.source import SourceFormat

ACCEPTED = (
    "Accepted are ONNX, OpenVINO IR (.xml), TFLite, TorchScript, checkpoints of Ultralytics (.pt), and NN Archives "
    "(.tar.xz) that hold one of the first three."
)

_HEAD_BYTES = 4096
_MYRIAD_MAGIC = struct.pack("<I", 9709)
_MYRIAD_ELF = b"\x7felf"  # in lower case, unlike a real ELF file's
_SUPERBLOB_HEADER = 17 * 8  # sizes of the base blob and of 16 patches, big endian


@dataclass(frozen=True)
class Finding:
    """What a file seems to be: an accepted format, or `what` in words, with what to do about it.

    `compiled` is the device that an already converted file is for: rvc2, rvc3, rvc4, hailo.
    """

    what: str
    remedy: str = ""
    format: SourceFormat | None = None
    compiled: str = ""


_EXPORT = "Export it to ONNX first"
_SOURCE_WANTED = "It is converted already; give the ONNX model that it was made from."

_MAGICS = (
    (4, b"TFL3", Finding("a TFLite model", format=SourceFormat.TFLITE)),
    (4, b"BLOB", Finding("an already compiled RVC3 blob", _SOURCE_WANTED, compiled="rvc3")),
    (0, b"\x01HEF", Finding("an already compiled Hailo HEF", _SOURCE_WANTED, compiled="hailo")),
    (0, b"\x7fELF", Finding("a program or library")),
    (0, b"\x89HDF", Finding("an HDF5 file (Keras .h5)", f"{_EXPORT}, with tf2onnx.")),
    (0, b"GGUF", Finding("a GGUF language model", "Cameras cannot run it.")),
    (0, b"\x89PNG", Finding("a PNG image")),
    (0, b"\xff\xd8\xff", Finding("a JPEG image")),
    (0, b"\x93NUMPY", Finding("a NumPy array")),
    (0, b"\x28\xb5\x2f\xfd", Finding("compressed with zstd", "Unpack it first.")),
)

_PROGRAM = Finding("a PyTorch exported program", f"{_EXPORT}: torch.onnx.export(program, f='model.onnx').")
_SCRIPT = Finding("a TorchScript module", format=SourceFormat.TORCHSCRIPT)
_CHECKPOINT = Finding("a checkpoint of Ultralytics", format=SourceFormat.CHECKPOINT)
_DAMAGED_ZIP = Finding("a zip whose end is missing or damaged", "Copy or download it again.")

_LABELS = {
    SourceFormat.ONNX: "ONNX",
    SourceFormat.OPENVINO_IR: "OpenVINO IR",
    SourceFormat.TFLITE: "TFLite",
    SourceFormat.TORCHSCRIPT: "TorchScript",
    SourceFormat.CHECKPOINT: "a checkpoint of Ultralytics",
    SourceFormat.NN_ARCHIVE: "an NN Archive",
}

# The first pattern that matches a name decides.
_ZIP_MEMBERS = (
    (r"dlc\.metadata|model\.params", Finding("an already compiled DLC", _SOURCE_WANTED, compiled="rvc4")),
    (r"(.*/)?serialized_exported_program\.json|(.*/)?models/model\.json", _PROGRAM),
    (r"model\.weights\.h5", Finding("a Keras model", f"{_EXPORT}, with tf2onnx.")),
    (r".*\.npy", Finding("an archive of NumPy arrays")),
    (r"config\.json|.*\.onnx", Finding("a zip", "Unpack it, or pack it as .tar.xz if it is an NN Archive.")),
)

_TEXTS = (
    (rb"version https://git-lfs", Finding("a Git LFS pointer, not the model itself", "Run `git lfs pull`.")),
    (
        rb"(?is)\s*(<!doctype html|<html)",
        Finding("a web page", "The download went wrong: repeat it."),
    ),
    (rb"(?s).{0,2000}?<net\s", Finding("an OpenVINO IR", format=SourceFormat.OPENVINO_IR)),
)

# The fields of ModelProto and GraphProto in onnx.proto, as protobuf writes them: number and wire type.
_VARINT, _BYTES = 0, 2
_IR_VERSION, _GRAPH = (1, _VARINT), (7, _BYTES)
_MODEL_FIELDS = {
    _IR_VERSION,
    (5, _VARINT),
    *((number, _BYTES) for number in (2, 3, 4, 6, 7, 8, 14, 20, 25, 26)),
}
_GRAPH_FIELDS = {(number, _BYTES) for number in (1, 2, 5, 10, 11, 12, 13, 14, 15, 16)}
_MAX_FIELDS = 1000  # before the graph; real files have 6


def sniff(path: Path) -> SourceFormat:
    """Tell the format of a source model.

    A tar counts as an NN Archive here. Its config.json is looked for when it is opened: it usually comes
    last, so finding it means decompressing everything.

    Raises:
        NotAModel: the file is something else, with the words for what it seems to be; or it cannot be read.
    """
    finding = identify(path)
    if finding.format is None:
        remedy = f"{finding.remedy} {ACCEPTED}".strip()
        raise NotAModel(f"{path.name} is {finding.what}", subject=str(path), remedy=remedy)
    return finding.format


def only_onnx(found: SourceFormat, path: Path) -> None:
    """Refuse the formats that are recognised but not converted yet.

    Raises:
        UnsupportedModel: the format is another than ONNX.
    """
    if found is not SourceFormat.ONNX:
        raise UnsupportedModel(
            f"{path.name} was recognised as {_LABELS[found]}, but this version converts ONNX, OpenVINO IR, "
            "TFLite and NN Archives that hold one of them",
            subject=str(path),
            remedy="Export the model to ONNX from the framework that it was trained in.",
        )


def identify(path: Path) -> Finding:
    """Say what a file seems to be.

    Raises:
        NotAModel: there is no such file, or it cannot be read.
    """
    try:
        if path.is_dir():
            return Finding("a folder", "Give the model file inside it.")
        if path.exists() and not path.is_file():
            return Finding("not a regular file")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            return _by_head(path, head) or _by_fields(file) or _unknown(path)
    except OSError as error:
        message = f"{path.name} cannot be read: {error.strerror}"
        raise NotAModel(message, subject=str(path), remedy=ACCEPTED) from error


def _unknown(path: Path) -> Finding:
    """A file without any mark; the weights of an OpenVINO IR have none, but their .xml says whose they are."""
    if path.suffix.lower() != ".bin":
        return Finding("of no known format, or damaged")
    graph = path.with_suffix(".xml")
    if graph.is_file():
        return Finding("the weights of an OpenVINO IR", f"Give {graph.name}, which is beside it.")
    return Finding("of no known format", f"If it holds the weights of an OpenVINO IR, put {graph.name} beside it.")


def _by_head(path: Path, head: bytes) -> Finding | None:
    if not head:
        return Finding("empty")
    for offset, magic, finding in _MAGICS:
        if head[offset:].startswith(magic):
            return finding
    return _by_myriad(head) or _by_container(path, head) or _by_pickle(path, head) or _by_text(head)


def _by_myriad(head: bytes) -> Finding | None:
    """A MyriadX blob holds its magic number where the 52 bytes of an ELF header end."""
    for base, name in ((0, "blob"), (_SUPERBLOB_HEADER, "superblob")):
        if head[base:].startswith(_MYRIAD_ELF) and head[base + 52 :].startswith(_MYRIAD_MAGIC):
            return Finding(f"an already compiled RVC2 {name}", _SOURCE_WANTED, compiled="rvc2")
    return None


def _by_container(path: Path, head: bytes) -> Finding | None:
    if head.startswith(archives.ZIP):
        return _by_zip_members(path, archives.zip_names(path))
    if archives.holds_tar(path):
        return Finding("an NN Archive", format=SourceFormat.NN_ARCHIVE)
    for magic, name in archives.COMPRESSIONS.items():
        if head.startswith(magic):
            return Finding(f"compressed with {name}, but no tar archive, or damaged", "Unpack it first.")
    return None


def _by_zip_members(path: Path, names: tuple[str, ...]) -> Finding:
    if not names:
        return _DAMAGED_ZIP
    if torch_files.is_script(names):
        return _SCRIPT
    for pattern, finding in _ZIP_MEMBERS:
        if any(re.match(pattern, name) for name in names):
            return finding
    found = torch_files.zipped_checkpoint(path, names)
    if found is None:
        return Finding("a zip without a model")
    if checkpoints.is_of_ultralytics(found.classes):
        return _CHECKPOINT
    strange = checkpoints.strange(found.classes)
    return Finding(strange, "Take it for hostile.") if strange else Finding(found.what, found.remedy)


def _by_pickle(path: Path, head: bytes) -> Finding | None:
    if head[0] != 0x80 or head[1:2] not in {b"\2", b"\3", b"\4", b"\5"}:
        return None
    found = torch_files.bare_checkpoint(path)
    return Finding(found.what, found.remedy)


def _by_text(head: bytes) -> Finding | None:
    text = head.removeprefix(b"\xef\xbb\xbf")
    if re.search(rb"[\x00-\x08\x0e-\x1a\x7f]", text) or not _is_utf8(text):
        return None
    for pattern, finding in _TEXTS:
        if re.match(pattern, text):
            return finding
    return Finding("text")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start > len(text) - 4 and len(text) > _HEAD_BYTES - 4  # a letter cut by the end of the head
    return True


def _by_fields(file: BinaryIO) -> Finding | None:
    """ONNX has no magic number: walk the top-level protobuf fields up to the graph, skipping contents."""
    file.seek(0)
    seen = set()
    for _ in range(_MAX_FIELDS):
        field = _next_field(file)
        if field == _GRAPH or field not in _MODEL_FIELDS:
            break
        seen.add(field)
        _skip(file, field)
    if field != _GRAPH or _IR_VERSION not in seen:
        return None
    if _varint(file) and _next_field(file) not in _GRAPH_FIELDS:
        return None
    return Finding("an ONNX model", format=SourceFormat.ONNX)


def _next_field(file: BinaryIO) -> tuple[int, int]:
    key = _varint(file)
    return key >> 3, key & 7


def _skip(file: BinaryIO, field: tuple[int, int]) -> None:
    size = _varint(file)
    if field[1] == _BYTES:
        file.seek(min(file.tell() + size, os.fstat(file.fileno()).st_size))


def _varint(file: BinaryIO) -> int:
    """A protobuf varint: 7 bits in a byte, lowest first, the top bit set while more follow; 0 at the end."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        value |= (byte[0] & 0x7F if byte else 0) << shift
        if not byte or byte[0] < 0x80:
            break
    return value
