"""Own sets are copied, checked by decoding and kept apart from named ones; zips are unpacked without trusting them."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oakmill.calibration.datasets import Added, Entry, State, add, entries, load, zips
from oakmill.errors import OutputError, OutputExists, SourceError, SpecError, UnsafeSource
from oakmill.settings import Settings


def picture(colour: int, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (colour, 10, 20)).save(buffer, form)
    return buffer.getvalue()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, an array and a raw file, beside what is none or not new."""
    inner = tmp_path / "photos"
    (inner / "deep").mkdir(parents=True)
    (inner / "a.png").write_bytes(picture(1))
    (inner / "b.JPG").write_bytes(picture(2, "JPEG"))
    (inner / "deep" / "c.png").write_bytes(picture(3))
    np.save(inner / "d.npy", np.zeros((1, 3, 4, 4), np.float32))
    (inner / "e.raw").write_bytes(bytes(48))
    (inner / "copy.png").write_bytes(picture(3))
    (inner / "words.jpg").write_text("not a picture")
    (inner / "objects.npy").write_bytes(b"\x93NUMPY but no more")
    (inner / "empty.png").touch()
    (inner / "readme.txt").write_text("hello")
    (inner / ".hidden.png").write_bytes(picture(4))
    return inner


def names(added: Added) -> list[str]:
    return [item.name for item in added.record.files]


def test_what_can_be_used_is_copied_and_the_rest_is_named(folder: Path, settings: Settings) -> None:
    added = add("mine", folder, settings)
    assert names(added) == ["a.png", "b.JPG", "copy.png", "d.npy", "e.raw"]
    why = {item.name: item.why for item in added.left_out}
    assert why.keys() == {"words.jpg", "objects.npy", "empty.png", "readme.txt"}
    assert why["words.jpg"] == "cannot be read as an image: it is of no known format, or damaged"
    assert why["empty.png"] == "is empty"
    assert why["readme.txt"].startswith("is neither an image")
    assert [(item.name, item.why) for item in added.duplicates] == [("deep/c.png", "is a copy of copy.png")]
    assert load("mine", settings) == added.record
    (folder / "a.png").write_bytes(b"changed")  # a copy, not a link
    assert (settings.datasets / "mine" / "files" / "a.png").read_bytes() == picture(1)


def test_a_zip_makes_the_same_set_as_its_folder(folder: Path, settings: Settings, tmp_path: Path) -> None:
    packed = tmp_path / "photos.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
        archive.writestr("__MACOSX/._a.png", "nothing of interest")
    from_zip = add("zipped", packed, settings)
    from_folder = add("plain", folder, settings)
    assert from_zip.record.files == from_folder.record.files
    assert from_zip.record.sha256 == from_folder.record.sha256
    assert {item.name for item in from_zip.left_out} == {item.name for item in from_folder.left_out}


def test_one_file_is_a_set_of_one(folder: Path, settings: Settings) -> None:
    assert names(add("one", folder / "a.png", settings)) == ["a.png"]


@pytest.mark.parametrize("name", ["Mine", "my set", "../up", "", ".x", "ä", "x" * 65, "a/b", "a\n"])
def test_names_are_plain(name: str, folder: Path, settings: Settings) -> None:
    with pytest.raises(SpecError, match="not the name of a set"):
        add(name, folder, settings)
    assert not settings.datasets.exists()


def test_a_named_set_is_never_replaced_by_own_pictures(folder: Path, settings: Settings) -> None:
    with pytest.raises(SpecError, match="always means the same images") as caught:
        add("general", folder, settings, overwrite=True)
    assert "my-general" in caught.value.remedy


def test_a_name_is_used_again_only_if_asked_for(folder: Path, settings: Settings) -> None:
    first = add("mine", folder, settings)
    with pytest.raises(OutputExists, match="there is a set mine already") as caught:
        add("mine", folder / "a.png", settings)
    assert "--overwrite" in caught.value.remedy
    assert load("mine", settings) == first.record
    add("mine", folder / "a.png", settings, overwrite=True)
    (entry,) = (entry for entry in entries(settings) if entry.name == "mine")
    assert (entry.state, entry.images) == (State.OWN, 1)
    assert sorted(path.name for path in settings.datasets.iterdir()) == [".mine.lock", "mine"]


def test_a_failed_overwrite_leaves_the_old_set(folder: Path, settings: Settings, tmp_path: Path) -> None:
    first = add("mine", folder, settings)
    (tmp_path / "none").mkdir()
    with pytest.raises(SourceError, match="nothing in none can be used"):
        add("mine", tmp_path / "none", settings, overwrite=True)
    assert load("mine", settings) == first.record


def test_what_a_crash_left_is_removed(folder: Path, settings: Settings) -> None:
    left = settings.datasets / ".adding-mine-abc"
    left.mkdir(parents=True)
    add("mine", folder, settings)
    assert not left.exists()


def test_nothing_usable_says_why(folder: Path, settings: Settings, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "words.jpg").write_text("words")
    with pytest.raises(SourceError, match=r"nothing in bad can be used; words\.jpg cannot be read as an image"):
        add("mine", bad, settings)
    with pytest.raises(SourceError, match="does not exist"):
        add("mine", tmp_path / "gone", settings)
    with pytest.raises(SourceError, match="neither a folder nor a zip"):
        add("mine", folder / "readme.txt", settings)
    assert [path.name for path in settings.datasets.iterdir()] == [".mine.lock"]


def test_a_set_larger_than_allowed_is_refused(settings: Settings, tmp_path: Path) -> None:
    inner = tmp_path / "large"
    inner.mkdir()
    np.save(inner / "a.npy", np.zeros(1 << 18, np.float32))
    np.save(inner / "b.npy", np.ones(1 << 18, np.float32))
    tight = settings.model_copy(update={"datasets_max_mb": 1})
    with pytest.raises(SourceError, match="more than 1 MB"):
        add("mine", inner, tight)


def test_a_folder_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(OutputError, match=r"datasets.* cannot be written"):
        add("mine", folder, Settings(home=tmp_path / "home"))


def test_entries_are_the_named_sets_and_then_the_own(folder: Path, settings: Settings) -> None:
    add("mine", folder, settings)
    found = entries(settings)
    assert [entry.name for entry in found] == [
        "driving",
        "food",
        "general",
        "indoors",
        "random",
        "starter",
        "warehouse",
        "mine",
    ]
    assert {entry.state for entry in found[:7]} == {State.MISSING}
    assert isinstance(found[7], Entry)
    assert found[7].description == "Added from photos."


def test_names_that_are_not_text_are_kept(settings: Settings, tmp_path: Path) -> None:
    inner = tmp_path / "odd"
    inner.mkdir()
    try:
        (inner / "b\udcff.png").write_bytes(picture(1))
    except OSError:
        pytest.skip("this file system takes no such names")
    (inner / 'quote" ü\n.png').write_bytes(picture(2))
    add("odd", inner, settings)
    record = load("odd", settings)
    assert record
    assert len(record.files) == 2


# Zips that nobody vouches for


def zip_of(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../a.png", "leads outside"),
        ("/a.png", "leads outside"),
        ("x/../../a.png", "leads outside"),
        ("x\\..\\a.png", "leads outside"),
        ("C:a.png", "leads outside"),
        ("a\tb.png", "control characters"),
        ("/".join("x" * 20) + "/a.png", "too long"),
        ("x" * 300 + ".png", "too long"),
        (link("a.png"), "is a link"),
    ],
)
def test_names_and_links_that_lead_elsewhere_are_refused(
    name: str | zipfile.ZipInfo, words: str, settings: Settings, tmp_path: Path
) -> None:
    packed = zip_of(tmp_path / "x.zip", ("good.png", picture(1)), (name, picture(2)))
    with pytest.raises(UnsafeSource, match=words) as caught:
        add("mine", packed, settings)
    assert caught.value.remedy
    assert [path.name for path in settings.datasets.iterdir()] == [".mine.lock"]


def test_a_name_that_comes_twice_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        packed = zip_of(tmp_path / "x.zip", ("a.png", picture(1)), ("a.png", picture(2)))
    with pytest.raises(UnsafeSource, match="comes twice"):
        add("mine", packed, settings)
    packed = zip_of(tmp_path / "y.zip", ("a.png", picture(1)), ("a.png/b.png", picture(2)))
    with pytest.raises(UnsafeSource, match="comes twice"):
        add("mine", packed, settings)


def test_bombs_are_refused(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zip_of(tmp_path / "bomb.zip", ("a.raw", bytes(80 << 20)))
    with pytest.raises(UnsafeSource, match="200 times its size"):
        add("mine", bomb, settings)
    with pytest.raises(UnsafeSource, match="more than 1 MB"):
        add("mine", bomb, settings.model_copy(update={"datasets_max_mb": 1}))
    monkeypatch.setattr(zips, "MAX_FILES", 3)
    many = zip_of(tmp_path / "many.zip", *((f"{index}.png", b"") for index in range(4)))
    with pytest.raises(UnsafeSource, match="more than 3 files"):
        add("mine", many, settings)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and no more", b"PK\x05\x06" + bytes(18) + b"x"])
def test_damaged_zips_are_named(data: bytes, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"x\.zip"):
        add("mine", path, settings)


def test_a_zip_cut_off_inside_or_encrypted_is_named(settings: Settings, tmp_path: Path) -> None:
    data = zip_of(tmp_path / "x.zip", ("a.png", picture(1) * 50)).read_bytes()
    wrong = bytearray(data)
    wrong[40:60] = bytes(20)
    (tmp_path / "wrong.zip").write_bytes(wrong)
    with pytest.raises(SourceError, match=r"wrong\.zip cannot be unpacked"):
        add("mine", tmp_path / "wrong.zip", settings)
    secret = bytearray(data)
    secret[6] |= 1
    secret[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(secret)
    with pytest.raises(SourceError, match="is encrypted"):
        add("mine", tmp_path / "secret.zip", settings)
