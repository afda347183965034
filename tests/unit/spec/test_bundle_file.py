"""Bundles come from anywhere: what is not as its manifest says is refused, by name, before anything comes of it."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from oakmill.errors import BadBundle, HashMismatch, OakmillError, OutputError, OutputExists, UnsafeSource
from oakmill.spec import bundle_file
from oakmill.spec.bundle import FILES, MANIFEST, BundledProof, BundledSpeed, Manifest

NET, PASSPORT = b"a network", b'{"passport_version": 3}'
WHEN = "2026-11-30T10:00:00Z"
Change = Callable[[dict[str, Any]], object]
Entry = tuple[zipfile.ZipInfo | str, bytes]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file(data: bytes, name: str, role: str) -> dict[str, Any]:
    return {"name": name, "role": role, "sha256": digest(data), "size": len(data)}


def instance(name: str, parent: str | None = None) -> dict[str, Any]:
    return {
        "id": f"aimi_{name}", "parent": parent, "name": name, "origin": "source", "model_type": "ONNX",
        "created": WHEN, "files": [file(NET, "net.onnx", "model"), file(PASSPORT, "net.passport.json", "passport")],
    }  # fmt: skip


def manifest(change: Change = lambda plain: None) -> dict[str, Any]:
    version = {"version": "0.1.0", "created": WHEN, "instances": [instance("one"), instance("two", "aimi_one")]}
    variant = {"name": "Small", "slug": "small", "versions": [version]}
    plain = {
        "format": "oakmill-bundle", "version": 1, "made": WHEN, "by": "me", "hub": {"url": "http://a"},
        "models": [{"name": "Net", "slug": "net", "created": WHEN, "variants": [variant]}],
        "files": {digest(data): len(data) for data in (NET, PASSPORT)},
    }  # fmt: skip
    change(plain)
    return plain


def entries(plain: Any = None) -> list[Entry]:
    data = plain if isinstance(plain, bytes) else json.dumps(plain or manifest()).encode()
    return [(MANIFEST, data), *((FILES + digest(each), each) for each in (NET, PASSPORT))]


def zipped(found: list[Entry], method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in found:
            archive.writestr(name, data)
    return made.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name)
    found.external_attr = 0o120777 << 16
    return found


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate"):
        return zipped([*entries(), (FILES + digest(NET), NET)])


def overlapping() -> bytes:
    """Two names in the list of contents for the same bytes of the file, as bombs are made."""
    data = bytearray(zipped(entries()))
    places = [place for place in range(len(data)) if data[place : place + 4] == b"PK\1\2"]
    first = struct.unpack_from("<I", data, places[1] + 42)
    struct.pack_into("<I", data, places[2] + 42, *first)
    return bytes(data)


def changed(byte: bytes = b"b network") -> bytes:
    """Other bytes of the same length, with the zip's own check made to fit."""
    return zipped([(name, byte if data == NET else data) for name, data in entries()])


def nested() -> bytes:
    heads = "[" * 100_000 + "]" * 100_000
    return json.dumps(manifest()).replace('"by": "me"', f'"by": {heads}').encode()


def of_instances(plain: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plain["models"][0]["variants"][0]["versions"][0]["instances"]
    return found


def without_file(plain: dict[str, Any]) -> None:
    for item in of_instances(plain):
        item["files"].pop()


HOSTILE: dict[str, tuple[Callable[[], bytes], type[OakmillError], str]] = {
    "no zip": (lambda: b"PK\3\4 nothing", BadBundle, "no bundle"),
    "empty": (lambda: b"", BadBundle, "no bundle"),
    "an empty zip": (lambda: zipped([]), BadBundle, "it is empty"),
    "cut": (lambda: zipped(entries())[:-40], BadBundle, "no bundle"),
    "no manifest": (lambda: zipped(entries()[1:]), BadBundle, "it has no manifest.json"),
    "a file too many": (lambda: zipped([*entries(), ("files/x", b"x")]), UnsafeSource, "does not name"),
    "a name that leads outside": (lambda: zipped([*entries(), ("../../x", b"x")]), UnsafeSource, "does not name"),
    "an absolute name": (lambda: zipped([*entries(), ("/etc/x", b"x")]), UnsafeSource, "does not name"),
    "a link": (
        lambda: zipped([*entries()[:1], (link(FILES + digest(NET)), NET), entries()[2]]), UnsafeSource, "is a link"
    ),
    "a file that comes twice": (twice, UnsafeSource, "comes twice"),
    "one file in another": (overlapping, UnsafeSource, "lies in another file"),
    "packed": (lambda: zipped(entries(), zipfile.ZIP_DEFLATED), UnsafeSource, "is packed"),
    "a bomb": (lambda: zipped([*entries(), ("files/x", bytes(9 << 20))], zipfile.ZIP_LZMA), UnsafeSource, "is packed"),
    "a file is missing": (lambda: zipped(entries()[:2]), BadBundle, "which is not in it"),
    "another length": (lambda: changed(b"a longer network"), BadBundle, "not the 9 that it is to have"),
    "other bytes": (changed, HashMismatch, "has other bytes"),
    "no JSON": (lambda: zipped(entries(b"{")), BadBundle, "cannot be read"),
    "nested without end": (lambda: zipped(entries(nested())), BadBundle, "cannot be read"),
    "parts without end": (
        lambda: zipped(entries(b"[" + b"{}," * 400_000 + b"{}]")), BadBundle, "more than 400000 objects"
    ),
    "a number beyond bounds": (lambda: zipped(entries(b'{"format": 1e999}')), BadBundle, "beyond all bounds"),
    "no number": (lambda: zipped(entries(b'{"format": NaN}')), BadBundle, "NaN is no number"),
    "a number of 5000 digits": (lambda: zipped(entries(b"1" * 5000)), BadBundle, "cannot be read"),
    "another JSON": (lambda: zipped(entries(b"[1]")), BadBundle, "is none of a bundle's"),
}  # fmt: skip
WRONG: dict[str, tuple[Change, str]] = {
    "a newer format": (lambda plain: plain.update(version=2), "a bundle of format 2; this Oakmill reads formats up to"),
    "what is not known": (lambda plain: plain.update(more=1), "is wrong at more"),
    "a zero byte": (lambda plain: plain.update(by="a\0b"), "zero byte"),
    "half a letter": (lambda plain: plain.update(by="\ud800"), "surrogates"),
    "no models": (lambda plain: plain.update(models=[]), "is wrong at models"),
    "a size below zero": (lambda plain: plain["files"].update({digest(NET): -1}), "is wrong at files"),
    "a file that nothing names": (lambda plain: plain["files"].update({"0" * 64: 1}), "does not list the files"),
    "a file that is not listed": (without_file, "does not list the files"),
    "an instance twice": (lambda plain: of_instances(plain)[1].update(id="aimi_one"), "comes twice"),
    "its own parent": (lambda plain: of_instances(plain)[0].update(parent="aimi_two"), "is made from itself"),
    "no such parent": (lambda plain: of_instances(plain)[0].update(parent="aimi_none"), "is not in it"),
    "two models in one": (lambda plain: of_instances(plain)[0]["files"][1].update(role="model"), "has not one file"),
    "two files of one name": (
        lambda plain: of_instances(plain)[0]["files"][1].update(name="net.onnx"), "two files of one name"
    ),
    "a role that is none": (lambda plain: of_instances(plain)[0]["files"][1].update(role="key"), "is wrong at models"),
    "no time": (lambda plain: plain.update(made="2026-11-30T10:00:00"), "is wrong at made"),
}  # fmt: skip


def test_a_bundle_is_read_and_its_manifest_stands_for_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "net.oakbundle"
    path.write_bytes(zipped(entries()))
    seen: list[tuple[int, int]] = []
    found, sha256 = bundle_file.verify(path, told=lambda done, total: seen.append((done, total)))
    assert [item.name for item in found.models[0].instances()] == ["one", "two"]
    assert seen[-1] == (len(NET + PASSPORT), len(NET + PASSPORT))
    assert bundle_file.verify(path, sha256.upper())[0] == found
    with bundle_file.opened(path) as bundle:
        assert b"".join(bundle.stream(digest(NET))) == NET
    with pytest.raises(HashMismatch, match="is another bundle"):
        bundle_file.verify(path, "0" * 64)
    assert bundle_file.parsed(found.as_bytes(), "again") == found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused(name: str, tmp_path: Path) -> None:
    make, kind, words = HOSTILE[name]
    path = tmp_path / "evil.oakbundle"
    path.write_bytes(make())
    with pytest.raises(OakmillError, match=words) as caught:
        bundle_file.verify(path)
    assert type(caught.value) is kind and "evil.oakbundle" in caught.value.message and caught.value.remedy


@pytest.mark.parametrize("name", WRONG)
def test_a_manifest_that_is_wrong_is_refused(name: str, tmp_path: Path) -> None:
    change, words = WRONG[name]
    path = tmp_path / "wrong.oakbundle"
    path.write_bytes(zipped(entries(manifest(change))))
    with pytest.raises(BadBundle, match=words) as caught:
        bundle_file.verify(path)
    assert caught.value.remedy


def test_a_list_of_contents_beyond_reason_is_never_read(tmp_path: Path) -> None:
    """A zip says itself how long its list is, and that is read into memory whole."""
    data = bytearray(zipped(entries()))
    end = data.rindex(b"PK\5\6")
    data[end:end] = bytes(bundle_file.DIRECTORY_BYTES + 1)
    struct.pack_into("<I", data, data.rindex(b"PK\5\6") + 12, bundle_file.DIRECTORY_BYTES + 1)
    path = tmp_path / "long.oakbundle"
    path.write_bytes(data)
    with pytest.raises(UnsafeSource, match="beyond reason"):
        bundle_file.verify(path)


def test_a_file_whose_bytes_change_while_it_is_written_never_gets_its_name(tmp_path: Path) -> None:
    target = tmp_path / "net.oakbundle"
    with pytest.raises(HashMismatch):
        bundle_file.written(target, lambda write: write(changed()))
    with pytest.raises(BadBundle):
        bundle_file.written(target, lambda write: write(zipped(entries())[:100]))
    assert not list(tmp_path.iterdir())
    made, _ = bundle_file.written(target, lambda write: write(zipped(entries())))
    assert isinstance(made, Manifest) and list(tmp_path.iterdir()) == [target]
    with pytest.raises(OutputExists):
        bundle_file.written(target, lambda write: None)
    with pytest.raises(OutputError):
        bundle_file.written(target / "below", lambda write: None)


@pytest.mark.parametrize("said", ["1e999", "-1", "1e10"])
def test_a_figure_that_no_camera_has_is_refused(said: str) -> None:
    """1e999 came in as infinite, was stored as nothing, and the page of the instance was an error from then on."""
    told = f'{{"device": {{"product": "OAK4-D"}}, "when": "2026-01-01", "fps": {said}, "latency_ms": 1}}'
    with pytest.raises(ValidationError, match="fps"):
        BundledSpeed.model_validate(json.loads(told))


def test_a_proofs_number_says_what_it_is() -> None:
    """Any words were taken for it, and the page of the instance, which shows its text, was an error."""
    proof = {"device": {}, "when": "2026-01-01", "verdict": "ok", "sha256": "0" * 64, "accuracy": {"value": 0.5}}
    with pytest.raises(ValidationError, match="text"):
        BundledProof.model_validate(proof)
