"""Finished files appear whole and all together, or not at all; nothing is overwritten unasked."""

from __future__ import annotations

import errno
import subprocess
import threading
from pathlib import Path

import pytest

from oakmill.conversion.output import publish
from oakmill.errors import OutputError, OutputExists


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {"a.txt": tmp_path / "1", "b.txt": tmp_path / "2"}
    for name, path in made.items():
        path.write_text(name)
    return made


def test_files_appear_under_their_names(tmp_path: Path, files: dict[str, Path]) -> None:
    out = tmp_path / "out"
    publish.require_free(out, list(files), overwrite=False)
    written = publish.publish(files, out, overwrite=False)
    assert [path.read_text() for path in written] == ["a.txt", "b.txt"]
    assert sorted(path.name for path in out.iterdir()) == ["a.txt", "b.txt"]


def test_a_taken_name_is_refused_early_and_late_and_nothing_changes(tmp_path: Path, files: dict[str, Path]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.txt").write_text("mine")
    with pytest.raises(OutputExists, match=r"b\.txt exists already"):
        publish.require_free(out, list(files), overwrite=False)
    with pytest.raises(OutputExists):
        publish.publish(files, out, overwrite=False)
    assert [path.name for path in out.iterdir()] == ["b.txt"]
    assert (out / "b.txt").read_text() == "mine"


def test_overwriting_is_possible_when_asked_for(tmp_path: Path, files: dict[str, Path]) -> None:
    (tmp_path / "b.txt").write_text("old")
    publish.publish(files, tmp_path, overwrite=True)
    assert (tmp_path / "b.txt").read_text() == "b.txt"


def test_of_many_at_once_exactly_one_wins(tmp_path: Path, files: dict[str, Path]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    won: list[bool] = []

    def attempt() -> None:
        try:
            publish.publish(files, out, overwrite=False)
            won.append(True)
        except OutputExists:
            won.append(False)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won.count(True) == 1
    assert sorted(path.name for path in out.iterdir()) == ["a.txt", "b.txt"]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="folder's name"):
        publish.require_free(tmp_path / "out", ["x"], overwrite=False)
    with pytest.raises(OutputError, match="is a file"):
        publish.require_free(tmp_path / "out" / "deeper", ["x"], overwrite=False)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_errors_of_writing_say_what_to_do(tmp_path: Path, number: int) -> None:
    with pytest.raises(OutputError) as failure, publish.readable_write_errors(tmp_path):
        raise OSError(number, "said the kernel", str(tmp_path / "x"))
    assert str(tmp_path / "x") in failure.value.message
    assert failure.value.remedy


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="unplugged"), publish.readable_write_errors(tmp_path):
        raise OSError(errno.EIO, "unplugged")


def test_the_work_folder_goes_whatever_happens() -> None:
    with pytest.raises(ZeroDivisionError), publish.work_folder() as folder:
        (folder / "half").write_text("half")
        raise ZeroDivisionError
    assert not folder.exists()


def test_a_full_output_folder_is_named_and_not_where_the_files_came_from(tmp_path: Path) -> None:
    """It was said that a file below /tmp could not be written, which was being read."""
    out, made = tmp_path / "out", tmp_path / "model.blob"
    out.mkdir()
    made.write_bytes(bytes(200_000))
    if subprocess.call(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", out], stderr=subprocess.DEVNULL):
        pytest.skip("a small file system cannot be mounted here")
    try:
        with pytest.raises(OutputError) as failure:
            publish.publish({"model.blob": made}, out, overwrite=False)
        assert failure.value.message == f"cannot write to {out}: the disk is full"
        assert list(out.iterdir()) == []
    finally:
        subprocess.check_call(["umount", "-l", out])
