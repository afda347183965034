"""Compiles a network for several numbers of SHAVEs side by side and packs the superblob.

Layout of a superblob, after depthai-core's SuperBlob reader: 17 big-endian u64 (size of the base blob, sizes of 16
patches), the blob for 8 SHAVEs, then the patches for 1 to 16 SHAVEs in order; that for 8 is empty.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from .openvino import Engine, Network
from .patches import Blob, diff

ALL_SHAVES = range(1, 17)
BASE = 8

_SIZE = struct.Struct("<I")
_SIZE_FIELD = 52 + 4  # after the ELF header and the magic number: the blob's size

Progress = Callable[[int, int, str], None]


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


def compile_superblob(
    engine: Engine,
    network: Network,
    config: Mapping[str, str],
    target: Path,
    workers: int,
    progress: Progress,
) -> dict[int, str]:
    """Compile for 1 to 16 SHAVEs, write the superblob, and return each blob's sha256.

    The base comes first and the fewest SHAVEs next, because they take longest. A patch is made as soon as its blob
    and the base are there, so memory holds as many blobs as there are workers, and the base.
    """
    digests: dict[int, str] = {}

    def compiled(shaves: int) -> Blob:
        path = target.with_name(f"{shaves}.blob")
        data = compile_blob(engine, network, shaves, config, path)
        path.unlink()
        digests[shaves] = hashlib.sha256(data).hexdigest()
        return Blob(data)

    def patch(base: Future[Blob], shaves: int) -> bytes:
        blob = compiled(shaves)
        return diff(base.result(), blob)

    with ThreadPoolExecutor(workers) as pool:
        base = pool.submit(compiled, BASE)
        patches = {pool.submit(patch, base, shaves): shaves for shaves in ALL_SHAVES if shaves != BASE}
        _watch(base, patches, progress)
    _write(target, base.result().data, {shaves: future.result() for future, shaves in patches.items()})
    return digests


def _watch(base: Future[Blob], patches: Mapping[Future[bytes], int], progress: Progress) -> None:
    """Tell each blob that is done; on the first that fails, start no more and raise its error."""
    waiting: list[Future[Any]] = [base, *patches]
    for done, future in enumerate(as_completed(waiting), 1):
        if future.exception():
            for other in waiting:
                other.cancel()
            future.result()
        progress(done, len(ALL_SHAVES), f"{patches.get(future, BASE)} SHAVEs")


def _write(target: Path, base: bytes, patches: Mapping[int, bytes]) -> None:
    ordered = [patches.get(shaves, b"") for shaves in ALL_SHAVES]
    with target.open("wb") as file:
        file.write(struct.pack(">17Q", len(base), *map(len, ordered)))
        file.write(base)
        file.writelines(ordered)
