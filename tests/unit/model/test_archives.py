from __future__ import annotations

import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from oakmill.errors import BrokenModel, OakmillError, OutputError, OutputExists, UnsafeSource
from oakmill.model import archives
from oakmill.model.archives import unpack
from oakmill.settings import Settings

CONTENT = {"config.json": b"{}", "model.onnx": bytes(range(256)) * 400, "data/weights.bin": b"w" * 1000}


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def write_tar(path: Path, *members: tarfile.TarInfo, mode: str = "w", content: bytes = b"x") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for info in members:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, *members: str | zipfile.ZipInfo, content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in members:
            archive.writestr(name, content)
    return path


def write_content(path: Path, mode: str) -> Path:
    if mode == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in CONTENT.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        tar.addfile(member("./", tarfile.DIRTYPE))
        for name, data in CONTENT.items():
            info = member(f"./{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def refuse(path: Path, settings: Settings, expected: type[OakmillError], words: str) -> None:
    """Check that unpacking is refused in these words, and that nothing is left behind."""
    before = set(path.parent.rglob("*"))
    with pytest.raises(expected, match=words) as caught:
        unpack(path, path.parent / "out", settings)
    assert type(caught.value) is expected
    assert set(path.parent.rglob("*")) == before


@pytest.mark.parametrize("mode", ["w", "w:xz", "w:gz", "w:bz2", "zip"])
def test_every_kind_of_archive_unpacks_to_the_same_files(tmp_path: Path, settings: Settings, mode: str) -> None:
    into = tmp_path / "out"
    files = unpack(write_content(tmp_path / "archive", mode), into, settings)
    assert {file.relative_to(into).as_posix(): file.read_bytes() for file in files} == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "out"]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([member("../evil")], "leads outside"),
        ([member("a/../../evil")], "leads outside"),
        ([member("/etc/evil")], "leads outside"),
        ([member("..\\evil")], "leads outside"),
        ([member("link", tarfile.SYMTYPE, "/etc/passwd")], "is a link"),
        ([member("ok"), member("link", tarfile.LNKTYPE, "ok")], "is a link"),
        ([member("null", tarfile.CHRTYPE)], "not a plain file"),
        ([member("pipe", tarfile.FIFOTYPE)], "not a plain file"),
        ([member("ok"), member("ok")], "comes twice"),
        ([member("ok"), member("./ok")], "comes twice"),
        ([member("ok"), member("ok/inner")], "both a file and a folder"),
        ([member("d", tarfile.DIRTYPE), member("d")], "comes twice"),
        ([member("."), member("ok")], "has no name"),
        ([member("n" * 300)], "is too long"),
        ([member("/".join("d" * 20))], "is too long"),
        ([member("line\nbreak")], "control characters"),
    ],
)
def test_a_hostile_tar_is_refused(
    tmp_path: Path, settings: Settings, members: list[tarfile.TarInfo], words: str
) -> None:
    refuse(write_tar(tmp_path / "evil.tar", *members), settings, UnsafeSource, words)


def test_a_sparse_member_is_refused(tmp_path: Path, settings: Settings) -> None:
    sparse = member("holes")
    sparse.pax_headers = {"GNU.sparse.size": str(1 << 40), "GNU.sparse.map": "0,1"}
    refuse(write_tar(tmp_path / "evil.tar", sparse), settings, UnsafeSource, "not a plain file")


def zip_member(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (["../evil"], "leads outside"),
        (["/etc/evil"], "leads outside"),
        ([zip_member("link", 0o120777)], "is a link"),
        ([zip_member("pipe", 0o010644)], "is a link or not a plain file"),
        (["a", "./a"], "comes twice"),
    ],
)
def test_a_hostile_zip_is_refused(
    tmp_path: Path, settings: Settings, members: list[str | zipfile.ZipInfo], words: str
) -> None:
    refuse(write_zip(tmp_path / "evil.zip", *members), settings, UnsafeSource, words)


@pytest.mark.parametrize("mode", ["w:xz", "w:gz", "w:bz2", "zip"])
def test_a_bomb_of_zeros_is_refused_while_it_unpacks(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(archives, "RATIO_FREE_BYTES", 8 << 20)
    zeros = bytes(30 << 20)
    path = tmp_path / "bomb"
    if mode == "zip":
        write_zip(path, "zeros", content=zeros)
    else:
        write_tar(path, member("zeros"), mode=mode, content=zeros)
    tracemalloc.start()
    try:
        refuse(path, settings, UnsafeSource, "more than 200 times its size")
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_more_than_the_limit_of_the_settings_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "large.tar", member("a"), member("b"), content=os.urandom(600_000))
    refuse(path, Settings(source_max_mb=1), UnsafeSource, r"more than 1 MB \(setting source_max_mb\)")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE])
def test_too_many_entries_are_refused(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    monkeypatch.setattr(archives, "MAX_FILES", 10)
    path = write_tar(tmp_path / "many.tar", *(member(f"f{i}", kind) for i in range(11)))
    refuse(path, settings, UnsafeSource, "more than 10 files and folders")


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, settings: Settings) -> None:
    info = member("file")
    info.pax_headers = {"comment": "x" * (30 << 20)}
    refuse(write_tar(tmp_path / "evil.tar", info), settings, UnsafeSource, "header of a member is beyond reason")


def test_a_chain_of_long_names_without_end_is_refused(tmp_path: Path, settings: Settings) -> None:
    link = member("././@LongLink", tarfile.GNUTYPE_LONGNAME).tobuf(tarfile.GNU_FORMAT)
    path = tmp_path / "chain.tar"
    path.write_bytes(link * 1900)
    refuse(path, settings, BrokenModel, "damaged")


@pytest.mark.parametrize("mode", ["w", "w:xz", "w:gz", "w:bz2", "zip"])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path, settings: Settings, mode: str) -> None:
    path = write_content(tmp_path / "archive", mode)
    whole = path.read_bytes()
    ends = len(whole) if mode != "w" else whole.rindex(b"w") + 1  # a tar ends with kilobytes of zeros
    for size in range(ends // 23, ends - 1, ends // 23):
        path.write_bytes(whole[:size])
        refuse(path, settings, BrokenModel, "damaged|cut off")


def test_a_tar_cut_off_between_members_is_not_taken_for_whole(tmp_path: Path, settings: Settings) -> None:
    path = write_tar(tmp_path / "archive.tar", member("a"), member("b"))
    path.write_bytes(path.read_bytes()[: 2 * tarfile.BLOCKSIZE])
    refuse(path, settings, BrokenModel, "cut off")


def test_a_damaged_header_between_members_is_not_taken_for_the_end(tmp_path: Path, settings: Settings) -> None:
    path = write_tar(tmp_path / "archive.tar", member("a"), member("b"))
    damaged = bytearray(path.read_bytes())
    damaged[2 * tarfile.BLOCKSIZE] ^= 1
    path.write_bytes(damaged)
    refuse(path, settings, BrokenModel, "damaged")


def test_an_encrypted_zip_is_refused(tmp_path: Path, settings: Settings) -> None:
    path = write_zip(tmp_path / "secret.zip", "a")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    refuse(path, settings, BrokenModel, "is encrypted")


def test_a_zip_with_a_list_of_contents_beyond_reason_is_refused(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "DIRECTORY_BYTES", 1 << 20)
    path = write_zip(tmp_path / "many.zip", *(f"{i:0200}" for i in range(5000)), content=b"")
    refuse(path, settings, UnsafeSource, "list of contents is beyond reason")


def test_an_xz_may_consist_of_several_streams_with_padding(tmp_path: Path, settings: Settings) -> None:
    whole = write_content(tmp_path / "plain", "w").read_bytes()
    path = tmp_path / "several.tar.xz"
    path.write_bytes(lzma.compress(whole[:5000]) + bytes(8) + lzma.compress(whole[5000:]) + bytes(4))
    assert len(unpack(path, tmp_path / "out", settings)) == len(CONTENT)


def test_an_xz_that_asks_for_too_much_memory_is_refused(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "hungry.tar.xz"
    header = bytearray(lzma.compress(bytes(2048), filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]))
    assert header[16] == 8  # the dictionary's size, as 2 ** (n / 2 + 12)
    header[16] = 37
    header[20:24] = zlib.crc32(header[12:20]).to_bytes(4, "little")
    path.write_bytes(header)
    refuse(path, settings, BrokenModel, "[Mm]emory")


def test_a_folder_that_exists_is_not_touched(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "out").mkdir()
    path = write_content(tmp_path / "archive", "w")
    refuse(path, settings, OutputExists, "is there already")


def test_a_place_that_cannot_be_written_is_named_as_such(tmp_path: Path, settings: Settings) -> None:
    path = write_content(tmp_path / "archive", "w")
    with pytest.raises(OutputError, match="Not a directory"):
        unpack(path, tmp_path / "archive" / "below" / "out", settings)


def test_unpacking_streams(tmp_path: Path, settings: Settings) -> None:
    path = write_tar(tmp_path / "large.tar.gz", member("a"), mode="w:gz", content=os.urandom(10 << 20))
    tracemalloc.start()
    try:
        unpack(path, tmp_path / "out", settings)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
