"""Patches turn one blob into another by bsdiff4's own hand, and stay small where constants only moved."""

from __future__ import annotations

import struct

import bsdiff4
import numpy as np
import pytest

from oakmill.toolchains.rvc2.runner.patches import Blob, diff

RANDOM = np.random.default_rng(1)
WEIGHTS = [RANDOM.bytes(64 * n) for n in (1000, 3000, 500, 2000)]


def blob(head: bytes, constants: bytes, trailer: bytes = b"") -> bytes:
    """Bytes with a head of so many, in which the offset of the constants stands where a blob has it."""
    start = 132 + len(head)
    return bytes(128) + struct.pack("<I", start) + head + constants + trailer


CASES = {
    "equal": (blob(b"head", b"".join(WEIGHTS)), blob(b"head", b"".join(WEIGHTS))),
    "another head": (blob(b"head" * 100, b"".join(WEIGHTS)), blob(b"longer head" * 100, b"".join(WEIGHTS))),
    "weights in another order": (blob(b"h", b"".join(WEIGHTS)), blob(b"h", b"".join(reversed(WEIGHTS)))),
    "new weights between": (blob(b"h", WEIGHTS[0] + WEIGHTS[1]), blob(b"h", WEIGHTS[0] + bytes(640) + WEIGHTS[1])),
    "weights gone": (blob(b"h", b"".join(WEIGHTS)), blob(b"h", WEIGHTS[3])),
    "a trailer of odd length": (blob(b"h", WEIGHTS[0]), blob(b"h", WEIGHTS[0], b"trailer")),
    "nothing in common": (blob(b"h", RANDOM.bytes(6400)), blob(b"h", RANDOM.bytes(6400))),
    "less than a block": (blob(b"h", b"abc"), blob(b"h", b"abd")),
    "the same block over and over": (blob(b"h", b"x" * 64000), blob(b"h", b"x" * 32000 + b"y" * 64 + b"x" * 9000)),
}


@pytest.mark.parametrize(("old", "new"), CASES.values(), ids=CASES)
def test_bsdiff4_makes_the_new_blob_of_the_patch(old: bytes, new: bytes) -> None:
    assert bsdiff4.patch(old, diff(Blob(old), Blob(new))) == new


@pytest.mark.parametrize("case", ["equal", "weights in another order", "weights gone"])
def test_constants_that_moved_cost_next_to_nothing(case: str) -> None:
    old, new = CASES[case]
    assert len(diff(Blob(old), Blob(new))) < 600


def test_random_rearrangements_always_come_back() -> None:
    for seed in range(30):
        random = np.random.default_rng(seed)
        blocks = [random.bytes(64) for _ in range(60)]
        chosen = random.integers(0, 60, 80)
        old = blob(random.bytes(50), b"".join(blocks))
        new = blob(random.bytes(int(random.integers(200))), b"".join(blocks[i] for i in chosen) + random.bytes(30))
        assert bsdiff4.patch(old, diff(Blob(old), Blob(new))) == new
