"""Writes small TFLite models, as they are described; the toolchain's own is one of them.

A FlatBuffer is written front to back here: each table, then what it refers to. The places of fields are those of
TFLite's schema (tensorflow/compiler/mlir/lite/schema/schema.fbs).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.toolchains.tflite.tiny import ANSWER, INPUT, OUTPUT, PICTURE

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "string": 5, "bool": 6, "int16": 7, "int8": 9}
LOGISTIC, CUSTOM, TRANSPOSE = 14, 32, 39
_OLD_CODES = 127  # later operations stand in a wider field of their own
_IDENTIFIER = b"TFL3"


@dataclass(frozen=True)
class Scalar:
    """A number in a table, of a type in struct's words."""

    kind: str
    value: float


@dataclass(frozen=True)
class Vector:
    """Numbers of a type in struct's words, or tables, or text."""

    items: Sequence[Any]
    kind: str = ""


Table = Mapping[int, "Scalar | Vector | bytes | Table"]
"""Fields by their place in the schema; bytes are text."""


@dataclass(frozen=True)
class TensorOf:
    """A tensor: `data` makes it a constant, `scale` and `zero` a quantized one, `signature` leaves dimensions open."""

    name: str
    shape: Sequence[int]
    dtype: str = "float32"
    data: NDArray[Any] | None = None
    scale: Sequence[float] = ()
    zero: Sequence[int] = ()
    signature: Sequence[int] | None = None
    dimension: int = 0
    """Along which it is quantized."""
    sparsity: Table | None = None
    """Where the values in `data` lie, if those are not all."""


@dataclass(frozen=True)
class OperatorOf:
    """An operation by its code or, for a custom one, its name; `options` are a union's number and its table."""

    code: int
    inputs: Sequence[int]
    outputs: Sequence[int]
    custom: str = ""
    options: tuple[int, Table] | None = None
    bare_options: bytes = b""
    """Of a custom operation."""


@dataclass(frozen=True)
class ModelOf:
    """A model of one graph; inputs and outputs are places in `tensors`."""

    tensors: Sequence[TensorOf]
    operators: Sequence[OperatorOf]
    inputs: Sequence[int]
    outputs: Sequence[int]
    description: str = "oakmill"
    version: int = 3


def tiny() -> bytes:
    """The toolchain's own: [1, 2, 4, 3] in, its logistic function as [1, 3, 2, 4] out."""
    axes = np.array([0, 3, 1, 2], np.int32)
    model = ModelOf(
        tensors=[
            TensorOf(INPUT, PICTURE.shape),
            TensorOf("logistic", PICTURE.shape),
            TensorOf("axes", [4], "int32", axes),
            TensorOf(OUTPUT, ANSWER.shape),
        ],
        operators=[OperatorOf(LOGISTIC, [0], [1]), OperatorOf(TRANSPOSE, [1, 2], [3])],
        inputs=[0],
        outputs=[3],
    )
    return as_bytes(model)


def as_bytes(model: ModelOf) -> bytes:
    """The model as a TFLite file."""
    constants = [item for item in model.tensors if item.data is not None]
    places = {id(item): place + 1 for place, item in enumerate(constants)}
    buffers: list[Table] = [{}, *({0: Vector(item.data.tobytes(), "B")} for item in constants if item.data is not None)]
    graph: Table = {
        0: Vector([_tensor(item, places.get(id(item), 0)) for item in model.tensors]),
        1: Vector(model.inputs, "i"),
        2: Vector(model.outputs, "i"),
        3: Vector([_operator(item, place) for place, item in enumerate(model.operators)]),
        4: b"main",
    }
    root: Table = {
        0: Scalar("I", model.version),
        1: Vector([_code(item) for item in model.operators]),
        2: Vector([graph]),
        3: model.description.encode(),
        4: Vector(buffers),
    }
    return _Writer().file(root)


def _tensor(item: TensorOf, buffer: int) -> Table:
    table: dict[int, Any] = {
        0: Vector(item.shape, "i"),
        1: Scalar("b", TYPES[item.dtype]),
        2: Scalar("I", buffer),
        3: item.name.encode(),
    }
    if item.scale:
        table[4] = {2: Vector(item.scale, "f"), 3: Vector(item.zero or [0] * len(item.scale), "q")}
        table[4] |= {6: Scalar("i", item.dimension)} if item.dimension else {}
    if item.sparsity is not None:
        table[6] = item.sparsity
    if item.signature is not None:
        table[7] = Vector(item.signature, "i")
    return table


def _operator(item: OperatorOf, place: int) -> Table:
    table: dict[int, Any] = {0: Scalar("I", place), 1: Vector(item.inputs, "i"), 2: Vector(item.outputs, "i")}
    if item.options:
        table[3], table[4] = Scalar("B", item.options[0]), item.options[1]
    if item.bare_options:
        table[5] = Vector(list(item.bare_options), "B")
    return table


def _code(item: OperatorOf) -> Table:
    table: dict[int, Any] = {
        0: Scalar("b", min(item.code, _OLD_CODES)),
        2: Scalar("i", 1),
        3: Scalar("i", item.code),
    }
    return table | ({1: item.custom.encode()} if item.custom else {})


@dataclass
class _Writer:
    """Lays out a FlatBuffer: little endian, offsets forward, each number at a multiple of its size."""

    data: bytearray = field(default_factory=bytearray)

    def file(self, root: Table) -> bytes:
        self.data += b"\0\0\0\0" + _IDENTIFIER
        self._point(0, self._table(root))
        return bytes(self.data)

    def _align(self, size: int, ahead: int = 0) -> None:
        self.data += b"\0" * (-(len(self.data) + ahead) % size)

    def _point(self, at: int, target: int) -> None:
        struct.pack_into("<I", self.data, at, target - at)

    def _table(self, table: Table) -> int:
        """A table with all that it refers to; where it begins."""
        slots = max(table, default=-1) + 1
        self._align(8, 4 + 2 * slots + 4)
        vtable = len(self.data)
        self.data += bytes(4 + 2 * slots)
        start = len(self.data)
        self.data += struct.pack("<i", start - vtable)
        places = {}
        for slot, value in table.items():
            kind = value.kind if isinstance(value, Scalar) else "I"
            self._align(struct.calcsize(kind))
            places[slot] = len(self.data)
            self.data += struct.pack(f"<{kind}", value.value if isinstance(value, Scalar) else 0)
            struct.pack_into("<H", self.data, vtable + 4 + 2 * slot, places[slot] - start)
        struct.pack_into("<HH", self.data, vtable, 4 + 2 * slots, len(self.data) - start)
        for slot, value in table.items():
            if not isinstance(value, Scalar):
                self._point(places[slot], self._target(value))
        return start

    def _target(self, value: Vector | bytes | Table) -> int:
        if isinstance(value, bytes):
            return self._numbers(Vector(value + b"\0", "B"), count=len(value))
        if not isinstance(value, Vector):
            return self._table(value)
        return self._numbers(value) if value.kind else self._tables(value)

    def _numbers(self, vector: Vector, count: int | None = None) -> int:
        self._align(16, 4)
        start = len(self.data)
        self.data += struct.pack("<I", len(vector.items) if count is None else count)
        self.data += struct.pack(f"<{len(vector.items)}{vector.kind}", *vector.items)
        return start

    def _tables(self, vector: Vector) -> int:
        self._align(4)
        start = len(self.data)
        self.data += struct.pack("<I", len(vector.items)) + bytes(4 * len(vector.items))
        for place, table in enumerate(vector.items):
            at = start + 4 + 4 * place
            self._point(at, self._table(table))
        return start
