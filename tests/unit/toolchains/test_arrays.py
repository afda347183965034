"""What a runner computed comes back by the outputs' names, or is told to be damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oakmill.errors import ToolFailed
from oakmill.toolchains import arrays


def test_answers_come_by_their_names(tmp_path: Path) -> None:
    computed: dict[str, Any] = {"0/0": np.ones(2), "1/0": np.zeros(3)}
    np.savez(tmp_path / arrays.OUTPUTS, **computed)
    (answer,) = arrays.load_answers(tmp_path, ["a", "b"], 1)
    assert {name: values.tolist() for name, values in answer.items()} == {"a": [1, 1], "b": [0, 0, 0]}


@pytest.mark.parametrize("count", [0, 10, 70, 200])
def test_a_damaged_file_is_an_error_in_words(tmp_path: Path, count: int) -> None:
    """numpy's own words of a file that was cut off went to the user as a traceback."""
    computed: dict[str, Any] = {"0/0": np.arange(100.0)}
    np.savez_compressed(tmp_path / arrays.OUTPUTS, **computed)
    whole = (tmp_path / arrays.OUTPUTS).read_bytes()
    (tmp_path / arrays.OUTPUTS).write_bytes(whole[:count])
    with pytest.raises(ToolFailed, match=r"outputs\.npz"):
        arrays.load_answers(tmp_path, ["a"], 1)


@pytest.mark.parametrize("spoiled", [{"0/1": np.ones(2)}, {"0/0": np.array(["text"])}, {"0/0": np.array([{}])}])
def test_what_is_missing_or_no_number_is_an_error_in_words(tmp_path: Path, spoiled: dict[str, Any]) -> None:
    np.savez(tmp_path / arrays.OUTPUTS, **spoiled)
    with pytest.raises(ToolFailed, match="cannot be read"):
        arrays.load_answers(tmp_path, ["a"], 1)
