"""Writes .xz files that store their content uncompressed, at the speed of copying.

Weights hardly compress: Python's default takes 25 s for a superblob of 24 MB and saves a tenth. The container that
readers expect is an .xz, which may hold LZMA2 chunks stored as they are.
Source of the format: https://tukaani.org/xz/xz-file-format.txt (sections 2 to 5) and the LZMA2 chunk headers.
"""

from __future__ import annotations

import struct
import zlib

_MAGIC, _FOOTER_MAGIC = b"\xfd7zXZ\x00", b"YZ"
_FLAGS = b"\x00\x01"  # check: CRC32
_BLOCK_HEADER = b"\x02\x00\x21\x01\x16\x00\x00\x00"  # 12 bytes with its CRC; one filter: LZMA2, dictionary of 8 MiB
_LARGEST_CHUNK = 1 << 16
_STORED_RESET, _STORED, _END = 1, 2, b"\x00"


def store(data: bytes) -> bytes:
    """An .xz file that holds `data` as it is."""
    header = _with_crc(_BLOCK_HEADER)
    chunks = _chunks(data)
    unpadded = len(header) + len(chunks) + 4
    index = _padded(b"\x00" + _number(1) + _number(unpadded) + _number(len(data)))
    back = struct.pack("<I", len(index) // 4) + _FLAGS
    return b"".join(
        (
            _MAGIC + _with_crc(_FLAGS),
            header,
            _padded(chunks),
            struct.pack("<I", zlib.crc32(data)),
            _with_crc(index),
            struct.pack("<I", zlib.crc32(back)) + back + _FOOTER_MAGIC,
        )
    )


def _chunks(data: bytes) -> bytes:
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for at in range(0, len(data), _LARGEST_CHUNK):
        chunk = view[at : at + _LARGEST_CHUNK]
        parts += [struct.pack(">BH", _STORED if at else _STORED_RESET, len(chunk) - 1), chunk]
    return b"".join([*parts, _END])


def _number(value: int) -> bytes:
    """The format's variable-length integer: seven bits a byte, low ones first."""
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _with_crc(data: bytes) -> bytes:
    return data + struct.pack("<I", zlib.crc32(data))
