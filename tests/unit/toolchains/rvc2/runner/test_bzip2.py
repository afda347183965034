"""Streams spliced from blocks are read by bzip2 itself."""

from __future__ import annotations

import bz2

import numpy as np
import pytest

from oakmill.toolchains.rvc2.runner import bzip2

RANDOM = np.random.default_rng(0).bytes(1_500_000)


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b""],
        [b"a"],
        [1],
        [4096],
        [(1 << 24) + 5],
        [b"head", 3_000_000, b"tail"],
        [RANDOM],
        [RANDOM[:79_999], 7, RANDOM[:80_000], 8191, RANDOM[:720_001]],
        [b"\x00" * 900_000],
        [b"aaaa" * 200_000],
    ],
)
def test_the_stream_holds_all_pieces(pieces: list[bytes | int]) -> None:
    expected = b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in pieces)
    stream = bzip2.compress(pieces)
    assert bz2.decompress(stream) == expected
    reader = bz2.BZ2Decompressor()
    reader.decompress(stream)
    assert reader.eof
    assert not reader.unused_data  # one stream: readers such as depthai's stop at the first one's end


def test_zeros_cost_little() -> None:
    assert len(bzip2.compress([24_000_000])) < 500
