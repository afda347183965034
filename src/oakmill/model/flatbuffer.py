"""Reads FlatBuffers from anywhere: no offset is followed before it is certain that it stays inside the file.

Format: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

# A vector may hold the same table again and again, in each of which is another; real models take some 100,000 steps.
_MOST_STEPS = 2_000_000
_MOST_NUMBERS = 1 << 20


class DamagedBufferError(Exception):
    """An offset leads outside the file, or the file leads in circles."""


class Buffer:
    """The bytes of a file, all numbers little endian."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._steps = 0

    def root(self) -> Table:
        """The table with which the file begins.

        Raises:
            DamagedBufferError: it lies outside the file; all that is read from the table raises it likewise.
        """
        return Table(self, self.number("I", 0))

    def number(self, kind: str, at: int) -> Any:
        """One number, of a type in struct's words."""
        self.require(at, struct.calcsize(f"<{kind}"))
        return struct.unpack_from(f"<{kind}", self.data, at)[0]

    def require(self, at: int, size: int) -> None:
        """Raise where these bytes are not all in the file."""
        self._steps += 1
        if at < 0 or at + size > len(self.data):
            raise DamagedBufferError(f"offset {at} leads outside its {len(self.data)} bytes")
        if self._steps > _MOST_STEPS:
            raise DamagedBufferError("it refers to its parts too often")

    def vector(self, at: int, width: int) -> tuple[int, int]:
        """Where the items begin of the vector that the offset at `at` leads to, and how many they are."""
        start = at + int(self.number("I", at))
        count = int(self.number("I", start))
        self.require(start + 4, count * width)
        return start + 4, count


class Table:
    """A table: fields by their place in the schema, each with the value that it has where the file leaves it out."""

    def __init__(self, buffer: Buffer, at: int) -> None:
        self._buffer = buffer
        self._at = at
        self._fields = at - int(buffer.number("i", at))
        size = int(buffer.number("H", self._fields))
        if size < 4 or size % 2:
            raise DamagedBufferError(f"a table at {at} has a list of fields of {size} bytes")
        buffer.require(self._fields, size)
        self._slots = (size - 4) // 2

    def place(self, slot: int) -> int | None:
        """Where in the file a field stands; None where it is left out."""
        if slot >= self._slots:
            return None
        offset = int(self._buffer.number("H", self._fields + 4 + 2 * slot))
        return self._at + offset if offset else None

    def number(self, slot: int, kind: str, default: int = 0) -> int:
        """A number, of a type in struct's words."""
        place = self.place(slot)
        return default if place is None else int(self._buffer.number(kind, place))

    def table(self, slot: int) -> Table | None:
        """A table that this one refers to."""
        place = self.place(slot)
        return None if place is None else Table(self._buffer, place + int(self._buffer.number("I", place)))

    def text(self, slot: int) -> str:
        """A text; what is not UTF-8 in it is replaced."""
        start, count = self.vector(slot, 1)
        return self._buffer.data[start : start + count].decode(errors="replace")

    def size(self, slot: int) -> int:
        """How many bytes a vector of bytes has."""
        return self.vector(slot, 1)[1]

    def numbers(self, slot: int, kind: str) -> tuple[Any, ...]:
        """A vector of numbers, of a type in struct's words."""
        start, count = self.vector(slot, struct.calcsize(f"<{kind}"))
        if count > _MOST_NUMBERS:
            raise DamagedBufferError(f"a list has {count} numbers")
        return struct.unpack_from(f"<{count}{kind}", self._buffer.data, start)

    def has(self, slot: int) -> bool:
        """Whether the file states this field."""
        return self.place(slot) is not None

    def tables(self, slot: int) -> Iterator[Table]:
        """A vector of tables, one after the other."""
        start, count = self.vector(slot, 4)
        for at in range(start, start + 4 * count, 4):
            yield Table(self._buffer, at + int(self._buffer.number("I", at)))

    def vector(self, slot: int, width: int) -> tuple[int, int]:
        """Where in the file the items of a vector begin, each of so many bytes, and how many they are."""
        place = self.place(slot)
        return (0, 0) if place is None else self._buffer.vector(place, width)
