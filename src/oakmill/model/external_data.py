"""Finds the files that hold an ONNX model's weights beside its graph, and refuses those that lead elsewhere.

Format: https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from onnx import ModelProto, TensorProto

from oakmill.errors import BrokenModel, UnsafeSource
from oakmill.model.tensors import byte_size, tensors

_LEADS_OUTSIDE = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\0")


def external_files(model: ModelProto, folder: Path, graph: Path | None = None) -> tuple[Path, ...]:
    """The files beside the graph that hold weights, in the order in which the graph names them.

    Reads no weights. `graph` is the model's own file, which holds none of these.

    Raises:
        UnsafeSource: a location is absolute, leads out of `folder`, through a symbolic link, or back to `graph`.
        BrokenModel: a file is missing, or a tensor lies beyond its end.
    """
    sizes: dict[str, tuple[Path, int]] = {}
    for tensor in external_tensors(model):
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location not in sizes:
            file = _resolved(location, folder, tensor.name)
            if file == graph:
                raise _unsafe(tensor.name, location, "in the model's own file")
            sizes[location] = file, file.stat().st_size
        _check_extent(tensor, entries, sizes[location][1])
    return tuple(dict.fromkeys(file for file, _ in sizes.values()))


def external_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """The tensors whose data is stored outside the graph's file."""
    return (tensor for tensor in tensors(model) if tensor.data_location == TensorProto.EXTERNAL)


def _resolved(location: str, folder: Path, name: str) -> Path:
    """The file at a location; looked at twice, as text and as what the file system makes of it."""
    if not location:
        raise BrokenModel(f"tensor {name!r} is stored outside the file, but the model does not say where")
    if _LEADS_OUTSIDE.search(location):
        raise _unsafe(name, location, "outside the model's folder")
    root = folder.resolve()
    plain = root / PurePosixPath(location)
    try:
        if plain.resolve() != plain:
            raise _unsafe(name, location, "behind a symbolic link")
        if not plain.is_file():
            raise BrokenModel(
                f"the model's external data {location!r} is missing: tensor {name!r} is stored there",
                subject=name,
                remedy="Give the model together with its external data, in one folder or in an NN Archive.",
            )
    except (OSError, RuntimeError) as error:  # a name too long; links in a circle
        raise _unsafe(name, location[:80], "which is no file") from error
    return folder / PurePosixPath(location)


def _unsafe(name: str, location: str, why: str) -> UnsafeSource:
    return UnsafeSource(
        f"tensor {name!r} is stored at {location!r}, {why}",
        subject=name,
        remedy="Save model and data in one folder: onnx.save(model, path, save_as_external_data=True).",
    )


def _check_extent(tensor: TensorProto, entries: dict[str, str], size: int) -> None:
    """Check that a tensor lies within its file and takes as many bytes as its dimensions and type need."""
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or size - offset)
    except ValueError as error:
        message = f"the place where tensor {tensor.name!r} is stored is no number: {error}"
        raise BrokenModel(message, subject=tensor.name) from error
    if offset < 0 or length < 0 or offset + length > size:
        raise BrokenModel(
            f"tensor {tensor.name!r} is stored at bytes {offset} to {offset + length} "
            f"of {entries['location']!r}, which has {size}",
            subject=tensor.name,
            remedy="The external data was cut off or belongs to another export; copy it again.",
        )
    if length != byte_size(tensor):
        raise BrokenModel(
            f"tensor {tensor.name!r} needs {byte_size(tensor)} bytes, but {length} are stored for it",
            subject=tensor.name,
        )
