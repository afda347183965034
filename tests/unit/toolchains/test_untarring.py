"""A vendor's .tgz is unpacked into its folder and nowhere else, and does not fill the disk or the memory."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from oakmill.errors import ToolchainMissing
from oakmill.toolchains import unpacking
from oakmill.toolchains.unpacking import ArchiveRefused
from oakmill.toolchains.untarring import unpack
from tests.unit.toolchains.openvino_archive import tarred


def unpacked(tmp_path: Path, data: bytes, skip: str = "") -> Path:
    (tmp_path / "v1.tgz").write_bytes(data)

    def wanted(name: PurePosixPath) -> PurePosixPath | None:
        return None if skip and skip in name.parts else name

    unpack(tmp_path / "v1.tgz", tmp_path / "into", wanted, "Get it anew.")
    return tmp_path / "into"


def test_what_is_wanted_comes_out_with_its_links_and_the_rest_does_not(tmp_path: Path) -> None:
    """Intel's archives name a library by links: libopenvino.so -> libopenvino.so.2231 -> libopenvino.so.2022.3.1."""
    files = {"lib/a.so.2022.3.1": b"one", "lib/b/c": b"two", "docs/index": b"three"}
    links = {"lib/a.so": "a.so.2231", "lib/a.so.2231": "a.so.2022.3.1", "lib/up": "../lib/b/c"}
    into = unpacked(tmp_path, tarred(files, links), skip="docs")
    assert sorted(path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()) == [
        "lib/a.so", "lib/a.so.2022.3.1", "lib/a.so.2231", "lib/b/c", "lib/up",
    ]  # fmt: skip
    assert (into / "lib" / "a.so").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("files", "links", "kinds", "why"),
    [
        ({"../evil": b""}, {}, {}, "leads outside"),
        ({"/etc/evil": b""}, {}, {}, "leads outside"),
        ({"docs/../../evil": b""}, {}, {}, "leads outside"),
        ({"a": b""}, {"passwd": "/etc/passwd"}, {}, "leads to '/etc/passwd', outside or nowhere"),
        ({"a": b""}, {"up": "../../.."}, {}, "outside or nowhere"),
        ({"a": b""}, {"gone": "nothing"}, {}, "outside or nowhere"),
        ({"a": b""}, {"tmp": "/tmp", "tmp/evil": "x"}, {}, "lies in a link"),
        ({"a": b"", "a/b": b""}, {}, {}, "comes twice"),
        ({"a": b""}, {"a": "b"}, {}, "comes twice"),
        ({"a": b""}, {}, {"hard": tarfile.LNKTYPE}, "neither a file nor a folder nor a link"),
        ({"a": b""}, {}, {"pipe": tarfile.FIFOTYPE}, "neither a file nor a folder nor a link"),
        ({"a": b""}, {}, {"disk": tarfile.BLKTYPE}, "neither a file nor a folder nor a link"),
    ],
)  # fmt: skip
def test_what_leads_out_or_comes_twice_or_is_no_file_is_refused(
    tmp_path: Path, files: dict[str, bytes], links: dict[str, str], kinds: dict[str, bytes], why: str
) -> None:
    with pytest.raises(ArchiveRefused, match="not safe to unpack") as caught:
        unpacked(tmp_path, tarred(files, links, kinds), skip="docs")
    assert why in caught.value.message
    assert caught.value.remedy == "Get it anew."
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("skip", ["", "zeros"])
def test_a_bomb_is_refused_whether_it_is_wanted_or_not(tmp_path: Path, skip: str) -> None:
    with pytest.raises(ArchiveRefused, match="grows to more than 67 MB"):
        unpacked(tmp_path, tarred({"zeros": bytes(80_000_000)}), skip=skip)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """A tar's attributes are read into memory whole: 60 MB of them, in 60 kB."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("first"))
        info = tarfile.TarInfo("a")
        info.pax_headers = {"comment": "x" * 60_000_000}
        archive.addfile(info)
    with pytest.raises(ArchiveRefused, match="header of a member is beyond reason"):
        unpacked(tmp_path, buffer.getvalue())


def test_a_large_file_that_is_not_needed_is_passed_over(tmp_path: Path) -> None:
    """It was counted as the next member's header, and the archive refused: Intel's has a plugin of 21 MB for GPUs."""
    into = unpacked(tmp_path, tarred({"gpu/big": bytes(5_000_000), "a": b"one", "gpu/last": bytes(2_000_000)}), "gpu")
    assert [path.name for path in into.iterdir()] == ["a"]


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_ENTRIES", 3)
    with pytest.raises(ArchiveRefused, match="more than 3 files"):
        unpacked(tmp_path, tarred({str(number): b"" for number in range(4)}))


@pytest.mark.parametrize("keep", [0, 30, 100, -10])
def test_what_is_cut_off_or_no_tgz_is_refused(tmp_path: Path, keep: int) -> None:
    with pytest.raises(ArchiveRefused, match="is damaged"):
        unpacked(tmp_path, tarred({"a": bytes(range(256)) * 40})[:keep])


def test_a_tar_that_ends_between_two_members_is_refused(tmp_path: Path) -> None:
    """It ends without its mark; tarfile takes that for the end, and half of a library's parts would be missing."""
    plain = gzip.decompress(tarred({"a": bytes(512), "b": bytes(512)}))
    with pytest.raises(ArchiveRefused, match="is damaged"):
        unpacked(tmp_path, gzip.compress(plain[:1024]))


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    data = bytearray(tarred({"a": bytes(1000)}))
    data[-6] ^= 1  # of the sum at the end
    with pytest.raises(ArchiveRefused, match="is damaged: CRC check failed"):
        unpacked(tmp_path, bytes(data))


def test_no_room_is_told_before_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(ToolchainMissing, match="MB are free in"):
        unpacked(tmp_path, tarred({"a": bytes(1000)}))
    assert not (tmp_path / "into" / "a").exists()
