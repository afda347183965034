"""Writes one bzip2 stream out of pieces, where long runs of zeros cost nothing.

A patch between two blobs is mostly zeros, megabytes of them, and bzip2 takes 10 ms for each megabyte. So zeros are
compressed once in blocks of fixed sizes, and these blocks are spliced into the stream bit by bit.
Source of the format: https://en.wikipedia.org/wiki/Bzip2#File_format (block and end magics, combined CRC).
"""

from __future__ import annotations

import bz2
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_END_MAGIC = 0x177245385090
_HEADER_BITS, _FOOTER_BITS, _MAGIC_BITS, _CRC_BITS = 32, 80, 48, 32
_LEVEL_9 = int.from_bytes(b"BZh9", "big")
_LARGEST_BLOCK = 650_000  # of input bytes: safely within one level-9 block whatever they are
_LARGEST_RUN, _SMALLEST_RUN = 1 << 22, 1 << 12  # of zeros, as powers of two


class _Block(NamedTuple):
    bits: int
    length: int  # in bits
    crc: int


def compress(pieces: Iterable[bytes | int]) -> bytes:
    """One bzip2 stream of all pieces; an int stands for that many zero bytes."""
    stream, length, crc = _LEVEL_9, _HEADER_BITS, 0
    for piece in pieces:
        for block in _zeros(piece) if isinstance(piece, int) else _blocks(piece):
            stream = stream << block.length | block.bits
            length += block.length
            crc = ((crc << 1 | crc >> 31) & 0xFFFFFFFF) ^ block.crc
    stream = (stream << _MAGIC_BITS | _END_MAGIC) << _CRC_BITS | crc
    length += _FOOTER_BITS
    padding = -length % 8
    return (stream << padding).to_bytes((length + padding) // 8, "big")


def level(size: int) -> int:
    """The lowest level whose block holds so many bytes: a higher one only costs memory and time."""
    return min(9, 1 + size // 80_000)


def _blocks(data: bytes) -> Iterable[_Block]:
    return (_block(data[at : at + _LARGEST_BLOCK]) for at in range(0, len(data), _LARGEST_BLOCK))


def _zeros(count: int) -> Iterable[_Block]:
    size = _LARGEST_RUN
    while size >= _SMALLEST_RUN:
        while count >= size:
            yield _zero_block(size)
            count -= size
        size >>= 1
    if count:
        yield _zero_block(count)


@lru_cache(maxsize=256)
def _zero_block(count: int) -> _Block:
    return _block(bytes(count))


def _block(data: bytes) -> _Block:
    """The one block of a stream that holds `data`, without the stream's header and footer."""
    compressed = bz2.compress(data, level(len(data)))
    stream = int.from_bytes(compressed, "big")
    padding = next(pad for pad in range(8) if stream >> (_CRC_BITS + pad) & (1 << _MAGIC_BITS) - 1 == _END_MAGIC)
    length = len(compressed) * 8 - padding - _FOOTER_BITS - _HEADER_BITS
    bits = stream >> (padding + _FOOTER_BITS) & (1 << length) - 1
    return _Block(bits, length, bits >> (length - _FOOTER_BITS) & 0xFFFFFFFF)
