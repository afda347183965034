from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from oakmill.conversion.output.compare import Row, compare
from oakmill.conversion.passport import Check, HeldOut, OutputAgreement, Passport
from oakmill.errors import OakmillError, SourceError
from oakmill.settings import Settings

CONFIG: dict[str, Any] = {
    "model": {
        "inputs": [{"name": "image", "dtype": "uint8", "shape": [1, 3, 8, 8]}],
        "outputs": [{"name": "scores", "dtype": "float16", "shape": [1, 4]}],
    }
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def result(folder: Path, *, name: str = "model.rvc2", blob: bytes = b"blob", snr: float = 60.5, **spec: Any) -> Path:
    """A result's archive with its passport and recipe beside it."""
    folder.mkdir()
    recipe = {
        "recipe_version": 1,
        "oakmill": "0.1.0",
        "source": {"name": "model.onnx", "sha256": "s"},
        "spec": {"platform": "rvc2", "seed": 0, **spec},
        "inputs": [{"name": "image", "mean": None}],
        "toolchains": [{"name": "rvc2/openvino-2022.2.0", "digest": "d", "isolation": "none"}],
        "packages": {"onnx": "1.17.0"},
        "artefact": {"name": f"{name}.blob", "sha256": blob.decode()},
    }
    output = OutputAgreement("scores", snr, 0.99, 0.1, "a.png", snr)
    check = Check("float32", "how", (output,), 40, 20)
    passport = Passport("rvc2", HeldOut("photos", ("a.png",)), (check,), vendor_reader={"kind": "blob", "stages": 12})
    (folder / f"{name}.recipe.yaml").write_text(yaml.safe_dump(recipe))
    (folder / f"{name}.passport.json").write_text(json.dumps(passport.as_dict()))
    documents = {"config.json": json.dumps(CONFIG).encode(), "recipe.yaml": yaml.safe_dump(recipe).encode()}
    with tarfile.open(folder / f"{name}.tar.xz", "w:xz") as tar:
        for member, data in {**documents, f"{name}.blob": blob}.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return folder / f"{name}.tar.xz"


def test_equal_results_have_no_line_that_differs(tmp_path: Path, settings: Settings) -> None:
    found = compare(result(tmp_path / "a"), result(tmp_path / "b"), settings)
    assert found.equal
    assert [row for row in found.rows if not row.same and row.section != "size"] == []
    assert Row("accuracy", "float32: scores: snr_db", "60.5", "60.5") in found.rows


def test_each_section_says_what_differs(tmp_path: Path, settings: Settings) -> None:
    a, b = result(tmp_path / "a"), result(tmp_path / "b", blob=b"bulb", snr=50, seed=1, blob_of=6)
    found = compare(a, b, settings)
    assert not found.equal
    assert Row("spec", "seed", "0", "1") in found.rows
    assert Row("accuracy", "float32: scores: snr_db", "60.5", "50") in found.rows
    assert [row.what for row in found.rows if row.section == "files"] == ["archive.tar.xz: model.rvc2.blob"]
    assert [row.what for row in found.rows if row.section == "size"] == ["result"]
    assert json.loads(json.dumps(found.as_dict()))["rows"][0]["section"] == "spec"


@pytest.mark.parametrize("ending", [".tar.xz", ".recipe.yaml", ".passport.json", ""])
def test_a_result_may_be_named_by_any_of_its_files(ending: str, tmp_path: Path, settings: Settings) -> None:
    a = result(tmp_path / "a")
    named = a.with_name(f"model.rvc2{ending}") if ending else a.parent
    found = compare(named, result(tmp_path / "b", seed=1), settings)
    assert Row("spec", "seed", "0", "1") in found.rows
    assert any(row.section == "accuracy" for row in found.rows)


def test_an_archive_alone_is_enough(tmp_path: Path, settings: Settings) -> None:
    a = result(tmp_path / "a")
    for ending in ("recipe.yaml", "passport.json"):
        (a.parent / f"model.rvc2.{ending}").unlink()
    found = compare(a, result(tmp_path / "b", seed=1), settings)
    assert Row("spec", "seed", "0", "1") in found.rows
    assert Row("accuracy", "verdict", "-", "ok") in found.rows


@pytest.mark.parametrize("content", [b"", b"junk", b"\xfd7zXZ\x00junk", b"{}"])
@pytest.mark.parametrize("name", ["x.tar.xz", "x.passport.json", "x.recipe.yaml", "x.blob"])
def test_what_is_no_result_is_refused(content: bytes, name: str, tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / name).write_bytes(content)
    with pytest.raises(OakmillError):
        compare(folder / name, result(tmp_path / "b"), settings)


@pytest.mark.parametrize(("names", "words"), [((), "holds no result"), (("a", "b"), "holds 2 results")])
def test_a_folder_holds_one_result(names: tuple[str, ...], words: str, tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        (folder / f"{name}.recipe.yaml").write_text("x: 1")
    with pytest.raises(SourceError, match=words):
        compare(folder, folder, settings)
    with pytest.raises(SourceError, match="does not exist"):
        compare(folder / "gone", folder, settings)


def test_heads_are_compared_with_their_names(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two archives of one detector, one with 80 names and one with numbers, differed in nothing that was shown."""

    def with_names(folder: Path, *names: str, **metadata: Any) -> Path:
        head = {"parser": "YOLO", "outputs": ["scores"], "metadata": {"classes": [*names], **metadata}}
        model = {**CONFIG["model"], "heads": [head] if names else []}
        monkeypatch.setitem(globals(), "CONFIG", {"model": model})
        return result(folder)

    one = with_names(tmp_path / "a", "person", "cat", conf_threshold=0.5)
    other = with_names(tmp_path / "b", "person", "dog", conf_threshold=0.4)
    fewer, none = with_names(tmp_path / "c", "person", conf_threshold=0.5), with_names(tmp_path / "d")
    differing = [(row.what, row.a, row.b) for row in compare(one, other, settings).rows if "head" in row.what]
    assert differing == [("head 0.metadata.conf_threshold", "0.5", "0.4"), ("head 0.classes.1", "cat", "dog")]
    differing = [(row.what, row.a, row.b) for row in compare(one, fewer, settings).rows if "head" in row.what]
    assert differing == [("head 0.classes", "2: person, cat", "1: person")]
    differing = [(row.what, row.a, row.b) for row in compare(one, none, settings).rows if "head" in row.what]
    assert differing == [("head 0", "YOLO", "-")]
