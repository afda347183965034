"""Compiles a network for one number of SHAVEs, and sees that the blob was written whole."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from .openvino import Engine, Network

_SIZE = struct.Struct("<I")
_SIZE_FIELD = 52 + 4  # after the ELF header and the magic number: the blob's size


class WriteError(Exception):
    """What was compiled could not be written whole."""


def compile_blob(engine: Engine, network: Network, shaves: int, config: Mapping[str, str], target: Path) -> bytes:
    """Compile for one number of SHAVEs, with as many CMX slices; write the blob and return it."""
    keys = {
        "MYRIAD_NUMBER_OF_SHAVES": str(shaves),
        "MYRIAD_NUMBER_OF_CMX_SLICES": str(shaves),
        "MYRIAD_THROUGHPUT_STREAMS": "1",
        "MYRIAD_ENABLE_MX_BOOT": "NO",  # else the plugin looks for a device, for five seconds
    }
    engine.compile(network, "MYRIAD", keys | dict(config)).export(target)
    return _whole(target.read_bytes(), shaves)


def _whole(data: bytes, shaves: int) -> bytes:
    """A blob as it was written, if it is as long as it says: OpenVINO does not tell that a disk is full.

    Raises:
        WriteError: it is not.
    """
    stated = _SIZE.unpack_from(data, _SIZE_FIELD)[0] if len(data) >= _SIZE_FIELD + _SIZE.size else None
    if stated is None or len(data) < stated:
        wanted = "a blob" if stated is None else f"{stated} bytes"
        raise WriteError(
            f"the blob for {shaves} SHAVEs was cut off at {len(data)} bytes of {wanted}: is the disk full?"
        )
    return data
