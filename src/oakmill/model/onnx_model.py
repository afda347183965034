"""Reads ONNX: first what the model is, without its weights; then, when asked, all of it."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, TensorShapeProto, ValueInfoProto, external_data_helper, helper

from oakmill.errors import BrokenModel, DynamicShape, SourceError, UnsafeSource, UnsupportedModel
from oakmill.files import file_sha256
from oakmill.model import weights
from oakmill.model.external_data import external_files, external_tensors
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.model.structure import check_structure, graph_inputs, opset_of
from oakmill.settings import Settings

PROTOBUF_LIMIT = (1 << 31) - 1  # bytes of one message: https://protobuf.dev/programming-guides/proto-limits/


def read_onnx(path: Path, settings: Settings, parsed: ModelProto | None = None) -> SourceModel:
    """Describe the ONNX model at `path`; external data is hashed as a stream, never loaded.

    `parsed` is what is in that file, where it was read before: it is large.

    Raises:
        BrokenModel: the file is damaged, contradicts itself, or lacks its external data.
        UnsafeSource: external data lies outside the model's folder, or the model is larger than
            settings.source_max_mb.
        UnsupportedOpset: the opset is missing or unknown.
        DynamicShape: an input does not even state its number of dimensions.
        UnsupportedModel: an input or output is not a tensor, or the IR version is unknown.
    """
    model = parsed or _parse(_read_bytes(path), path)
    check_structure(model)
    files = tuple(dict.fromkeys((path, *external_files(model, path.parent, path))))
    size = sum(file.stat().st_size for file in files)
    if size > settings.source_max_mb << 20:
        raise UnsafeSource(
            f"{path.name} has {size >> 20} MB with its external data; allowed are {settings.source_max_mb}",
            subject=str(path),
            remedy="Raise the setting source_max_mb (OAKMILL_SOURCE_MAX_MB).",
        )
    return SourceModel(
        format=SourceFormat.ONNX,
        graph=path,
        files=files,
        name=path.stem,
        sha256=file_sha256(*files),
        size=size,
        inputs=tuple(_input(value) for value in graph_inputs(model.graph)),
        outputs=tuple(_tensor(value) for value in model.graph.output),
        opset=opset_of(model),
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        metadata={item.key: item.value for item in model.metadata_props},
    )


def load_onnx(source: SourceModel, *, whole: bool = False) -> ModelProto:
    """Load the model with its weights; those of a large one stay in the files beside it, as `weights` has it.

    With `whole` they are read into memory, however large. From 2 GiB on the message cannot be serialised then.

    Raises:
        BrokenModel, UnsafeSource: as `read_onnx`, should the files have changed since.
    """
    model = _parse(_read_bytes(source.graph), source.graph)
    folder = source.graph.parent
    beside = sum(file.stat().st_size for file in external_files(model, folder))
    if beside > weights.STAY and not whole:
        weights.refer(model, folder)
    try:
        for tensor in external_tensors(model):
            if not weights.is_reference(tensor):
                external_data_helper.load_external_data_for_tensor(tensor, str(folder))
    except (ValueError, OSError, onnx.checker.ValidationError) as error:
        message = f"the external data of {source.graph.name} cannot be read: {error}"
        raise BrokenModel(message, subject=str(source.graph)) from error
    return model


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > PROTOBUF_LIMIT:
            raise BrokenModel(
                f"{path.name} is 2 GiB or larger, more than one ONNX file can be (protobuf's limit)",
                subject=str(path),
                remedy="Save it with external data: onnx.save(model, path, save_as_external_data=True).",
            )
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error


def _parse(data: bytes, path: Path) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        nested = "MaxDepth" in str(error)
        why = "its graphs are nested too deep" if nested else "the file is damaged or cut off"
        raise BrokenModel(
            f"{path.name} cannot be read as ONNX: {why}",
            subject=str(path),
            remedy="" if nested else "Compare its size with the original's, and copy or download it again.",
        ) from error
    return model


def _input(value: ValueInfoProto) -> Tensor:
    tensor = _tensor(value)
    if not value.type.tensor_type.HasField("shape"):
        raise DynamicShape(
            f"input {value.name!r} does not state its number of dimensions",
            subject=value.name,
            remedy="Export the model with the shape of this input.",
        )
    return tensor


def _tensor(value: ValueInfoProto) -> Tensor:
    """A graph's input or output; an output that states no shape gets the shape ()."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise UnsupportedModel(
            f"{value.name!r} is a {(kind or 'value without type').removesuffix('_type')}, not a tensor",
            subject=value.name,
            remedy="Export the model with tensors as inputs and outputs (for scikit-learn: zipmap=False).",
        )
    tensor = value.type.tensor_type
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except (KeyError, ValueError, TypeError) as error:
        raise BrokenModel(f"{value.name!r} has the unknown type {tensor.elem_type}", subject=value.name) from error
    return Tensor(value.name, tuple(map(_dimension, tensor.shape.dim)), dtype)


def _dimension(dim: TensorShapeProto.Dimension) -> int | str | None:
    """A dimension; exporters also write 0 and -1 for an open one."""
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value > 0 else None
    return dim.dim_param or None
