"""Opens an NN Archive: a tar that holds a model and its config.json, as Luxonis' tools write it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from oakmill.errors import BrokenModel, NotAModel, OakmillError, UnsafeSource, UnsupportedModel
from oakmill.model.archives import unpack
from oakmill.model.onnx_model import read_onnx
from oakmill.model.openvino_ir import read_ir
from oakmill.model.sniff import Finding, identify, only_onnx, sniff
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.model.tflite import read_tflite
from oakmill.settings import Settings
from oakmill.spec import wrong

_READERS = {SourceFormat.OPENVINO_IR: read_ir, SourceFormat.TFLITE: read_tflite}
_CONFIG = "config.json"
_CONFIG_BYTES = 1 << 20
"""The vendor's own archives have some kilobytes; 10,000 names of classes 200 kB. Every instance keeps its config."""
_NOT_IN_NAMES = re.compile(r"^\.+|[/\\\x00-\x1f]")  # results are named after the model


def open_nn_archive(path: Path, into: Path, settings: Settings) -> SourceModel:
    """Unpack an NN Archive into the new folder `into` and read the model that its config.json names.

    The result's `archive` is the config with all of its keys, as luxonis_ml's schema 1.0 has it; its
    `format`, `files`, `sha256` and `size` are those of the model inside. `into` is removed when it fails.

    Raises:
        UnsafeSource: as `archives.unpack`; or the config names a file outside the archive.
        NotAModel: the tar holds no config.json.
        BrokenModel: the archive or its config is damaged, or the model named is not in it.
        UnsupportedModel: the model in it is already compiled, of several stages, or of another format.
    """
    files = unpack(path, into, settings)
    try:
        config, graph = _looked_at(path, files, into)
        found = _require_source(graph, path)
        source = _READERS.get(found, read_onnx)(graph, settings)
    except OakmillError:
        shutil.rmtree(into)
        raise
    name = _NOT_IN_NAMES.sub("_", config["model"]["metadata"]["name"])
    return replace(source, name=name or graph.stem, archive=config)


def look_into(path: Path, into: Path, settings: Settings) -> tuple[dict[str, Any], Finding]:
    """The config of an NN Archive and what its model is, also a compiled one; it is unpacked into a new folder.

    Raises:
        UnsafeSource, NotAModel, BrokenModel, UnsupportedModel: as `open_nn_archive`, but for a compiled model.
    """
    config, graph = _looked_at(path, unpack(path, into, settings), into)
    return config, identify(graph)


def _looked_at(path: Path, files: Collection[Path], into: Path) -> tuple[dict[str, Any], Path]:
    config = _read_config(into / _CONFIG, path)
    graph = into / _model_path(config, path)
    if graph not in files:
        message = f"the {_CONFIG} of {path.name} names the model {graph.name}, which is not in it"
        raise BrokenModel(message, subject=str(path))
    return config, graph


def _read_config(file: Path, archive: Path) -> dict[str, Any]:
    if not file.is_file():
        raise NotAModel(f"{archive.name} is a tar archive without {_CONFIG}, so no NN Archive", subject=str(archive))
    try:
        if file.stat().st_size > _CONFIG_BYTES:
            raise ValueError(f"it is larger than {_CONFIG_BYTES >> 20} MB")
        raw = json.loads(file.read_bytes())
        if not isinstance(raw, dict):
            raise ValueError("it is not an object")
        return _validated(raw)
    except ValidationError as error:
        raise _broken_config(archive, _first_problem(error)) from error
    except (ValueError, RecursionError) as error:
        raise _broken_config(archive, str(error)) from error


def _validated(raw: dict[str, Any]) -> dict[str, Any]:
    """The config with all its keys.

    Other versions of luxonis_ml leave out `heads` or write keys that this one does not know; both are mended.

    Raises:
        pydantic.ValidationError: the config is wrong in another way.
    """
    from luxonis_ml.nn_archive import Config

    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        for problem in error.errors():
            _mend(raw, problem["type"], problem["loc"])
        config = Config.model_validate(raw)
    result: dict[str, Any] = config.model_dump(mode="json")
    return result


def _mend(raw: dict[str, Any], problem: str, location: tuple[int | str, ...]) -> None:
    *parents, key = location
    if problem == "extra_forbidden":
        node: Any = raw
        for parent in parents:
            node = node[parent]
        del node[key]
    elif problem == "missing" and location == ("model", "heads"):
        raw["model"]["heads"] = None


def _first_problem(error: ValidationError) -> str:
    return ": ".join(wrong.first_of(error.errors()))


def _broken_config(archive: Path, why: str) -> BrokenModel:
    return BrokenModel(
        f"the {_CONFIG} of {archive.name} is not valid: {why}",
        subject=str(archive),
        remedy="Correct it after the NN Archive schema 1.0 of luxonis_ml.",
    )


def _model_path(config: dict[str, Any], archive: Path) -> PurePosixPath:
    """The path of the model that the config names, which lies within the archive."""
    name = PurePosixPath(config["model"]["metadata"]["path"])
    if name.is_absolute() or ".." in name.parts:
        raise UnsafeSource(f"the {_CONFIG} of {archive.name} names a file outside: {name}", subject=str(archive))
    for head in config["model"]["heads"] or []:
        if second := head["metadata"].get("postprocessor_path"):
            raise UnsupportedModel(
                f"{archive.name} holds a model of two stages: {name} and {second}",
                subject=str(archive),
                remedy="Convert the two models one by one.",
            )
    return name


def _require_source(graph: Path, archive: Path) -> SourceFormat:
    """The format of the model in the archive, which is one to convert."""
    finding = identify(graph)
    if finding.compiled:
        raise UnsupportedModel(
            f"{archive.name} is already converted: it holds {finding.what} ({graph.name})",
            subject=str(archive),
            remedy="Give the ONNX model, or the NN Archive holding it, that this one was made from.",
        )
    found = sniff(graph)
    if found not in _READERS:
        only_onnx(found, graph)
    return found
