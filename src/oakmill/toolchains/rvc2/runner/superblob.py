"""Compiles a network for several numbers of SHAVEs side by side and packs the superblob.

Layout of a superblob, after depthai-core's SuperBlob reader: 17 big-endian u64 (size of the base blob, sizes of 16
patches), the blob for 8 SHAVEs, then the patches for 1 to 16 SHAVEs in order; that for 8 is empty.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from frame import Refused

from .forked import BEAT_SECONDS, Compilers
from .openvino import EngineError
from .patches import Blob, diff

ALL_SHAVES = range(1, 17)
BASE = 8
OTHERS = tuple(shaves for shaves in ALL_SHAVES if shaves != BASE)

Progress = Callable[[int, int, str], None]


def compile_superblob(
    compilers: Compilers, target: Path, workers: int, progress: Progress, others: Sequence[int] = OTHERS
) -> dict[int, str]:
    """Compile for 8 SHAVEs and these others, write the superblob, and return each blob's sha256.

    The base comes first and the fewest SHAVEs next, because they take longest. A patch is made as soon as its blob
    and the base are there, so memory holds as many blobs as there are workers, and the base.

    Raises:
        Refused: OpenVINO refused for some numbers of SHAVEs. Where it did not for the base, or for the most, `works`
            are those that it compiled for, and `fails` the others.
    """
    digests: dict[int, str] = {}
    refused: dict[int, EngineError] = {}

    def compiled(shaves: int) -> Blob:
        try:
            data = compilers.compile(shaves)
        except EngineError as error:
            refused[shaves] = error
            raise
        digests[shaves] = hashlib.sha256(data).hexdigest()
        return Blob(data)

    def patch(base: Future[Blob], shaves: int) -> bytes:
        blob = compiled(shaves)
        return diff(base.result(), blob)

    with ThreadPoolExecutor(workers) as pool:
        base = pool.submit(compiled, BASE)
        patches = {pool.submit(patch, base, shaves): shaves for shaves in others}
        _watch(base, patches, progress)
    if refused:
        raise _partly_refused(refused, digests)
    _write(target, base.result().data, {shaves: future.result() for future, shaves in patches.items()})
    return digests


def _watch(base: Future[Blob], patches: Mapping[Future[bytes], int], progress: Progress) -> None:
    """Tell each blob that is done, whether it was compiled or refused, and between them what is at work.

    A network that is refused for the base is tried for the most SHAVEs alone: what lacks fast memory may fit there,
    what cannot be compiled is not tried sixteen times. Any other error is raised, and no more are started.
    """
    waiting: list[Future[Any]] = [base, *patches]

    def beat(done: int, seconds: float) -> None:
        at_work = [str(patches.get(future, BASE)) for future in waiting if future.running()]
        progress(done, len(waiting), f"{' and '.join(at_work) or 'other'} SHAVEs at work for {seconds:.0f} s")

    for done, future in enumerate(_ended(waiting, beat), 1):
        if future.cancelled():
            continue
        error = future.exception()
        if error and not isinstance(error, EngineError):
            _cancel(waiting)
            raise error
        if error and base.done() and base.exception():
            _cancel(other for other, shaves in patches.items() if shaves != ALL_SHAVES[-1])
        progress(done, len(waiting), f"{patches.get(future, BASE)} SHAVEs")


def _ended(waiting: Iterable[Future[Any]], beat: Callable[[int, float], None]) -> Iterator[Future[Any]]:
    """Each in its turn; while none ends, `beat` is called with how many have, and the seconds since the last one."""
    pending, ended, since = set(waiting), 0, time.monotonic()
    while pending:
        done, pending = wait(pending, timeout=BEAT_SECONDS, return_when=FIRST_COMPLETED)
        if not done:
            beat(ended, time.monotonic() - since)
            continue
        ended, since = ended + len(done), time.monotonic()
        yield from done


def _cancel(waiting: Iterable[Future[Any]]) -> None:
    for future in waiting:
        future.cancel()


def _partly_refused(refused: Mapping[int, EngineError], digests: Mapping[int, str]) -> Refused:
    """OpenVINO's words on the first of the numbers of SHAVEs, and for which it has none."""
    first = refused[min(refused)]
    return Refused("engine", str(first), **{**first.details, "works": sorted(digests), "fails": sorted(refused)})


def _write(target: Path, base: bytes, patches: Mapping[int, bytes]) -> None:
    ordered = [patches.get(shaves, b"") for shaves in ALL_SHAVES]
    with target.open("wb") as file:
        file.write(struct.pack(">17Q", len(base), *map(len, ordered)))
        file.write(base)
        file.writelines(ordered)
