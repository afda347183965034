"""The headers of blobs and superblobs are read, and what contradicts itself is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from oakmill.errors import VerificationFailed
from oakmill.toolchains.rvc2.blob import read_header, read_superblob, read_units


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


def test_a_blob_says_which_units_run_it(shared_data: Path) -> None:
    blob = shared_data / "compiled" / "face_landmark_160x160_openvino_2021.4_6shave.blob"
    data = blob.read_bytes()
    units, header = read_units(data), read_header(data)
    assert units.hardware > units.copies > 0
    assert sum(units.shaves.values()) > 50
    assert units.hardware + units.copies + sum(units.shaves.values()) <= header.stages
    assert 0 < header.memory < 100 << 20


def blob_of(stages: list[tuple[int, int, int]], *, count: int | None = None) -> bytes:
    """An ELF header's length, the blob's header, then stages of a length, a type and SHAVEs."""
    body = b"".join(struct.pack("<IiI", *stage) + bytes(max(stage[0] - 12, 0)) for stage in stages)
    fields = [9709, 132 + len(body), 6, 0, 1, 1, count or len(stages), 0, 0, 1, 4096, 8, 8, 1, 1, 1, 132, 132, 132, 132]
    return bytes(52) + struct.pack("<20I", *fields) + body


def test_stages_are_counted_by_unit() -> None:
    """38 is the hardware engine and 19 a copy by DMA; -1 does nothing; a type without a name keeps its number."""
    found = read_units(
        blob_of([(40, 38, 0), (16, 38, 2), (20, 19, 0), (12, 135, 2), (12, 135, 8), (12, 999, 1), (12, -1, 0)])
    )
    assert (found.hardware, found.copies) == (2, 1)
    assert found.shaves == {"Swish": 2, "type 999": 1}


def test_a_list_of_stages_that_cannot_be_is_refused() -> None:
    """A length of 0 would be read for ever, and a count beyond the end would read what is not there."""
    for data in (blob_of([(0, 38, 0)], count=3), blob_of([(12, 38, 0)], count=2)):
        with pytest.raises(VerificationFailed, match="stage"):
            read_units(data)
