"""Stored .xz files are read by the real decoder."""

from __future__ import annotations

import lzma

import numpy as np
import pytest

from oakmill.conversion.output import xz


@pytest.mark.parametrize("size", [0, 1, 3, 4, 65_535, 65_536, 65_537, 1_000_003])
def test_the_decoder_gives_the_same_bytes(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    stored = xz.store(data)
    assert lzma.decompress(stored, lzma.FORMAT_XZ) == data
    assert len(stored) < size * 1.0001 + 120


def test_a_changed_byte_is_noticed() -> None:
    stored = bytearray(xz.store(b"weights" * 1000))
    stored[500] ^= 1
    with pytest.raises(lzma.LZMAError):
        lzma.decompress(bytes(stored))
