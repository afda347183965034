"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from oakmill import files


class CutOffError(Exception):
    """The writer is stopped in the middle."""


def test_a_file_is_replaced_whole_and_nothing_is_left_beside(tmp_path: Path) -> None:
    target = tmp_path / "file"
    files.atomic_write(target, "old")
    files.atomic_write(target, b"new", durable=True)
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_that_is_cut_off_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    files.atomic_write(target, "old")
    with pytest.raises(CutOffError), files.atomic_file(target) as file:
        file.write(b"half of what is n")
        raise CutOffError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_for_its_owner_is_never_readable_by_others(tmp_path: Path) -> None:
    with files.atomic_file(tmp_path / "keys", mode=0o600):
        (part,) = tmp_path.iterdir()
        assert part.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


def test_a_file_has_the_rights_that_any_other_new_file_has(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    files.atomic_write(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_appears_when_it_is_finished(tmp_path: Path) -> None:
    target = tmp_path / "below" / "folder"
    with files.atomic_folder(target) as made:
        (made / "file").write_text("content")
        assert not target.exists()
    assert (target / "file").read_text() == "content"
    assert list(target.parent.iterdir()) == [target]


def test_of_two_folders_the_first_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for text, replace in (("first", False), ("third", True)):
        with files.atomic_folder(target, replace=replace) as made:
            (made / "file").write_text(text)
        with pytest.raises(OSError), files.atomic_folder(target) as made:
            (made / "file").write_text("refused")
        assert (target / "file").read_text() == text
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(CutOffError), files.atomic_folder(tmp_path / "folder") as made:
        (made / "file").write_text("half")
        raise CutOffError
    assert not list(tmp_path.iterdir())


def test_files_and_folders_are_removed_and_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name in ("folder", "file", "nothing"):
        files.remove(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_sweep_takes_what_was_left_long_ago_and_nothing_else(tmp_path: Path) -> None:
    old = time.time() - 7200
    for name in (".part-old", ".part-new", "entry", ".lock"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
        if name != ".part-new":
            os.utime(tmp_path / name, (old, old))
    files.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", ".part-new", "entry"]
    files.sweep(tmp_path / "nothing")


def test_a_home_that_nobody_knows_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """pathlib raises where a shell leaves the word alone: settings, options and arguments ended in a traceback."""
    monkeypatch.setenv("HOME", "/home/me")
    assert files.expanded("~/photos") == Path("/home/me/photos")
    assert files.expanded("~nobody-here/photos") == Path("~nobody-here/photos")
    assert files.expanded(Path("photos")) == Path("photos")
