"""A sink writes whole batches or nothing, keeps its limit, and hashes what it has written."""

from __future__ import annotations

import errno
import hashlib
from io import FileIO
from pathlib import Path

import pytest

from oakmill.errors import TooLarge
from oakmill.storage.spool import Sink


class FullDisk(FileIO):
    """Takes a part of what it is given, then nothing."""

    full = False

    def write(self, data: object, /) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.full = True
        return super().write(bytes(data)[:2])  # type: ignore[call-overload]


def test_it_hashes_what_it_has_written(tmp_path: Path) -> None:
    sink = Sink(FileIO(tmp_path / "file", "w+b"), hashlib.sha256(), limit=100, name="file")
    sink.write([b"one", b"two"])
    sink.close()
    assert (tmp_path / "file").read_bytes() == b"onetwo"
    assert sink.digest.digest() == hashlib.sha256(b"onetwo").digest()
    assert sink.position == 6


def test_beyond_its_limit_it_takes_nothing(tmp_path: Path) -> None:
    sink = Sink(FileIO(tmp_path / "file", "w+b"), hashlib.sha256(), limit=5, name="file")
    sink.write([b"one"])
    with pytest.raises(TooLarge, match="file"):
        sink.write([b"two"])
    sink.close()
    assert (tmp_path / "file").read_bytes() == b"one"


def test_a_batch_that_the_disk_has_no_room_for_leaves_no_part(tmp_path: Path) -> None:
    sink = Sink(FullDisk(tmp_path / "file", "w+b"), hashlib.sha256(), limit=100, name="file")
    with pytest.raises(TooLarge, match="disk is full"):
        sink.write([b"something"])
    sink.close()
    assert (tmp_path / "file").read_bytes() == b""
    assert sink.position == 0


def test_what_comes_after_the_end_is_dropped(tmp_path: Path) -> None:
    sink = Sink(FileIO(tmp_path / "file", "w+b"), hashlib.sha256(), limit=100, name="file")
    sink.close()
    sink.write([b"late"])
    assert (tmp_path / "file").read_bytes() == b""
