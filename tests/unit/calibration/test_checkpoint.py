from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oakmill.calibration.checkpoint import Checkpoint, key_of
from oakmill.calibration.excerpt import whole
from oakmill.calibration.histogram import Histograms
from oakmill.errors import OutputError


def state(images: int) -> Histograms:
    made = Histograms(2, counting=True)
    for _ in range(images):
        made.take([whole(np.arange(5, dtype=np.float32))] * 2)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Checkpoint(tmp_path / "state", "a").save(state(3))
    return tmp_path / "state"


def restored(path: Path, key: str = "a") -> int:
    found = state(0)
    Checkpoint(path, key).restore(found)
    return found.images


def test_what_was_saved_is_restored_by_its_own_key_alone(path: Path) -> None:
    assert restored(path) == 3
    assert restored(path, "b") == 0
    assert restored(path.with_name("none")) == 0
    assert [item.name for item in path.parent.iterdir()] == ["state"]


def test_every_damaged_file_is_ignored(path: Path) -> None:
    whole_file = path.read_bytes()
    for content in (b"", b"noise", whole_file[:-1], whole_file[: len(whole_file) // 2], whole_file[100:]):
        path.write_bytes(content)
        assert restored(path) == 0
    for place in range(0, len(whole_file), len(whole_file) // 40):
        path.write_bytes(whole_file[:place] + bytes([whole_file[place] ^ 0xFF]) + whole_file[place + 1 :])
        assert restored(path) in (0, 3)
    path.unlink()
    path.mkdir()
    assert restored(path) == 0


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="state cannot be written"):
        Checkpoint(tmp_path / "none" / "state", "a").save(state(1))


def test_keys_differ_by_words_model_and_sample() -> None:
    sample = {"x": np.ones((1, 2), np.float32)}
    keys = {
        key_of(["a"], b"model", sample),
        key_of(["b"], b"model", sample),
        key_of(["a"], b"other", sample),
        key_of(["a"], b"model", {"x": sample["x"] * 2}),
        key_of(["a"], b"model", {"x": sample["x"].T}),
        key_of(["a"], b"model", {"y": sample["x"]}),
    }
    assert len(keys) == 6
    assert key_of(["a"], b"model", dict(sample)) in keys
