"""Describes PyTorch's files without PyTorch: what a TorchScript module takes, and whose classes a checkpoint needs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oakmill.errors import BrokenModel, SourceError, UnsafeSource, UnsupportedModel
from oakmill.model import archives, exporter_notes, pickles
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.settings import Settings

ONLY_INPUT = "images"
"""What the one input of a module is called, as HubAI and Ultralytics do; several keep their own names."""

_MEMBER_BYTES = 16 << 20
_NAMED = 3
_OPEN = (None, None, None, None)
_CHANNELS = 3
_NOTES = "extra/config.txt"  # where Ultralytics' exporter writes what its ONNX files have as metadata

_SCRIPT_PARTS = (r"[^/]+/constants\.pkl", r"[^/]+/code/.+\.py", r"[^/]+/data\.pkl")
_CHECKPOINT = r"(.*/)?data\.pkl"
_OLD_MAGIC = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")

_SIMPLER = "wrap the module in one whose forward takes tensors alone, and save that"
_ELSEWHERE = "torch.onnx.export(model, example, 'model.onnx'), or torch.jit.trace(model, example).save('model.pt')"
_EXPORTERS = (
    ("ultralytics.", "yolo export model={file} format=onnx opset=16 (or format=torchscript)"),
    ("yolov6.", "python deploy/ONNX/export_onnx.py --weights {file}, in the repository of YOLOv6"),
    ("models.", "python export.py --weights {file} --include onnx, in the repository that it was trained in (YOLOv5)"),
)


@dataclass(frozen=True)
class Checkpoint:
    """A pickled checkpoint in words: what it is, and how its model gets out of it; `classes` are all that it names."""

    what: str
    remedy: str
    classes: tuple[str, ...] = ()


def is_script(names: tuple[str, ...]) -> bool:
    """Whether a zip with members of these names holds a TorchScript module."""
    return all(any(re.fullmatch(part, name) for name in names) for part in _SCRIPT_PARTS)


def zipped_checkpoint(path: Path, names: tuple[str, ...]) -> Checkpoint | None:
    """What a zip with members of these names says of a checkpoint in it; None where it holds none."""
    found = next((name for name in names if re.fullmatch(_CHECKPOINT, name)), None)
    return _checkpoint(path, archives.zip_member(path, found, _MEMBER_BYTES)) if found else None


def bare_checkpoint(path: Path) -> Checkpoint:
    """The same of a file that is a pickle itself, as PyTorch wrote until version 1.6, or of whatever wrote it.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(_MEMBER_BYTES)
    return _checkpoint(path, data, "a PyTorch checkpoint" if _OLD_MAGIC in data[:32] else "a Python pickle")


def read_script(path: Path, settings: Settings) -> SourceModel:
    """Describe the TorchScript module at `path`; what it gives, and in which shapes, only PyTorch can tell.

    Shapes are open but where Ultralytics noted the size of the image beside the module.

    Raises:
        SourceError: the file cannot be read.
        UnsafeSource: it is larger than settings.source_max_mb.
        BrokenModel: its parts do not fit together.
        UnsupportedModel: its forward needs something else than tensors.
    """
    size, digest = measured(path, settings)
    names = _arguments(path)
    noted = _noted_shape(path)
    inputs = [Tensor(ONLY_INPUT, noted or _OPEN, "float32")] if len(names) == 1 else [_open(name) for name in names]
    return SourceModel(
        format=SourceFormat.TORCHSCRIPT,
        graph=path,
        files=(path,),
        name=path.stem,
        sha256=digest,
        size=size,
        inputs=tuple(inputs),
        outputs=(),
        producer="PyTorch",
        metadata=exporter_notes.of_text(_text(path, _NOTES)),
    )


def _open(name: str) -> Tensor:
    return Tensor(name, _OPEN, "float32")


def _checkpoint(path: Path, data: bytes, kind: str = "a PyTorch checkpoint") -> Checkpoint:
    named = pickles.classes(data)
    needed = pickles.foreign(named)
    if not needed:
        return Checkpoint(
            f"{kind} of weights without a network",
            f"Load them into the model's own class, then: {_ELSEWHERE}.",
            named,
        )
    more = f" and {len(needed) - _NAMED} more" if len(needed) > _NAMED else ""
    exporters = (how for start, how in _EXPORTERS if any(name.startswith(start) for name in needed))
    return Checkpoint(
        f"{kind}, which would run code when opened and needs {', '.join(needed[:_NAMED])}{more}",
        f"Export it to ONNX with its own package: {next(exporters, _ELSEWHERE).format(file=path.name)}.",
        named,
    )


def measured(path: Path, settings: Settings) -> tuple[int, str]:
    """The file's size in bytes and sha256.

    Raises:
        SourceError: it cannot be read.
        UnsafeSource: it is larger than settings.source_max_mb.
    """
    try:
        size = path.stat().st_size
        if size > settings.source_max_mb << 20:
            raise UnsafeSource(
                f"{path.name} has {size >> 20} MB; allowed are {settings.source_max_mb}",
                subject=str(path),
                remedy="Raise the setting source_max_mb (OAKMILL_SOURCE_MAX_MB).",
            )
        with path.open("rb") as file:
            return size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error


def _arguments(path: Path) -> list[str]:
    """The names of the tensors that the module's forward takes, out of its printed code."""
    module, _, kind = _root(path).rpartition(".")
    code = _text(path, f"code/{module.replace('.', '/')}.py")
    body = _between(code, f"class {kind}(Module):\n", "\nclass ")
    taken = _between(body, "\n  def forward(self: ", ") -> ")
    if not taken:
        raise _broken(path, f"the class {module}.{kind} has no forward")
    names = list(_tensors(path, taken.partition(",")[2]))
    if not names:
        raise UnsupportedModel(f"the forward of {path.name} takes no tensor", subject=path.name, remedy=_SIMPLER)
    return names


def _between(text: str, start: str, end: str) -> str:
    """What follows the first `start`, up to the next `end` or the text's own."""
    return text.partition(start)[2].partition(end)[0]


def _tensors(path: Path, arguments: str) -> Iterator[str]:
    """The names out of "x: Tensor,\\n    y: Tensor, ..."; those with a default are left to it."""
    for argument in filter(None, map(str.strip, arguments.split(",\n"))):
        name, _, kind = argument.partition(": ")
        if kind == "Tensor":
            yield name
        elif "=" not in kind:
            raise UnsupportedModel(
                f"the forward of {path.name} takes {name!r} as {kind}, and a camera gives tensors",
                subject=name,
                remedy=_SIMPLER,
            )


def _root(path: Path) -> str:
    """The full name of the module's class: the first that its data names."""
    found = pickles.classes(_member(path, "data.pkl"))
    if not found or not re.fullmatch(r"__torch__(\.\w+)+", found[0]):
        raise _broken(path, "it does not say of which class its module is")
    return found[0]


def _noted_shape(path: Path) -> tuple[int, ...] | None:
    """The shape that Ultralytics' exporter notes; None where nothing, or nothing sensible, is noted."""
    try:
        noted: Any = json.loads(_text(path, _NOTES))
    except (ValueError, RecursionError):
        return None
    if not isinstance(noted, Mapping):
        return None
    size = noted.get("imgsz")
    shape = [noted.get("batch", 1), noted.get("channels", _CHANNELS), *(size if isinstance(size, list) else [])]
    whole = all(isinstance(length, int) and 0 < length < 1 << 20 for length in shape)
    return tuple(shape) if whole and len(shape) == len(_OPEN) else None


def _text(path: Path, name: str) -> str:
    return _member(path, name).decode(errors="replace")


def _member(path: Path, name: str) -> bytes:
    """A member below the folder that all of them are in; empty where there is none."""
    top = next((entry for entry in archives.zip_names(path) if entry.endswith("/constants.pkl")), "").partition("/")[0]
    return archives.zip_member(path, f"{top}/{name}", _MEMBER_BYTES)


def _broken(path: Path, why: str) -> BrokenModel:
    return BrokenModel(
        f"{path.name} is a damaged TorchScript module: {why}",
        subject=str(path),
        remedy="Save it anew with torch.jit.save.",
    )
