"""A superblob in parts that are compiled on several machines, and joined to the same bytes.

Each part is a superblob of the base and of some other numbers of SHAVEs. All compile the base, one blob more than they
would have to, so that none waits for another; and that all have the same one proves that they may be joined.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from oakmill.toolchains import helpers
from oakmill.toolchains.helpers import Answer, Part
from oakmill.toolchains.rvc2.blob import SHAVES, read_superblob

WORK = "rvc2-superblob"
BASE = 8
LEAST = 3
"""Blobs of a part beside the base, if all took as long: with fewer, most of the work is the base."""


def cut(free: int) -> list[tuple[int, ...]]:
    """The numbers of SHAVEs beside the base, dealt out among so many helpers so that all take about as long."""
    others = [shaves for shaves in SHAVES if shaves != BASE]
    shares: list[list[int]] = [[] for _ in range(min(free, len(others) // LEAST))]
    for shaves in others if shares else []:  # the longest first
        min(shares, key=lambda share: sum(map(_effort, share))).append(shaves)
    return [tuple(share) for share in shares]


def _effort(shaves: int) -> float:
    """How long it takes, roughly: one SHAVE takes up to six times as long as many."""
    return max(1.0, 6.0 / shaves)


def compiled(
    model: Path, job: Path, target: Path, request: Mapping[str, Any], ended: Callable[[int, int], None]
) -> Answer | None:
    """The superblob by helpers, and the answer that the runner would give; None where they cannot, or do not pay.

    `ended` is told how many parts are done, of how many.
    """
    shares = cut(helpers.free())
    if len(shares) < 2 or len(list(model.parent.iterdir())) > 1:  # weights in files of their own are not sent
        return None
    job.mkdir(parents=True, exist_ok=True)
    parts = [
        Part(WORK, {**request, "only": list(share)}, model, job / f"part-{number}.superblob")
        for number, share in enumerate(shares)
    ]
    answers = helpers.done(parts, lambda count: ended(count, len(parts)))
    if answers is None or not join([part.target for part in parts], target):
        return None
    for part in parts:
        part.target.unlink()
    blobs = {number: digest for answer in answers for number, digest in answer["blobs"].items()}
    return {"ports": answers[0]["ports"], "blobs": dict(sorted(blobs.items(), key=lambda item: int(item[0])))}


def join(parts: Sequence[Path], target: Path) -> bool:
    """Write the superblob that has all parts' patches; False where their bases are not the same bytes.

    Raises:
        VerificationFailed: a part is no superblob.
    """
    read = [read_superblob(part) for part in parts]
    base = read[0][0]
    if any(other != base for other, _ in read):
        return False
    patches = [b"".join(patch) for patch in zip(*(patches for _, patches in read), strict=True)]
    with target.open("wb") as file:
        file.write(struct.pack(f">{1 + len(patches)}Q", len(base), *map(len, patches)))
        file.write(base)
        file.writelines(patches)
    return True
