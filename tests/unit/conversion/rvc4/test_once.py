"""What is measured is measured once; two places wrote this down, and each had to forget a killed run by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from oakmill.conversion.cache.store import Store
from oakmill.conversion.events import Progress
from oakmill.conversion.rvc4.once import Document, measured_once


def test_a_killed_measurement_goes_on_and_leaves_nothing(tmp_path: Path) -> None:
    store, runs = Store(tmp_path, 1 << 20), list[str]()

    def measure(checkpoint: Path | None) -> Document:
        assert checkpoint is not None
        runs.append(checkpoint.read_text() if checkpoint.exists() else "")
        checkpoint.write_text("half")
        if len(runs) == 1:
            raise KeyboardInterrupt
        return {"a": [0.0, 1.0]}

    with pytest.raises(KeyboardInterrupt):
        measured_once(store, "ranges", "key", ["a"], measure, Progress())
    for _ in range(2):
        assert measured_once(store, "ranges", "key", ["a"], measure, Progress()) == {"a": [0.0, 1.0]}
    assert runs == ["", "half"]
    assert not list(tmp_path.rglob("*.partial"))


def test_what_is_known_of_other_tensors_is_not_taken(tmp_path: Path) -> None:
    store = Store(tmp_path, 1 << 20)
    for names in (["a"], ["a", "b"]):
        found = measured_once(store, "ranges", "key", names, lambda _: dict.fromkeys(names, 0), Progress())  # noqa: B023
        assert found.keys() == set(names)


def test_a_cache_that_cannot_be_written_is_measured_without(tmp_path: Path) -> None:
    found = measured_once(Store(tmp_path, 0), "ranges", "key", ["a"], lambda place: {"a": place}, Progress())
    assert found == {"a": None}
