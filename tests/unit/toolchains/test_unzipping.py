"""A vendor's zip is unpacked into its folder and nowhere else, and does not fill the disk."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from oakmill.errors import ToolchainMissing
from oakmill.toolchains import unpacking
from oakmill.toolchains.unpacking import ArchiveRefused
from oakmill.toolchains.unzipping import unpack
from tests.unit.toolchains.archive_server import zipped


def unpacked(tmp_path: Path, data: bytes, skip: str = "") -> Path:
    (tmp_path / "v1.zip").write_bytes(data)

    def wanted(name: PurePosixPath) -> PurePosixPath | None:
        return None if skip and skip in name.parts else name

    unpack(tmp_path / "v1.zip", tmp_path / "into", wanted, "Get it anew.")
    return tmp_path / "into"


def test_what_is_wanted_comes_out_and_the_rest_does_not(tmp_path: Path) -> None:
    files = {"lib/a.so": b"one", "lib/b/c": b"two", "docs/index": b"three"}
    into = unpacked(tmp_path, zipped(files, {"lib/a.so.1": "a.so", "lib/up": "../lib/b/c"}), skip="docs")
    assert sorted(path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()) == [
        "lib/a.so", "lib/a.so.1", "lib/b/c", "lib/up",
    ]  # fmt: skip
    assert (into / "lib" / "a.so.1").read_bytes() == b"one"
    assert (into / "lib" / "up").read_bytes() == b"two"


@pytest.mark.parametrize(
    ("files", "links", "why"),
    [
        ({"../evil": b""}, {}, "leads outside"),
        ({"/etc/evil": b""}, {}, "leads outside"),
        ({"a/../../evil": b""}, {}, "leads outside"),
        ({"c:\\evil": b""}, {}, "leads outside"),
        ({"docs/../../evil": b""}, {}, "leads outside"),
        ({"a": b""}, {"passwd": "/etc/passwd"}, "leads to '/etc/passwd', outside or nowhere"),
        ({"a": b""}, {"up": "../../.."}, "outside or nowhere"),
        ({"a": b""}, {"gone": "nothing"}, "outside or nowhere"),
        ({"a": b""}, {"round": "round"}, "outside or nowhere"),
        ({"a": b""}, {"tmp": "/tmp", "tmp/evil": "x"}, "lies in a link"),
        ({"a": b"", "a/b": b""}, {}, "comes twice"),
        ({"a": b""}, {"a": "b"}, "comes twice"),
    ],
)  # fmt: skip
def test_what_leads_out_or_comes_twice_is_refused(
    tmp_path: Path, files: dict[str, bytes], links: dict[str, str], why: str
) -> None:
    with pytest.raises(ArchiveRefused, match="not safe to unpack") as caught:
        unpacked(tmp_path, zipped(files, links), skip="docs")
    assert why in caught.value.message
    assert caught.value.remedy == "Get it anew."
    assert not (tmp_path / "evil").exists()


def test_a_bomb_is_refused_by_what_it_says_of_itself(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="it says to grow to 80 MB"):
        unpacked(tmp_path, zipped({"zeros": bytes(80_000_000)}))
    assert not (tmp_path / "into").exists()


def test_a_bomb_that_lies_of_its_size_is_refused_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's zipfile gives no more than the list of contents says; then the sum of the bytes is wrong."""
    data = zipped({"zeros": bytes(1_000_000)})
    lied = data.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(ArchiveRefused, match="is damaged: Bad CRC-32"):
        unpacked(tmp_path, lied)
    monkeypatch.setattr(unpacking, "MAX_BYTES", 1000)
    shutil.rmtree(tmp_path / "into")
    with pytest.raises(ArchiveRefused, match="says to grow"):
        unpacked(tmp_path, data)


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_ENTRIES", 3)
    with pytest.raises(ArchiveRefused, match="more than 3 files"):
        unpacked(tmp_path, zipped({str(number): b"" for number in range(4)}))


@pytest.mark.parametrize("keep", [0, 100, -10])
def test_what_is_cut_off_or_no_zip_is_refused(tmp_path: Path, keep: int) -> None:
    with pytest.raises(ArchiveRefused, match="is damaged"):
        unpacked(tmp_path, zipped({"a": b"x" * 1000})[:keep])


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    data = zipped({"a": b"all as it was"}, packed=False).replace(b"all as it was", b"all as it is.")
    with pytest.raises(ArchiveRefused, match="Bad CRC-32"):
        unpacked(tmp_path, data)


def test_no_room_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(ToolchainMissing, match="MB are free in"):
        unpacked(tmp_path, zipped({"a": bytes(1000)}))
    assert not (tmp_path / "into").exists()
