from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from oakmill.conversion.output.differences import compare_files, compare_parts, fields
from oakmill.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def superblob(path: Path, patches: Sequence[bytes]) -> Path:
    base = b"base"
    path.write_bytes(struct.pack(">17Q", len(base), *map(len, patches)) + base + b"".join(patches))
    return path


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def where(name: str, a: Path, b: Path, settings: Settings) -> list[str]:
    return [item.where for item in compare_files(name, a, b, settings)]


def test_equal_files_do_not_differ(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert where("x.blob", tmp_path / "a", tmp_path / "b", settings) == []


def test_a_superblob_differs_in_a_patch(tmp_path: Path, settings: Settings) -> None:
    a = superblob(tmp_path / "a", [b"patch"] * 16)
    b = superblob(tmp_path / "b", [b"patch"] * 6 + [b"other"] + [b"patch"] * 9)
    assert where("m.superblob", a, b, settings) == ["m.superblob: patch for 7 SHAVEs"]


def test_a_dlc_differs_in_a_record(tmp_path: Path, settings: Settings) -> None:
    for name, data in (("a", b"1"), ("b", b"2")):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("model", b"same")
            file.writestr("model.params", data)
    assert where("m.dlc", tmp_path / "a", tmp_path / "b", settings) == ["m.dlc: record model.params"]


def test_an_archive_differs_in_a_members_part(tmp_path: Path, settings: Settings) -> None:
    blobs = [superblob(tmp_path / str(n), [bytes([n])] * 16).read_bytes() for n in (1, 2)]
    recipes = [
        b"recipe_version: 1\ntoolchains:\n- isolation: none\n",
        b"recipe_version: 1\ntoolchains:\n- isolation: x\n",
    ]
    a = archive(tmp_path / "a", {"recipe.yaml": recipes[0], "m.superblob": blobs[0], "old.txt": b""})
    b = archive(tmp_path / "b", {"recipe.yaml": recipes[1], "m.superblob": blobs[1]})
    found = compare_files("r.tar.xz", a, b, settings)
    assert found[0].where == "r.tar.xz: recipe.yaml: toolchains.0.isolation"
    assert found[0].volatile and "isolation" in found[0].words
    assert [item.where for item in found[1:3]] == [
        "r.tar.xz: m.superblob: patch for 1 SHAVEs",
        "r.tar.xz: m.superblob: patch for 2 SHAVEs",
    ]
    assert found[-1].after == "not there"


def test_models_under_two_names_are_compared_all_the_same(tmp_path: Path, settings: Settings) -> None:
    a = archive(tmp_path / "a", {"one.blob": b"1", "config.json": b"{}"})
    b = archive(tmp_path / "b", {"two.blob": b"2", "config.json": b"{}"})
    assert where("r.tar.xz", a, b, settings) == ["r.tar.xz: name of the model", "r.tar.xz: model.blob"]


def test_an_archive_packed_otherwise_says_so(tmp_path: Path, settings: Settings) -> None:
    a = archive(tmp_path / "a", {"x": b"1", "y": b"2"})
    b = archive(tmp_path / "b", {"y": b"2", "x": b"1"})
    (found,) = compare_files("r.tar.xz", a, b, settings)
    assert found.before == "the same members"


@pytest.mark.parametrize("name", ["m.superblob", "m.dlc", "m.json", "m.yaml", "m.tar.xz", "m.blob"])
def test_what_is_not_what_its_name_says_differs_as_a_whole(name: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a").write_bytes(b"\x00junk")
    (tmp_path / "b").write_bytes(b"\x00other")
    (found,) = compare_files(name, tmp_path / "a", tmp_path / "b", settings)
    assert found.where.startswith(name)
    assert "sha256" in found.before


def test_documents_differ_by_field() -> None:
    a = {"spec": {"seed": 0, "inputs": [{"name": "x"}]}, "code": "1", "many": [f"{n:030}" for n in range(9)]}
    b = {"spec": {"seed": 1, "inputs": [{"name": "y"}]}, "code": "2", "many": [f"{n:031}" for n in range(9)]}
    found = compare_parts("recipe.yaml", dict(fields(a)), dict(fields(json.loads(json.dumps(b)))))
    assert [item.where.removeprefix("recipe.yaml: ") for item in found] == [
        "spec.seed", "spec.inputs.0.name", "code", "many",
    ]  # fmt: skip
    assert [bool(item.volatile) for item in found] == [False, True, True, False]
    assert found[-1].before.endswith("and 8 more")
