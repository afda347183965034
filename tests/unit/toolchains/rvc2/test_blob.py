"""The headers of blobs and superblobs are read, and what contradicts itself is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from oakmill.errors import VerificationFailed
from oakmill.toolchains.rvc2.blob import read_header, read_superblob


def test_a_blob_that_was_compiled_elsewhere(shared_data: Path) -> None:
    blob = shared_data / "compiled" / "face_landmark_160x160_openvino_2021.4_6shave.blob"
    header = read_header(blob.read_bytes())
    assert (header.shaves, header.cmx_slices, header.stages) == (6, 6, 202)
    assert (header.inputs, header.outputs) == (1, 3)


@pytest.mark.parametrize("data", [b"", b"\x7fELF", bytes(200)])
def test_other_bytes_are_no_blob(data: bytes) -> None:
    with pytest.raises(VerificationFailed):
        read_header(data)


def test_a_superblob_gives_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "model.superblob"
    patches = [bytes([n]) * n for n in range(16)]
    path.write_bytes(struct.pack(">17Q", 4, *map(len, patches)) + b"base" + b"".join(patches))
    assert read_superblob(path) == (b"base", tuple(patches))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VerificationFailed, match="do not add up"):
        read_superblob(path)
