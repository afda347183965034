"""QNN's structures have the sizes and places of the C interface, and results are found wherever a library puts them."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from oakmill.toolchains.rvc4.runner import qnn


def test_structures_lie_as_in_c() -> None:
    assert ctypes.sizeof(qnn.Tensor) == 144
    places = {"id": 8, "name": 16, "dtype": 32, "quantization": 40, "rank": 80, "memory": 96, "buffer": 104}
    assert {name: getattr(qnn.Tensor, name).offset for name in places} == places
    assert (qnn.GraphInfo.inputs.offset, qnn.GraphInfo.outputs.offset) == (24, 40)
    assert (qnn.DeviceOption.value.offset, qnn.DeviceOption.later_value.offset) == (4, 8)
    assert qnn.GraphOption.value.offset == 8


@pytest.mark.parametrize(
    ("definition", "encoding", "expected"),
    [
        (1, qnn.SCALE_OFFSET, (0.5, -3)),
        (1, qnn.BITWIDTH_SCALE_OFFSET, (0.25, -4)),
        (1, 1, None),
        (0x7FFFFFFF, 0, None),
    ],
)
def test_a_scale_is_read_where_there_is_one(definition: int, encoding: int, expected: tuple[float, int] | None) -> None:
    tensor = qnn.Tensor()
    tensor.quantization.definition, tensor.quantization.encoding = definition, encoding
    if encoding == qnn.SCALE_OFFSET:
        tensor.quantization.value.plain.scale, tensor.quantization.value.plain.offset = 0.5, -3
    else:
        tensor.quantization.value.narrow.scale, tensor.quantization.value.narrow.offset = 0.25, -4
    found = tensor.scale_offset
    assert (found and (found.scale, found.offset)) == expected


@pytest.mark.parametrize("skipped", [0, 3])
def test_results_are_found_behind_a_longer_interface(skipped: int) -> None:
    """QAIRT 2.50 crashed: its interface ends with three empty functions, which counting did not see."""
    results = qnn.Results()
    assert results.address_and_count == (0, 0)
    address, count = results._places[skipped : skipped + 2]
    address.value, count.value = 0x7F00_0000_1000, 1
    assert results.address_and_count == (0x7F00_0000_1000, 1)


def test_a_library_that_cannot_be_used_says_which(tmp_path: Path) -> None:
    (tmp_path / "libQnnHtp.so").write_bytes(b"no library")
    with pytest.raises(qnn.LibraryError, match=r"libQnnHtp\.so cannot be loaded"):
        qnn.Library(tmp_path / "libQnnHtp.so", "QnnInterface_getProviders", qnn.BACKEND_TABLE, 40, 2)
    with pytest.raises(qnn.LibraryError, match="cannot be loaded"):
        qnn.Library(Path("libc.so.6"), "QnnInterface_getProviders", qnn.BACKEND_TABLE, 40, 2)
