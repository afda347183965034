"""DLC files: read whatever the checksums say, written as plain zips, merged, and refused when they are not whole."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from oakmill.errors import UnsupportedModel, VerificationFailed
from oakmill.toolchains.rvc4 import dlc

METADATA = "dlc.metadata2.3.0"
CACHE = {
    "cacheName": "htp.cache.qcs8550.0",
    "socModel": 66,
    "contextMetadata": {"dspArch": 73},
    "buildId": "v2.51.0",
    "graphs": [{"graphBlobInfo": {"vtcmSize": 4, "optimizationLevel": 0}}],
    "timestamp": "2026-11-22 21:52:38 UTC",
}


def metadata(*listed: dict[str, object], time: str = "2026-11-22 21:52:38 UTC") -> bytes:
    content: dict[str, object] = {"header": {"timestamp": time}}
    if listed:
        content["cacheList"] = list(listed)
    return json.dumps(content, indent=4).encode()


def vendor_dlc(path: Path, records: dict[str, bytes], page: str = "") -> Path:
    """As QAIRT writes it: zip64 with all checksums 0; `page` names a record that begins on a page."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            info = zipfile.ZipInfo(name, (1980, 0, 0, 0, 0, 0))
            if name == page:
                start = (archive.fp.tell() if archive.fp else 0) + 30 + len(name) + 20
                info.extra = b"\xfe\xca" + (-(start + 4) % 4096).to_bytes(2, "little") + bytes(-(start + 4) % 4096)
            with archive.open(info, "w", force_zip64=True) as file:
                file.write(content)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            data = data.replace(info.CRC.to_bytes(4, "little"), bytes(4))
    path.write_bytes(data)
    return path


def test_a_file_of_the_vendors_becomes_a_plain_zip(tmp_path: Path) -> None:
    """Python's own zipfile refused the vendor's file for its checksums, and QAIRT 2.36 for being zip64."""
    records = {METADATA: metadata(), "model": b"graph" * 999, "model.params.bin": bytes(range(256)) * 99}
    source = vendor_dlc(tmp_path / "vendor.dlc", records)
    with zipfile.ZipFile(source) as archive, pytest.raises(zipfile.BadZipFile):
        archive.read("model")
    dlc.finish(tmp_path / "plain.dlc", source)
    with zipfile.ZipFile(tmp_path / "plain.dlc") as archive:
        assert archive.testzip() is None
        assert [info.compress_type for info in archive.infolist()] == [zipfile.ZIP_STORED] * 3
        assert not any(info.extra for info in archive.infolist())
        assert archive.read("model") == records["model"]
    assert b"PK\x06\x06" not in (tmp_path / "plain.dlc").read_bytes()  # the end record of zip64
    read = dlc.read(tmp_path / "plain.dlc")
    assert {name: record.read() for name, record in read.items() if name != METADATA} == {
        name: content for name, content in records.items() if name != METADATA
    }


def test_two_compilations_give_the_same_bytes(tmp_path: Path) -> None:
    """Only the time of day in the metadata, and the order of its caches, differed."""
    other = {**CACHE, "cacheName": "htp.cache.sm8650.0"}
    contents = {"model": b"graph", "htp.cache.qcs8550.0": b"1", "htp.cache.sm8650.0": b"2"}
    for number, (listed, time) in enumerate((((CACHE, other), "1"), ((other, CACHE), "2"))):
        source = vendor_dlc(tmp_path / f"{number}.in", {METADATA: metadata(*listed, time=time), **contents})
        dlc.finish(tmp_path / f"{number}.dlc", source)
    assert (tmp_path / "0.dlc").read_bytes() == (tmp_path / "1.dlc").read_bytes()


def test_caches_are_merged_into_the_model_and_begin_on_a_page(tmp_path: Path) -> None:
    model = vendor_dlc(tmp_path / "model.dlc", {METADATA: metadata(), "model": b"graph"})
    cached = {METADATA: metadata(CACHE), "htp.cache.qcs8550.0": b"prepared"}
    caches = vendor_dlc(tmp_path / "caches.dlc", cached, page="htp.cache.qcs8550.0")
    dlc.finish(tmp_path / "both.dlc", model, caches)
    records = dlc.read(tmp_path / "both.dlc")
    assert set(records) == {METADATA, "model", "htp.cache.qcs8550.0"}
    assert records["htp.cache.qcs8550.0"].offset % 4096 == 0
    assert records["htp.cache.qcs8550.0"].read() == b"prepared"
    (cache,) = dlc.caches(records)
    assert (cache.soc_model, cache.arch, cache.bytes, cache.vtcm_mb, cache.build) == (66, 73, 8, 4, "v2.51.0")
    with pytest.raises(VerificationFailed, match="both have a record 'htp"):
        dlc.merge(records, dlc.read(caches))


def test_a_cache_that_is_not_listed_or_not_described_is_an_error(tmp_path: Path) -> None:
    hidden = vendor_dlc(tmp_path / "1.dlc", {METADATA: metadata(), "htp.cache.qcs8550.0": b""})
    with pytest.raises(VerificationFailed, match="does not list"):
        dlc.caches(dlc.read(hidden))
    vague = vendor_dlc(tmp_path / "2.dlc", {METADATA: metadata({"cacheName": "htp.cache.qcs8550.0"}), "model": b""})
    with pytest.raises(VerificationFailed, match="describes a cache without 'graphs'"):
        dlc.caches(dlc.read(vague))
    garbled = vendor_dlc(tmp_path / "3.dlc", {METADATA: b"{", "model": b""})
    with pytest.raises(VerificationFailed, match="not JSON"):
        dlc.caches(dlc.read(garbled))
    old = vendor_dlc(tmp_path / "4.dlc", {"dlc.metadata": b"model-version=1\n", "model": b""})
    assert dlc.caches(dlc.read(old)) == ()


@pytest.mark.parametrize("keep", [0, 10, 100, -1, -100])
def test_a_file_that_ends_early_is_not_whole(tmp_path: Path, keep: int) -> None:
    whole = vendor_dlc(tmp_path / "whole.dlc", {METADATA: metadata(), "model": b"graph" * 99}).read_bytes()
    (tmp_path / "part.dlc").write_bytes(whole[:keep])
    with pytest.raises(VerificationFailed, match=r"part\.dlc is not a whole DLC"):
        dlc.read(tmp_path / "part.dlc")


def test_other_zips_are_not_dlcs(tmp_path: Path) -> None:
    for name, method in (("photos.txt", zipfile.ZIP_STORED), ("model", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(tmp_path / "other.dlc", "w", method) as archive:
            archive.writestr(name, b"content" * 99)
        with pytest.raises(VerificationFailed, match=r"neither a model|is compressed"):
            dlc.read(tmp_path / "other.dlc")
    with pytest.raises(VerificationFailed):
        dlc.read(tmp_path / "missing.dlc")


def test_more_than_4_gb_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    records = {"model.params.bin": dlc.Record("model.params.bin", tmp_path / "none", 0, 5 << 30)}
    with pytest.raises(UnsupportedModel, match=r"5120 MB.*less than 4 GB"):
        dlc.write(records, tmp_path / "huge.dlc")
    assert not list(tmp_path.iterdir())
