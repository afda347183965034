"""Reads TFLite models: what goes in and out, which operations they are made of, and whether the file is whole.

Schema: tensorflow/compiler/mlir/lite/schema/schema.fbs; the places of its fields stand in the code as numbers.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from oakmill.errors import BrokenModel, SourceError, UnsafeSource, UnsupportedModel
from oakmill.model import exporter_notes
from oakmill.model.flatbuffer import Buffer, DamagedBufferError, Table
from oakmill.model.source import SourceFormat, SourceModel, Tensor
from oakmill.model.tflite_mend import Mended, mended
from oakmill.model.tflite_names import CUSTOM, OPERATIONS, TYPES
from oakmill.settings import Settings

T = TypeVar("T")

_VERSION = 3  # of the schema, since 2017
_NUMBERS = {"float32", "float16", "int32", "uint8", "int64", "bool", "int16", "int8", "float64"}
_UNCONVERTED = {"int4", "bfloat16", "int2", "uint4", "float8_e4m3fn", "float8_e5m2"}
_WRITTEN_OUT = "Convolution2DTransposeBias"  # which the toolchain writes as TRANSPOSE_CONV and ADD
_FLEX = "Flex"  # how operations of TensorFlow itself are called, which LiteRT runs with a part of TensorFlow
_LARGEST = (1 << 31) - 1  # bytes: offsets have 32 bits, and the sign is taken


class Quantization(StrEnum):
    """What of a model is quantized to integers: nothing, constants alone, or also what is computed."""

    NONE = "none"
    WEIGHTS = "weights"
    ACTIVATIONS = "activations"


@dataclass(frozen=True)
class TfliteTensor:
    """A tensor; None in `shape` is an open dimension, for which `default` has the number that the file runs with.

    `scale` and `zero_point` are those of a quantized tensor, one for all of it or one for each channel.
    """

    name: str
    shape: tuple[int | None, ...]
    default: tuple[int, ...]
    dtype: str
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()
    constant: bool = False

    @property
    def quantized(self) -> bool:
        """Whether its integers stand for other numbers."""
        return bool(self.scale) and self.dtype in ("int8", "uint8", "int16", "int32")


@dataclass(frozen=True)
class TfliteModel:
    """A TFLite model without its weights; `operations` counts those of all its graphs by name."""

    inputs: tuple[TfliteTensor, ...]
    outputs: tuple[TfliteTensor, ...]
    operations: Mapping[str, int]
    quantization: Quantization
    wide: bool
    """Whether something computed is quantized to 16 bits."""
    description: str
    written_out: tuple[str, ...] = ()
    """What MediaPipe's transposed convolution computes, the one custom operation that is known."""


def read_tflite(path: Path, settings: Settings) -> SourceModel:
    """Describe the TFLite model at `path`.

    Raises:
        SourceError: the file cannot be read.
        UnsafeSource: it is larger than settings.source_max_mb.
        BrokenModel, UnsupportedModel: as `parse_tflite`.
    """
    data = _read_bytes(path, settings)
    model = parse_tflite(data, path.name)
    return SourceModel(
        format=SourceFormat.TFLITE,
        graph=path,
        files=(path,),
        name=path.stem,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        inputs=tuple(Tensor(item.name, item.shape, item.dtype) for item in model.inputs),
        outputs=tuple(Tensor(item.name, item.shape, item.dtype) for item in model.outputs),
        producer=model.description,
        metadata=exporter_notes.of_tflite(path),
    )


def describe_tflite(path: Path, settings: Settings) -> TfliteModel:
    """The TFLite model at `path` with its operations and quantization; raises as `read_tflite`."""
    return parse_tflite(_read_bytes(path, settings), path.name)


def mended_tflite(path: Path, settings: Settings) -> Mended:
    """The TFLite model at `path` as tools can take it; raises as `read_tflite`."""
    return mended(_read_bytes(path, settings))


def _read_bytes(path: Path, settings: Settings) -> bytes:
    try:
        size = path.stat().st_size
        if size > min(settings.source_max_mb << 20, _LARGEST):
            raise UnsafeSource(
                f"{path.name} has {size >> 20} MB; allowed are {min(settings.source_max_mb, 2047)}",
                subject=str(path),
                remedy="Raise the setting source_max_mb (OAKMILL_SOURCE_MAX_MB); 2 GB is the most that TFLite has.",
            )
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", subject=str(path)) from error


def parse_tflite(data: bytes, name: str) -> TfliteModel:
    """Read a TFLite model; no offset in it is trusted.

    Args:
        data: the file.
        name: what errors call it.

    Raises:
        BrokenModel: it is damaged, cut off, or contradicts itself.
        UnsupportedModel: it is of another version; or an operation is custom, of TensorFlow itself or unknown, a
            type is one that cannot be converted, or an input or output has no name of its own.
    """
    try:
        root = Buffer(mended(data).data).root()
        version = root.number(0, "I")
        if version != _VERSION:
            raise UnsupportedModel(
                f"{name} is of TFLite's schema {version}; known is {_VERSION}",
                subject=name,
                remedy="Convert the model to TFLite again with a current TensorFlow.",
            )
        return _Reader(root, len(data)).model()
    except DamagedBufferError as error:
        raise BrokenModel(
            f"{name} cannot be read as TFLite: {error}",
            subject=name,
            remedy="Compare its size with the original's, and copy or download it again.",
        ) from error


class _Reader:
    """One pass through a model."""

    def __init__(self, root: Table, size: int) -> None:
        self._root = root
        self._codes = [_operation(code) for code in root.tables(1)]
        self._buffers = [_buffer_size(item, size) for item in root.tables(4)]
        self._operations: Counter[str] = Counter()
        self._tensors: list[TfliteTensor] = []
        self._written_out: list[str] = []

    def model(self) -> TfliteModel:
        graphs = [(graph, self._graph_tensors(graph)) for graph in self._root.tables(2)]
        if not graphs:
            raise BrokenModel("the TFLite model has no graph")
        for graph, tensors in graphs:
            self._read_operators(graph, tensors)
        main, tensors = graphs[0]
        inputs = _boundary(main.numbers(1, "i"), tensors, "input")
        outputs = _boundary(main.numbers(2, "i"), tensors, "output")
        computed = [item for item in self._tensors if item.quantized and not item.constant]
        some = Quantization.WEIGHTS if any(item.quantized for item in self._tensors) else Quantization.NONE
        return TfliteModel(
            inputs=inputs,
            outputs=outputs,
            operations=dict(sorted(self._operations.items())),
            quantization=Quantization.ACTIVATIONS if computed else some,
            wide=any(item.dtype == "int16" for item in computed),
            description=self._root.text(3),
            written_out=tuple(self._written_out),
        )

    def _graph_tensors(self, graph: Table) -> list[TfliteTensor]:
        found = [self._tensor(item) for item in graph.tables(0)]
        self._tensors += found
        return found

    def _tensor(self, table: Table) -> TfliteTensor:
        name, kind, buffer = table.text(3), table.number(1, "b"), table.number(2, "I")
        if not 0 <= kind < len(TYPES):
            raise UnsupportedModel(f"tensor {name!r} is of the unknown type {kind}", subject=name)
        if TYPES[kind] in _UNCONVERTED:
            raise UnsupportedModel(
                f"tensor {name!r} is {TYPES[kind]}, which ONNX converters for TFLite do not know",
                subject=name,
                remedy="Convert the model to TFLite as float32, float16 or int8.",
            )
        shape, signature = table.numbers(0, "i"), table.numbers(7, "i")
        size = _item(self._buffers, buffer, f"tensor {name!r} has the buffer")
        tensor = TfliteTensor(
            name=name,
            shape=_dimensions(shape, signature),
            default=tuple(max(1, length) for length in shape),
            dtype=TYPES[kind],
            **_quantization(table),
            constant=size > 0,
        )
        if size and not table.has(6):  # which says that only some values are stored
            _check_size(tensor, shape, size)
        return tensor

    def _read_operators(self, graph: Table, tensors: Sequence[TfliteTensor]) -> None:
        for place, table in enumerate(graph.tables(3)):
            label = f"operation {place}"
            code, custom = _item(self._codes, table.number(0, "I"), f"{label} has the code")
            for index in table.numbers(1, "i"):
                if index != -1:  # an input left out
                    _item(tensors, index, f"{label} reads the tensor")
            computed = [_item(tensors, index, f"{label} computes the tensor") for index in table.numbers(2, "i")]
            if code == CUSTOM and custom == _WRITTEN_OUT and len(computed) == 1:
                self._written_out.append(computed[0].name)
                self._operations.update(["TRANSPOSE_CONV", "ADD"])
                continue
            _require_known(code, custom, computed[0].name if computed else label)
            self._operations[OPERATIONS[code]] += 1


def _item(items: Sequence[T], index: int, words: str) -> T:
    if not 0 <= index < len(items):
        raise BrokenModel(f"{words} {index}, and the TFLite model has {len(items)} of them")
    return items[index]


def _operation(code: Table) -> tuple[int, str]:
    """An operation's number and, for a custom one, its name; numbers from 127 on have a field of their own."""
    return max(code.number(0, "b"), code.number(3, "i")), code.text(1)


def _require_known(code: int, custom: str, place: str) -> None:
    if code == CUSTOM:
        whose = "TensorFlow's own" if custom.startswith(_FLEX) else "the custom"
        raise UnsupportedModel(
            f"{place!r} is computed by {whose} operation {custom.removeprefix(_FLEX)!r}, which has no counterpart "
            "in ONNX",
            subject=place,
            remedy="Convert the model to TFLite again with built-in operations only; leave post-processing such as "
            "TFLite_Detection_PostProcess out and do it after the camera.",
        )
    if not 0 <= code < len(OPERATIONS):
        raise UnsupportedModel(
            f"{place!r} is computed by operation number {code}, which this version does not know",
            subject=place,
            remedy="Convert the model to TFLite with an older TensorFlow.",
        )


def _buffer_size(table: Table, file_size: int) -> int:
    """The bytes of a constant, which very large files keep behind the FlatBuffer."""
    offset, size = table.number(1, "Q"), table.number(2, "Q")
    if offset > 1:
        if offset + size > file_size:
            raise BrokenModel(f"a constant ends at byte {offset + size}, but the TFLite file has {file_size}")
        return size
    return table.size(0)


def _dimensions(shape: Sequence[int], signature: Sequence[int]) -> tuple[int | None, ...]:
    """Lengths with None for the open ones, which the signature has as -1."""
    stated = signature if len(signature) == len(shape) else shape
    return tuple(length if length > 0 else None for length in stated)


def _quantization(tensor: Table) -> dict[str, tuple[Any, ...]]:
    table = tensor.table(4)
    return {} if table is None else {"scale": table.numbers(2, "f"), "zero_point": table.numbers(3, "q")}


def _check_size(tensor: TfliteTensor, shape: Sequence[int], size: int) -> None:
    if tensor.dtype not in _NUMBERS:
        return
    needed = math.prod(shape) * np.dtype(tensor.dtype).itemsize
    if needed != size:
        raise BrokenModel(
            f"tensor {tensor.name!r} of shape {list(shape)} needs {needed} bytes, but holds {size}",
            subject=tensor.name,
        )


def _boundary(indices: Sequence[int], tensors: Sequence[TfliteTensor], kind: str) -> tuple[TfliteTensor, ...]:
    found = tuple(_item(tensors, index, f"an {kind} is the tensor") for index in indices)
    if not found:
        raise BrokenModel(f"the TFLite model has no {kind}s")
    names = Counter(item.name for item in found)
    for item in found:
        if not item.name or names[item.name] > 1:
            raise UnsupportedModel(f"two {kind}s of the TFLite model are called {item.name!r}", subject=item.name)
        if item.dtype not in _NUMBERS:
            raise UnsupportedModel(f"{kind} {item.name!r} is {item.dtype}, not a tensor of numbers", subject=item.name)
    return found
