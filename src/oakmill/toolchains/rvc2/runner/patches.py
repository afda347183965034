"""Patches in bsdiff4's format (BSDIFF40) between two MyriadX blobs, made without sorting their constants.

Blobs of one network for different numbers of SHAVEs hold the same constants, moved by multiples of 64 bytes, behind
a head of some ten to two hundred kilobytes. The head goes through bsdiff4; the constants are matched by direct
comparison where they stand, and by a table of their 64-byte blocks where they were moved.
Source of the format: bsdiff 4.3 (Colin Percival), as depthai's reader applies it.
"""

from __future__ import annotations

import struct
from functools import cached_property

import numpy as np
from bsdiff4 import core
from numpy.typing import NDArray

from . import bzip2

_MAGIC = b"BSDIFF40"
_BLOCK = 64
_CONSTANTS_FIELD = 52 + 19 * 4  # after the ELF header, the 20th u32: offset of the constants' section
_FIRST_LOOK, _LONG_LOOK = 1 << 16, 1 << 18  # bytes compared at a time: what stays in the processor's cache
_FIRST_WINDOW, _LARGEST_WINDOW = (
    1 << 14,
    1 << 20,
)  # bytes in which the next known block is looked for at a time

Bytes = NDArray[np.uint8]


class Blob:
    """A blob's bytes and where its constants begin."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.bytes: Bytes = np.frombuffer(data, np.uint8)
        self.constants: int = struct.unpack_from("<I", data, _CONSTANTS_FIELD)[0]

    @cached_property
    def table(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Hashes of the constants' blocks in rising order, and the offset in the blob of each."""
        hashes = _hashes(self.bytes[self.constants :])
        order = np.argsort(hashes, kind="stable")
        return hashes[order], self.constants + order * _BLOCK


class _Script:
    """Collects a patch: copies from the old blob (with a difference) and bytes of its own."""

    def __init__(self, control: bytes, difference: bytes, extra: bytes) -> None:
        self.steps = [[_from_sign(v) for v in step] for step in struct.iter_unpack("<3Q", control)] or [[0, 0, 0]]
        self.differences: list[bytes | int] = [difference]
        self.extras = [extra]
        self.old = sum(copied + skipped for copied, _, skipped in self.steps)

    def copy(self, old: int, length: int) -> None:
        """Take `length` bytes of the old blob as they are."""
        self.steps[-1][2] += old - self.old
        self.steps.append([length, 0, 0])
        if isinstance(self.differences[-1], int):
            self.differences[-1] += length
        else:
            self.differences.append(length)
        self.old = old + length

    def insert(self, data: bytes) -> None:
        """Add bytes that the old blob does not have."""
        self.steps[-1][1] += len(data)
        self.extras.append(data)

    def packed(self, new_size: int) -> bytes:
        """The finished patch."""
        control = bzip2.compress([b"".join(_to_sign(v) for step in self.steps for v in step)])
        difference = bzip2.compress(self.differences)
        sizes = _to_sign(len(control)) + _to_sign(len(difference)) + _to_sign(new_size)
        return _MAGIC + sizes + control + difference + bzip2.compress([b"".join(self.extras)])


def diff(old: Blob, new: Blob) -> bytes:
    """The patch that turns `old` into `new`."""
    script = _Script(*core.diff(old.data[: old.constants], new.data[: new.constants]))
    at, shift = new.constants, old.constants - new.constants
    while at < len(new.data):
        run = _common(old.bytes, at + shift, new.bytes, at)
        if run >= _BLOCK or run == len(new.data) - at:
            script.copy(at + shift, run)
            at += run
        else:
            known, moved_to = _next_known(old, new, at)
            script.insert(new.data[at:known])
            at, shift = known, moved_to - known
    return script.packed(len(new.data))


def _common(old: Bytes, old_at: int, new: Bytes, new_at: int) -> int:
    """How many bytes are equal from there on."""
    room = min(len(new) - new_at, len(old) - old_at) if old_at >= 0 else 0
    run = 0
    while run < room:
        step = min(_LONG_LOOK if run else _FIRST_LOOK, room - run)
        equal = old[old_at + run : old_at + run + step] == new[new_at + run : new_at + run + step]
        if not equal.all():
            return run + int(equal.argmin())
        run += step
    return run


def _next_known(old: Blob, new: Blob, at: int) -> tuple[int, int]:
    """The next place in `new` whose block stands in `old` too, and where; the end where there is none."""
    hashes, places = old.table
    at += -(at - new.constants) % _BLOCK
    window = _FIRST_WINDOW
    while at + _BLOCK <= len(new.data):
        wanted = _hashes(new.bytes[at : at + window])
        found = np.searchsorted(hashes, wanted)
        found[found == len(hashes)] = 0
        for hit in np.flatnonzero(hashes[found] == wanted):
            here, there = at + int(hit) * _BLOCK, int(places[found[hit]])
            if _common(old.bytes, there, new.bytes, here) >= _BLOCK:  # not a mere collision of hashes
                return here, there
        at += len(wanted) * _BLOCK
        window = min(2 * window, _LARGEST_WINDOW)
    return len(new.data), len(old.data)


_ODD = np.random.Generator(np.random.PCG64(0)).integers(1 << 63, size=_BLOCK // 8, dtype=np.uint64) * 2 + 1


def _hashes(data: Bytes) -> NDArray[np.uint64]:
    """A 64-bit hash of each whole block."""
    words = data[: len(data) // _BLOCK * _BLOCK].view(np.uint64).reshape(-1, _BLOCK // 8)
    hashes: NDArray[np.uint64] = ((words ^ (words >> np.uint64(29))) * _ODD).sum(axis=1, dtype=np.uint64)
    return hashes


def _to_sign(value: int) -> bytes:
    """bsdiff's integer: 63 bits of magnitude, the highest bit is the sign."""
    return (value if value >= 0 else 1 << 63 | -value).to_bytes(8, "little")


def _from_sign(value: int) -> int:
    return -(value & (1 << 63) - 1) if value >> 63 else value
