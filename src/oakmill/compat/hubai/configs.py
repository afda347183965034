"""An NN Archive's config as HubAI's client takes it: it rejects every key that its own schema does not have."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oakmill.compat.wire import Json
from oakmill.conversion.inputs import guess_layout
from oakmill.errors import NotFound
from oakmill.hub.state import Hub
from oakmill.registry.tables import Instance, InstanceFile, Role

if TYPE_CHECKING:
    from typing_extensions import Buffer

_INPUT = ("name", "dtype", "input_type", "shape", "layout")
_PREPROCESSING = ("mean", "scale", "reverse_channels", "interleaved_to_planar", "dai_type")
_OUTPUT = ("name", "dtype", "shape", "layout")
_PRECISIONS = ("float16", "float32", "float64")
_LARGEST = 1 << 20


def of(at: Hub, row: Instance) -> Mapping[str, Any]:
    """The config of an NN Archive: as it was found, else from the archive; of another source, what its file tells.

    Raises:
        NotFound: it is a converted file without an archive.
    """
    noted = row.facts.get("config") or row.facts.get("archive")
    if isinstance(noted, dict):
        return noted
    model = next((file for file in row.files if file.role == Role.MODEL), None)
    if row.is_nn_archive and model is not None:
        return _read(at, model.sha256)
    if model is not None and row.facts.get("inputs"):
        return _of_source(row, model)
    raise NotFound(
        f"The instance {row.name} is no NN Archive, so it has no config.",
        subject=row.id,
        remedy="Upload the model as an NN Archive, or convert it.",
    )


def _of_source(row: Instance, model: InstanceFile) -> Json:
    """A config as an NN Archive of the source would have it, with nothing said of preprocessing and heads."""
    tensors = {kind: list(row.facts.get(kind) or []) for kind in ("inputs", "outputs")}
    precision = next((item["dtype"] for item in tensors["inputs"] if item["dtype"] in _PRECISIONS), "float32")
    return {
        "model": {
            "metadata": {"name": Path(model.name).stem, "path": model.name, "precision": precision},
            "inputs": [_source_input(item) for item in tensors["inputs"]],
            "outputs": [_tensor(item) for item in tensors["outputs"]],
        }
    }


def _source_input(item: Mapping[str, Any]) -> Json:
    tensor = _tensor(item)
    layout = guess_layout(tensor["shape"])
    return {**tensor, "layout": layout, "input_type": "image" if {"H", "W"} <= set(layout) else "raw"}


def _tensor(item: Mapping[str, Any]) -> Json:
    """Open sizes are 1, as of the batch: the client takes whole numbers only."""
    shape = [size if isinstance(size, int) else 1 for size in item["shape"]]
    dtype = {"bool": "boolean"}.get(item["dtype"], item["dtype"])
    return {"name": item["name"], "dtype": dtype, "shape": shape}


def known(config: Mapping[str, Any]) -> Json:
    """What the client knows of a config; `heads` has to be there."""
    model = config["model"]
    return {
        "config_version": config.get("config_version", "1.0"),
        "model": {
            "metadata": dict(model["metadata"]),
            "inputs": [_input(item) for item in model["inputs"]],
            "outputs": [_only(item, _OUTPUT) for item in model["outputs"]],
            "heads": model.get("heads"),
        },
    }


def _input(item: Mapping[str, Any]) -> Json:
    return {**_only(item, _INPUT), "preprocessing": _only(item.get("preprocessing") or {}, _PREPROCESSING)}


def _only(values: Mapping[str, Any], keys: tuple[str, ...]) -> Json:
    return {key: values[key] for key in keys if key in values}


def _read(at: Hub, sha256: str) -> Mapping[str, Any]:
    """The config from an archive that we made, read no further than there."""
    with tarfile.open(fileobj=io.BufferedReader(_Pieces(at.blobs.stream(sha256))), mode="r|*") as archive:
        for member in archive:
            if member.name.removeprefix("./") == "config.json" and member.size <= _LARGEST:
                found = archive.extractfile(member)
                config: dict[str, Any] = json.load(found) if found else {}
                return config
    raise NotFound("The archive holds no config.json.", subject=sha256)


class _Pieces(io.RawIOBase):
    """The store's pieces as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """The next bytes; none at the end."""
        target = memoryview(buffer)
        self._rest = self._rest or memoryview(next(self._pieces, b""))
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
