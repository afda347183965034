"""Writes .xz files that store their content uncompressed, at the speed of copying.

Weights hardly compress: Python's default takes 25 s for a superblob of 24 MB and saves a tenth. The container that
readers expect is an .xz, which may hold LZMA2 chunks stored as they are.
Source of the format: https://tukaani.org/xz/xz-file-format.txt (sections 2 to 5) and the LZMA2 chunk headers.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import BinaryIO

_MAGIC, _FOOTER_MAGIC = b"\xfd7zXZ\x00", b"YZ"
_FLAGS = b"\x00\x01"  # check: CRC32
_BLOCK_HEADER = b"\x02\x00\x21\x01\x16\x00\x00\x00"  # 12 bytes with its CRC; one filter: LZMA2, dictionary of 8 MiB
_LARGEST_CHUNK = 1 << 16
_STORED_RESET, _STORED, _END = 1, 2, b"\x00"


def store(data: bytes) -> bytes:
    """An .xz file that holds `data` as it is."""
    target = io.BytesIO()
    store_file(io.BytesIO(data), len(data), target)
    return target.getvalue()


def store_file(source: BinaryIO, size: int, target: BinaryIO) -> None:
    """Write an .xz file that holds the next `size` bytes of `source` as they are; little of them is in memory."""
    header = _with_crc(_BLOCK_HEADER)
    target.write(_MAGIC + _with_crc(_FLAGS) + header)
    digest = 0
    for at in range(0, size, _LARGEST_CHUNK):
        chunk = source.read(min(_LARGEST_CHUNK, size - at))
        target.write(struct.pack(">BH", _STORED if at else _STORED_RESET, len(chunk) - 1))
        target.write(chunk)
        digest = zlib.crc32(chunk, digest)
    chunks = size + 3 * -(-size // _LARGEST_CHUNK) + len(_END)
    index = _padded(b"\x00" + _number(1) + _number(len(header) + chunks + 4) + _number(size))
    back = struct.pack("<I", len(index) // 4) + _FLAGS
    target.write(_padded(_END, chunks))
    target.write(struct.pack("<I", digest) + _with_crc(index))
    target.write(struct.pack("<I", zlib.crc32(back)) + back + _FOOTER_MAGIC)


def _number(value: int) -> bytes:
    """The format's variable-length integer: seven bits a byte, low ones first."""
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def _padded(data: bytes, length: int | None = None) -> bytes:
    """Data of this length, of which the end is given, filled up to a multiple of four."""
    return data + bytes(-(len(data) if length is None else length) % 4)


def _with_crc(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))
