"""Looks at uploaded models: what they are, their tensors, and where they can go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from oakmill.errors import NotAModel
from oakmill.heads import families, preprocessing
from oakmill.heads.families.base import Evidence
from oakmill.model import merge_inputs, open_source, prefill, sniff
from oakmill.model.external_data import external_tensors
from oakmill.model.sniff import identify
from oakmill.model.source import SourceFormat, SourceModel
from oakmill.preflight.check import Preflight, Report, unread
from oakmill.preflight.formats import operations_of
from oakmill.settings import Settings
from oakmill.spec import InputSpec
from oakmill.spec.platforms import PLATFORMS
from oakmill.untrusted import compiled
from oakmill.untrusted.folder import Place
from oakmill.untrusted.questions import CheckModel, Inspection, InspectModel, Recognised, Reports, SourceFacts

TYPES = {"onnx": "ONNX", "openvino_ir": "IR", "tflite": "TFLITE", "torchscript": "PYTORCH", "checkpoint": "PYTORCH"}
"""HubAI's words for the formats."""
WEIGHTS = (".bin", ".data", ".onnx_data", ".weights")


def inspect(asked: InspectModel, place: Place) -> Inspection:
    """What is known of the files of an upload.

    Raises:
        NotAModel, BrokenModel: none of the files is a model, or it is damaged.
        UnsafeSource: it reaches outside its own files, or grows beyond reason.
        UnsupportedModel: it is a model that cannot be read here.
    """
    if asked.compiled:
        return compiled.inspect(asked, place)
    files = [place.files / name for name in asked.names]
    model = _graph_of(files)
    if model is None:
        return Inspection(model=None, missing=("the model whose weights these are",))
    graph = _loaded(model)
    wanted = {model.parent / name for name in _wanted(model, graph)}
    _require_known(files, wanted)
    name, missing = _name_of(model, place), sorted(_name_of(path, place) for path in wanted - set(files))
    if missing:
        return Inspection(model=name, missing=tuple(missing))
    source = open_source(model, place.scratch / "source", place.settings, graph)
    return Inspection(model=name, source=_facts(source, graph, place.settings))


def check(asked: CheckModel, place: Place) -> Reports:
    """What preflight says of a model, as `oakmill check` says it.

    Raises:
        OakmillError: the model cannot be read.
    """
    source = open_source(place.files / asked.model, place.scratch / "source", place.settings)
    return Reports(reports=_reports(source, None, asked.platforms, place.settings, asked.inputs))


def _name_of(path: Path, place: Place) -> str:
    """What a file of the source was uploaded as."""
    return path.relative_to(place.files).as_posix()


def _graph_of(files: Sequence[Path]) -> Path | None:
    """The file that is a model; None where there are only weights, which are known by their names alone.

    Raises:
        NotAModel: there is neither.
    """
    weights = [path for path in files if _is_weights(path)]
    others = [path for path in files if path not in weights]
    found = next((path for path in (*others, *weights) if identify(path).format is not None), None)
    if found is None and others:
        sniff(others[0])
    if not files:
        raise NotAModel("There is no file.")
    return found


def _require_known(files: Sequence[Path], wanted: set[Path]) -> None:
    """Files that a model names may be anything, and have any name; all others are models, or called weights.

    Raises:
        NotAModel: a file is neither.
    """
    for path in files:
        if path not in wanted and not _is_weights(path):
            sniff(path)


def _is_weights(path: Path) -> bool:
    return path.suffix.lower() in WEIGHTS


def _loaded(model: Path) -> onnx.ModelProto | None:
    """The graph of an ONNX file, parsed once; None for other formats, and for a damaged one: opening it says so."""
    if sniff(model) is not SourceFormat.ONNX:
        return None
    try:
        return onnx.load(model, load_external_data=False)
    except DecodeError:
        return None


def _wanted(model: Path, graph: onnx.ModelProto | None) -> set[str]:
    """The names of files beside the model that it needs; whether they may be named so is judged when it is opened."""
    if graph is None:
        return {model.with_suffix(".bin").name} if sniff(model) is SourceFormat.OPENVINO_IR else set()
    entries = (entry for tensor in external_tensors(graph) for entry in tensor.external_data)
    return {entry.value for entry in entries if entry.key == "location" and _is_plain(entry.value)}


def _is_plain(location: str) -> bool:
    """Whether a file may be uploaded under that name; what is wrong with others is told when the model is opened."""
    parts = location.split("/")
    return not ("\\" in location or "\0" in location or {"", ".", ".."} & set(parts))


def _facts(source: SourceModel, graph: onnx.ModelProto | None, settings: Settings) -> SourceFacts:
    return SourceFacts(
        model_type=TYPES[source.format.value],
        format=source.format.value,
        is_nn_archive=source.archive is not None,
        size=source.size,
        opset=source.opset,
        producer=source.producer,
        inputs=source.inputs,
        outputs=source.outputs,
        archive=source.archive,
        heads=_heads(source),
        preflight=_reports(source, graph, tuple(PLATFORMS), settings),
        recognised=recognised(source, graph),
    )


def recognised(source: SourceModel, graph: onnx.ModelProto | None) -> Recognised | None:
    """What the outputs of an ONNX file are; an archive's heads say it themselves.

    Those of a checkpoint, of TFLite and of TorchScript are known once it is written as ONNX; what the input takes is
    before that, where its exporter notes it.
    """
    if source.format is not SourceFormat.ONNX and source.metadata and not _heads(source):
        return _unexported(source)
    if graph is None or _heads(source):
        return None
    found = families.recognise(graph, Evidence(source.metadata))
    if found is None:
        return None
    values = {} if source.archive else dict(preprocessing.of(graph, source))
    return Recognised(
        family=found.family,
        words=found.words,
        seen=found.seen,
        sure=found.sure.value,
        classes=found.classes,
        names=found.names,
        input=InputSpec.model_validate(values).model_dump(mode="json", exclude_none=True),
    )


def _unexported(source: SourceModel) -> Recognised:
    values = InputSpec.model_validate({} if source.archive else dict(preprocessing.of(None, source)))
    known, names = values.model_dump(mode="json", exclude_none=True), Evidence(source.metadata).names
    return Recognised(family="", words="", seen="", sure="certain", classes=len(names), names=names, input=known)


def _heads(source: SourceModel) -> list[Any]:
    model = (source.archive or {}).get("model")
    return list(model.get("heads") or []) if isinstance(model, dict) else []


def _reports(
    source: SourceModel,
    graph: onnx.ModelProto | None,
    platforms: Sequence[str],
    settings: Settings,
    asked: Sequence[InputSpec] = (),
) -> dict[str, Report]:
    """For each platform, whether the model can go there, and what stands in the way."""
    if source.format is not SourceFormat.ONNX:
        operations = operations_of(source, settings)
        return {name: unread(source, name, operations) for name in platforms}
    inputs = merge_inputs(tuple(asked), prefill(source.archive, source.inputs)).inputs
    preflight = Preflight(graph or onnx.load(source.graph, load_external_data=False), inputs)
    return {name: preflight.report(name) for name in platforms}
