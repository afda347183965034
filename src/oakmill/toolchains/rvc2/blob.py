"""Reads the headers of MyriadX blobs and of superblobs, and which of its units the chip runs a blob's stages on.

Sources: OpenVINO 2022.2, vpu/blob_format (`ElfN_Ehdr`, `mv_blob_header`, `mv_stage_header`) and vpu/model/stage.hpp
(`StageType`); depthai-core, SuperBlob.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from oakmill.errors import VerificationFailed

MAGIC = 9709
SHAVES = range(1, 17)
"""Numbers of SHAVEs that a superblob has a blob for, each one."""
_ELF_HEADER = 52
_FIELDS = struct.Struct("<20I")
_STAGE_HEADER = struct.Struct("<IiI")
"""Of each stage: its length in bytes with this header, its type, the SHAVEs that it runs on."""
_HARDWARE, _COPY = 38, 19
_NAMED_FROM = 6
"""The major version of the blobs of OpenVINO 2022, whose types have these names; others were not looked at."""
_STAGE_NAMES = {
    0: "Conv", 1: "MaxPool", 2: "AvgPool", 3: "SoftMax", 4: "FullyConnected", 6: "Relu", 8: "DepthConv", 9: "Bias",
    10: "PRelu", 11: "LRN", 12: "Sum", 13: "Prod", 14: "Max", 15: "Scale", 20: "Sigmoid", 21: "Tanh",
    22: "Deconvolution", 23: "Elu", 26: "Power", 28: "Tile", 29: "RegionYolo", 30: "ReorgYolo", 34: "Permute",
    35: "Normalize", 37: "DetectionOutput", 44: "LeakyRelu", 45: "BiasRelu", 46: "BiasLeakyRelu", 47: "ScaleShift",
    49: "Im2ColConvolution", 56: "HwFcRelayout", 57: "Clamp", 58: "RefConvolution", 60: "GlobalMaxPool", 62: "MVN",
    63: "DepthDeconv", 67: "Interp", 70: "LSTMCell", 71: "Pad", 72: "Resample", 73: "Upsampling", 75: "Div", 76: "Min",
    77: "SquaredDiff", 78: "Equal", 79: "NotEqual", 80: "Greater", 81: "GreaterEqual", 82: "Less", 83: "LessEqual",
    84: "Not", 85: "And", 86: "Or", 87: "Xor", 88: "Pow", 89: "FloorMod", 90: "Select", 91: "GEMM", 92: "Log",
    93: "ReduceAnd", 94: "ReverseSequence", 100: "Gather", 101: "Exp", 102: "Floor", 103: "ScatterUpdate", 104: "TopK",
    105: "ReduceMin", 109: "SCRelu", 110: "Erf", 111: "Convert", 112: "ReduceMax", 113: "ReduceSum", 114: "ReduceMean",
    116: "ConvND", 117: "OneHot", 118: "PoolND", 126: "ScatterElementsUpdate", 128: "Concat", 129: "Broadcast",
    131: "Mish", 132: "Gelu", 133: "StridedSlice", 134: "SoftPlus", 135: "Swish", 136: "GatherND", 137: "HSwish",
    138: "Ceiling", 139: "GatherElements", 140: "Round", 142: "Abs",
}  # fmt: skip
_SUPERBLOB_HEADER = struct.Struct(">17Q")


@dataclass(frozen=True)
class BlobHeader:
    """What a blob says of itself; sizes in bytes. `memory` is what it plans for activations in the chip's DDR."""

    file_size: int
    version: tuple[int, int]
    inputs: int
    outputs: int
    stages: int
    cmx_slices: int
    shaves: int
    memory: int
    first_stage: int


@dataclass(frozen=True)
class Units:
    """How many of a blob's stages run on which unit, those on SHAVEs by their types' names, the most frequent first.

    The hardware engine is what makes the chip fast: convolutions and pools run there. What is only moved goes by DMA.
    """

    hardware: int
    shaves: Mapping[str, int]
    copies: int


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
    return BlobHeader(
        field[1], (field[2], field[3]), field[4], field[5], field[6], field[11], field[12], field[10], field[18]
    )


def read_units(data: bytes) -> Units:
    """On which of the chip's units a blob's stages run.

    Raises:
        VerificationFailed: these are not the bytes of a MyriadX blob, or its list of stages is cut off.
    """
    header = read_header(data)
    kinds = Counter(_stages(data, header))
    hardware, copies = kinds.pop(_HARDWARE, 0), kinds.pop(_COPY, 0)
    names = _STAGE_NAMES if header.version[0] == _NAMED_FROM else {}
    named = {names.get(kind, f"type {kind}"): number for kind, number in kinds.most_common() if kind >= 0}
    return Units(hardware, named, copies)


def _stages(data: bytes, header: BlobHeader) -> Iterator[int]:
    place = header.first_stage
    for number in range(header.stages):
        if place + _STAGE_HEADER.size > len(data):
            raise VerificationFailed(f"stage {number} of the blob lies beyond its end")
        length, kind, _ = _STAGE_HEADER.unpack_from(data, place)
        if length < _STAGE_HEADER.size:
            raise VerificationFailed(f"stage {number} of the blob has a length of {length}, which none can have")
        yield kind
        place += length


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
