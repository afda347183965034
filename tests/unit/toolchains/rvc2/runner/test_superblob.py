"""A number of SHAVEs that OpenVINO refuses: the others are tried, so that people learn which they can have."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

import pytest
from frame import Refused

from oakmill.toolchains.rvc2.runner.blob import WriteError
from oakmill.toolchains.rvc2.runner.openvino import EngineError
from oakmill.toolchains.rvc2.runner.superblob import ALL_SHAVES, BASE, compile_superblob
from tests.unit.toolchains.rvc2.runner.test_patches import blob


class Compilers:
    """Stands in the compilers' place; refuses some numbers of SHAVEs."""

    def __init__(self, refuses: Collection[int], error: Exception | None = None) -> None:
        self.asked: list[int] = []
        self._refuses = refuses
        self._error = error or EngineError("ie_core_load_network", 1, "memory allocation failed")

    def compile(self, shaves: int) -> bytes:
        self.asked.append(shaves)
        time.sleep(0.03)  # as a compiler takes longer than those who watch it
        if shaves in self._refuses:
            raise self._error
        return blob(b"head" * shaves, bytes(640))


def compiled(compilers: Compilers, folder: Path) -> dict[int, str]:
    return compile_superblob(compilers, folder / "model.superblob", 1, lambda done, total, what: None)  # type: ignore[arg-type]


def test_one_that_fails_does_not_keep_the_others_from_being_tried(tmp_path: Path) -> None:
    """A soft-argmax fits everywhere but on one SHAVE; the whole superblob was refused, with no word of the others."""
    with pytest.raises(Refused, match="memory allocation failed") as caught:
        compiled(Compilers({1}), tmp_path)
    assert caught.value.details["fails"] == [1]
    assert caught.value.details["works"] == list(range(2, 17))
    assert not list(tmp_path.iterdir())


def test_where_the_base_fails_the_most_are_tried_and_no_more(tmp_path: Path) -> None:
    """What no number can help is not compiled sixteen times."""
    compilers = Compilers(ALL_SHAVES)
    with pytest.raises(Refused) as caught:
        compiled(compilers, tmp_path)
    assert caught.value.details["works"] == []
    assert {BASE, 16} <= set(compilers.asked)
    assert len(compilers.asked) < len(ALL_SHAVES) / 2
    with pytest.raises(Refused) as caught:
        compiled(Compilers(range(1, 12)), tmp_path)
    assert 16 in caught.value.details["works"]


def test_another_error_ends_it_at_once(tmp_path: Path) -> None:
    compilers = Compilers({1}, WriteError("is the disk full?"))
    with pytest.raises(WriteError):
        compiled(compilers, tmp_path)
    assert len(compilers.asked) < len(ALL_SHAVES) / 2


def test_all_that_work_are_packed(tmp_path: Path) -> None:
    assert sorted(compiled(Compilers(()), tmp_path)) == list(ALL_SHAVES)
    assert (tmp_path / "model.superblob").stat().st_size > 17 * 8


def test_while_no_blob_is_done_it_is_said_which_are_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob of four minutes: nothing was said meanwhile, and nobody knew whether it still worked."""
    monkeypatch.setattr("oakmill.toolchains.rvc2.runner.superblob.BEAT_SECONDS", 0.01)
    said: list[tuple[int, str]] = []

    def progress(done: int, total: int, what: str) -> None:
        said.append((done, what))

    compile_superblob(Compilers(()), tmp_path / "model.superblob", 2, progress)  # type: ignore[arg-type]
    beats = [(done, what) for done, what in said if "at work" in what]
    assert beats[0][0] == 0
    assert beats[0][1].startswith("8 and 1 SHAVEs at work for ")
    ended = [what for _, what in said if "at work" not in what]
    assert sorted(ended) == sorted(f"{shaves} SHAVEs" for shaves in ALL_SHAVES)
