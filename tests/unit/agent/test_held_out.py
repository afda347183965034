"""The images of a file's own passport, taken out of the set that calibrated it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oakmill.agent.held_out import chosen
from oakmill.conversion.events import Progress


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set as Oakmill keeps one: images in a folder, what is on them beside it."""
    files = tmp_path / "set" / "files"
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/labels.txt"):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(name)
    (tmp_path / "set" / "labels.json").write_text("{}")
    return files


def names(path: Path) -> list[str]:
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())


def test_they_come_with_what_is_no_image_and_their_labels(folder: Path, tmp_path: Path) -> None:
    progress = Progress()
    found = chosen(folder, ["a/1.png", "b/0.png"], tmp_path / "out", progress)
    assert found.name == "files"
    assert names(tmp_path / "out") == ["files/a/1.png", "files/b/0.png", "files/b/labels.txt", "labels.json"]
    assert not progress.warnings


def test_those_that_are_gone_are_told(folder: Path, tmp_path: Path) -> None:
    progress = Progress()
    assert names(chosen(folder, ["a/1.png", "c.png"], tmp_path / "out", progress))[0] == "a/1.png"
    assert progress.warnings == ["1 of the 2 images of the file's own passport are gone"]


def test_where_none_is_left_all_may_be_taken(folder: Path, tmp_path: Path) -> None:
    progress = Progress()
    assert chosen(folder, ["c.png"], tmp_path / "out", progress) == folder
    assert "all of them may be taken" in progress.warnings[0]
