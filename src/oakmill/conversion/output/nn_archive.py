"""Wraps a compiled file as an NN Archive: config.json, build info and recipe beside it, the same bytes each time."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from oakmill.conversion.inputs import ResolvedInput
from oakmill.conversion.output import xz
from oakmill.errors import PreparationFailed
from oakmill.heads.outputs import renamed
from oakmill.model.source import Tensor
from oakmill.spec import Encoding, wrong

_DTYPES = {
    "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32",
    "I32": "int32", "I64": "int64", "U64": "uint64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
CODES = {dtype: code for code, dtype in _DTYPES.items()} | {"bool": "U8"}
"""OpenVINO's words for number formats, by numpy's; what is kept as bool is a byte at the boundary."""


@dataclass(frozen=True)
class Named:
    """What the archive calls the model, its file and its number format; the source's tensors by their names now."""

    name: str
    file_name: str
    precision: str
    tensors: Mapping[str, str] = field(default_factory=dict)


def config(
    named: Named,
    inputs: Sequence[ResolvedInput],
    outputs: Sequence[Tensor],
    ports: Mapping[str, Mapping[str, str]],
    source_config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The NN Archive's config.json, checked by luxonis-ml's own schema.

    Preprocessing is inside the model, so the config states none: mean 0, scale 1. The heads of a source archive are
    kept, with the outputs' names as they are now.

    Raises:
        PreparationFailed: luxonis-ml's schema does not accept what the model is.
    """
    declared = (source_config or {}).get("model", {}).get("heads") or []
    document = {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": named.name, "path": named.file_name, "precision": named.precision},
            "inputs": [_input(item, ports["inputs"][item.name]) for item in inputs],
            "outputs": [_output(tensor, ports["outputs"][tensor.name]) for tensor in outputs],
            "heads": heads(declared, named.tensors),
        },
    }
    require_valid(document)
    return document


def require_valid(document: Mapping[str, Any]) -> None:
    """Go on only with a config of luxonis-ml's schema.

    Raises:
        PreparationFailed: it is not.
    """
    from luxonis_ml.nn_archive.config import Config
    from pydantic import ValidationError

    try:
        Config.model_validate(document)
    except ValidationError as error:
        reason = "; ".join(f"{wrong.place_of(item)}: {wrong.in_words(item)}" for item in error.errors()[:3])
        raise PreparationFailed(
            f"the NN Archive's config is not valid: {reason}",
            remedy="check the heads in the source archive's config.json, or use --format native",
        ) from error


def heads(declared: Sequence[Mapping[str, Any]], tensors: Mapping[str, str]) -> list[Any]:
    """A source's heads with the outputs' names as they are now.

    Args:
        declared: the heads.
        tensors: the source's names of inputs and outputs by those of the converted model.
    """
    names = {old: new for new, old in tensors.items()}
    return [renamed(head, names) for head in declared]


def _input(item: ResolvedInput, precision: str) -> dict[str, Any]:
    neutral = {"mean": [0.0] * item.channels, "scale": [1.0] * item.channels} if item.is_image else {}
    return {
        "name": item.name,
        "dtype": _DTYPES[precision],
        "input_type": "image" if item.is_image else "raw",
        "shape": list(item.shape),
        "layout": item.layout,
        "preprocessing": {**neutral, "dai_type": depthai_type(item)},
    }


def depthai_type(item: ResolvedInput) -> str | None:
    """depthai's name of the frames that the converted model takes: BGR888p, RGB888i, GRAY8; None for no image."""
    if not item.is_image:
        return None
    if item.encoding_to is Encoding.GRAY:
        return "GRAY8"
    planar = item.layout.index("C") < item.layout.index("W")
    return f"{item.encoding_to}888{'p' if planar else 'i'}"


def _output(tensor: Tensor, precision: str) -> dict[str, Any]:
    shape = [size for size in tensor.shape if isinstance(size, int)]
    return {
        "name": tensor.name,
        "dtype": _DTYPES[precision],
        "shape": shape if shape and len(shape) == len(tensor.shape) else None,
    }


def write_archive(target: Path, artefact: Path, documents: Mapping[str, str], parts: Sequence[Path] = ()) -> None:
    """Write the archive: artefact, parts and text documents by file name, in a stored .tar.xz without times."""
    # PAX is USTAR byte for byte, but where a name is longer than USTAR's 100 characters
    plain = target.with_name(f"{target.name}.plain")
    with tarfile.open(plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, text in documents.items():
            data = text.encode()
            _add(archive, name, io.BytesIO(data), len(data))
        for path in (artefact, *parts):
            with path.open("rb") as file:
                _add(archive, path.name, file, path.stat().st_size)
    with plain.open("rb") as source, target.open("wb") as written:
        xz.store_file(source, plain.stat().st_size, written)
    plain.unlink()


def _add(archive: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    archive.addfile(entry, content)


def as_json(document: Mapping[str, Any]) -> str:
    """Readable JSON with a final newline."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
