"""What a conversion's quantization data means: a set, a folder, a zip or a file, and never anything in its place."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from oakmill.calibration.datasets import (
    SETS,
    SetDamaged,
    SetMissing,
    UnknownSet,
    add,
    install,
    installer,
    resolve,
)
from oakmill.errors import SourceError, UnsafeSource
from oakmill.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with the set of random pixels, small."""
    monkeypatch.setitem(SETS, "random", replace(SETS["random"], count=4))
    monkeypatch.setattr(installer, "RANDOM_SIDE", 8)
    made = Settings(home=tmp_path / "home")
    install("random", made)
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder with pictures in `photos`, and in folders named as sets are."""
    inner = tmp_path / "here"
    for name in ("photos", "random", "general", "mine"):
        (inner / name).mkdir(parents=True)
        for index in range(2):
            Image.new("RGB", (8, 8), (index, 0, 0)).save(inner / name / f"{index}.png")
    monkeypatch.chdir(inner)
    yield inner


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.mark.parametrize("value", ["random", "RANDOM"])
def test_a_named_set_in_any_case(value: str, settings: Settings, work: Path) -> None:
    found = resolve(value, settings, work)
    assert (found.name, found.kind, len(found.files)) == ("random", "named", 4)
    assert found.folder == settings.datasets / "random" / "files"
    assert all(path.is_file() and path.is_relative_to(found.folder) for path in found.files)
    assert "25 points" in found.note
    assert len(found.sha256) == 64


def test_an_own_set(settings: Settings, here: Path, work: Path) -> None:
    record = add("holiday", here / "photos", settings).record
    found = resolve("holiday", settings, work)
    assert (found.kind, found.sha256, found.note) == ("own", record.sha256, "")


@pytest.mark.parametrize("value", [None, "general", "GENERAL"])
def test_a_set_that_is_not_installed_says_how_to_install_it(value: str | None, settings: Settings, work: Path) -> None:
    with pytest.raises(SetMissing, match=r"the calibration set general .*is not installed") as caught:
        resolve(value, settings, work)
    assert "oakmill datasets install general" in caught.value.remedy
    assert "--quantization-data FOLDER" in caught.value.remedy
    assert ("default" in caught.value.message) is (value is None)


def test_a_folder_is_never_taken_for_a_set_that_is_not_installed(settings: Settings, here: Path, work: Path) -> None:
    with pytest.raises(SetMissing, match=r"the folder \./general was not taken for it"):
        resolve("general", settings, work)
    assert resolve("./general", settings, work).kind == "folder"


def test_a_set_wins_over_a_folder_of_its_name_and_says_so(settings: Settings, here: Path, work: Path) -> None:
    found = resolve("random", settings, work)
    assert found.kind == "named"
    assert "not the folder ./random" in found.note
    add("mine", here / "photos", settings)
    assert resolve("mine", settings, work).kind == "own"
    assert resolve("mine/", settings, work).kind == "folder"


def test_a_bare_word_that_is_no_set_may_be_a_folder(settings: Settings, here: Path, work: Path) -> None:
    found = resolve("photos", settings, work)
    assert (found.name, found.kind, [path.name for path in found.files]) == ("photos", "folder", ["0.png", "1.png"])
    assert resolve(str(here / "photos"), settings, work).files == tuple(
        here / "photos" / name for name in ("0.png", "1.png")
    )


def test_one_file(settings: Settings, here: Path, work: Path) -> None:
    found = resolve("photos/0.png", settings, work)
    assert (found.kind, found.files) == ("file", (Path("photos/0.png"),))


def test_a_zip_is_unpacked_into_the_work_folder(settings: Settings, here: Path, work: Path) -> None:
    with zipfile.ZipFile("set.zip", "w") as archive:
        archive.write("photos/0.png", "inner/0.png")
        archive.writestr("notes.txt", "words")
    found = resolve("set.zip", settings, work)
    assert (found.name, found.kind) == ("set.zip", "zip")
    assert "1 files in set.zip are no images" in found.note
    assert all(path.is_relative_to(work) for path in found.files)
    assert resolve("set.zip", settings, work).files != found.files  # another time, another folder


def test_an_unsafe_zip_is_refused(settings: Settings, here: Path, work: Path) -> None:
    with zipfile.ZipFile("set.zip", "w") as archive:
        archive.writestr("../x.png", "words")
    with pytest.raises(UnsafeSource):
        resolve("set.zip", settings, work)


def test_what_is_neither_set_nor_path_is_told_with_what_there_is(settings: Settings, here: Path, work: Path) -> None:
    add("holiday", here / "photos", settings)
    with pytest.raises(UnknownSet, match="no calibration set 'holyday'") as caught:
        resolve("holyday", settings, work)
    assert caught.value.remedy.startswith("Did you mean holiday? Sets: driving, food, general")
    with pytest.raises(UnknownSet) as caught:
        resolve("zzzzzz", settings, work)
    assert "Did you mean" not in caught.value.remedy


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("./gone", "does not exist"),
        ("gone.zip", "does not exist"),
        ("gone.png", "does not exist"),
        ("./empty", "holds no image"),
        ("words.txt", "is no image"),
    ],
)
def test_paths_with_nothing_in_them(value: str, words: str, settings: Settings, here: Path, work: Path) -> None:
    (here / "empty").mkdir()
    (here / "words.txt").write_text("words")
    with pytest.raises(SourceError, match=words):
        resolve(value, settings, work)


def test_a_set_of_which_a_file_is_gone_is_refused(settings: Settings, work: Path) -> None:
    (settings.datasets / "random" / "files" / "0001.png").unlink()
    with pytest.raises(SetDamaged, match=r"0001\.png is missing") as caught:
        resolve("random", settings, work)
    assert caught.value.remedy == "oakmill datasets install random"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 9}', '{"format": 1, "files": [{"name": "../x", "sha256": "", "bytes": 1}]}', "\xff"],
)
def test_a_record_that_is_not_one_is_told(text: str, settings: Settings, work: Path) -> None:
    (settings.datasets / "random" / "set.json").write_text(text, encoding="latin-1")
    with pytest.raises(SetDamaged, match=r"set\.json cannot be read"):
        resolve("random", settings, work)
