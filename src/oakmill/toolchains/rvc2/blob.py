"""Reads the headers of MyriadX blobs and of superblobs.

Sources: OpenVINO 2022.2, vpu/blob_format (`ElfN_Ehdr`, `mv_blob_header`); depthai-core, SuperBlob.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from oakmill.errors import VerificationFailed

MAGIC = 9709
SHAVES = range(1, 17)
"""Numbers of SHAVEs that a superblob has a blob for, each one."""
_ELF_HEADER = 52
_FIELDS = struct.Struct("<20I")
_SUPERBLOB_HEADER = struct.Struct(">17Q")


@dataclass(frozen=True)
class BlobHeader:
    """What a blob says of itself; sizes in bytes."""

    file_size: int
    version: tuple[int, int]
    inputs: int
    outputs: int
    stages: int
    cmx_slices: int
    shaves: int


def read_header(data: bytes) -> BlobHeader:
    """The header of a blob.

    Raises:
        VerificationFailed: these are not the bytes of a MyriadX blob.
    """
    if len(data) < _ELF_HEADER + _FIELDS.size:
        raise VerificationFailed(f"a blob of {len(data)} bytes is shorter than its header")
    field = _FIELDS.unpack_from(data, _ELF_HEADER)
    if field[0] != MAGIC:
        raise VerificationFailed(f"a blob's magic number is {MAGIC}, here it is {field[0]}")
    return BlobHeader(field[1], (field[2], field[3]), field[4], field[5], field[6], field[11], field[12])


def read_superblob(path: Path) -> tuple[bytes, tuple[bytes, ...]]:
    """A superblob's base blob and its 16 patches, for 1 to 16 SHAVEs in order.

    Raises:
        VerificationFailed: the sizes in its header do not add up to the file's.
    """
    data = path.read_bytes()
    if len(data) < _SUPERBLOB_HEADER.size:
        raise VerificationFailed(f"{path.name} is shorter than a superblob's header")
    sizes = _SUPERBLOB_HEADER.unpack_from(data)
    if _SUPERBLOB_HEADER.size + sum(sizes) != len(data):
        raise VerificationFailed(f"the parts of {path.name} do not add up to its size")
    ends = list(accumulate(sizes, initial=_SUPERBLOB_HEADER.size))
    base, *patches = (data[start:end] for start, end in pairwise(ends))
    return base, tuple(patches)
