"""A finished file looked at again, by the platform that copies: every way in which one stops to be what it was."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper
from PIL import Image

from oakmill.cli.verify import command
from oakmill.conversion.verify import NoLongerHolds, NotAResult, Verified, verify
from oakmill.errors import BrokenModel, SourceError
from oakmill.findings import Severity
from oakmill.settings import Settings
from tests import fakes
from tests.unit.conversion.conftest import Run

Change = Callable[[dict[str, bytes]], None]
SUPERBLOB = bytes(17 * 8) + b"\x7felf" + bytes(48) + (9709).to_bytes(4, "little") + bytes(200)
"""Bytes that begin as a superblob does."""


def changed(archive: Path, change: Change) -> Path:
    """The archive, its members changed."""
    with tarfile.open(archive) as packed:
        members = {item.name: packed.extractfile(item).read() for item in packed.getmembers()}  # type: ignore[union-attr]
    change(members)
    target = archive.with_name("changed.tar.xz")
    with tarfile.open(target, "w:xz") as packed:
        for name, content in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            packed.addfile(item, BytesIO(content))
    return target


def codes(seen: Verified) -> dict[str, Severity]:
    return {finding.code: finding.severity for finding in seen.findings}


def negated(data: bytes) -> bytes:
    """The copy, its kernel of another sign."""
    model = onnx.ModelProto.FromString(data)
    kernel = next(item for item in model.graph.initializer if item.name == "kernel")
    kernel.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(kernel), kernel.name))
    return bytes(model.SerializeToString())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    drawn = np.random.default_rng(1)
    for place in range(6):
        Image.fromarray(drawn.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{place}.png")
    return folder


def test_a_whole_file_holds_and_runs(run: Run, settings: Settings) -> None:
    seen = verify(run().file, settings=settings)
    assert (seen.verdict, seen.findings, seen.platform) == (Severity.OK, (), "toy")
    assert seen.holds == (
        "the bytes are those that the recipe records",
        "toy reader reads it",
        "its documents say of it what the reader finds",
        "it runs, and gives numbers that depend on the image (8: generated images)",
    )


def test_one_image_shows_that_it_runs_and_no_more(run: Run, settings: Settings, tmp_path: Path) -> None:
    """Of one image the numbers were said to depend on the image, also of a file that always gives the same."""
    (tmp_path / "one").mkdir()
    Image.new("RGB", (8, 8), (9, 99, 200)).save(tmp_path / "one" / "a.png")
    seen = verify(run().file, None, tmp_path / "one", settings=settings)
    assert codes(seen) == {"one_image": Severity.NOTE}
    assert seen.verdict is Severity.OK
    assert seen.holds[-1] == "it runs"


def test_a_bare_file_is_known_by_the_recipe_beside_it(run: Run, settings: Settings, tmp_path: Path) -> None:
    file = run(output_format="native", name="mine").file
    assert verify(file, settings=settings).verdict is Severity.OK
    (tmp_path / "out" / "mine.recipe.yaml").unlink()
    with pytest.raises(NotAResult, match="is an ONNX model, and not what a conversion made"):
        verify(file, settings=settings)


def test_with_its_source_it_is_measured_as_the_passport_did(
    run: Run, settings: Settings, model: Path, images: Path
) -> None:
    made = run(inputs=[{"mean_values": [1, 2, 3], "scale_values": [58]}], target_precision="INT8_STANDARD",
               quantization_data=str(images))  # fmt: skip
    seen = verify(made.file, model, images, settings=settings)
    assert seen.passport is not None
    assert len(seen.passport.images.names) == 6
    assert [check.name for check in seen.passport.checks] == [check.name for check in made.passport.checks]
    assert "small.onnx is the model that it was made of" in seen.holds
    # Those that calibrated it do not prove it: convert keeps them apart, and here the user may not.
    assert codes(seen) == {"not_held_out": Severity.WARNING}


def test_what_helps_a_conversion_alone_is_not_told(run: Run, settings: Settings, model: Path) -> None:
    """ "--head classification where that is what it is" was said by `verify`, which has no such option."""
    renamed = onnx.load(model)
    renamed.graph.node[-1].output[0] = renamed.graph.output[0].name = "logits"
    onnx.save(renamed, model)
    made = run()
    assert "head_suggested" in {finding.code for finding in made.passport.findings}
    assert codes(verify(made.file, model, settings=settings)) == {}


def test_other_bytes_are_an_error_whether_or_not_they_can_be_read(run: Run, settings: Settings) -> None:
    """Weights of another sign in a file that opens and runs as before: only its digest knows."""

    def spoil(members: dict[str, bytes]) -> None:
        members["small.toy.toy"] = negated(members["small.toy.toy"])

    seen = verify(changed(run().file, spoil), settings=settings)
    assert codes(seen) == {"bytes_changed": Severity.ERROR}
    with pytest.raises(NoLongerHolds, match="not the bytes that were made") as raised:
        seen.require()
    assert raised.value.exit_code == 8
    assert "copy it anew" in raised.value.remedy


def test_a_changed_file_whose_recipe_was_changed_too_is_found_by_what_it_computes(
    run: Run, settings: Settings, model: Path, images: Path
) -> None:
    def spoil(members: dict[str, bytes]) -> None:
        before = hashlib.sha256(members["small.toy.toy"]).hexdigest()
        members["small.toy.toy"] = negated(members["small.toy.toy"])
        after = hashlib.sha256(members["small.toy.toy"]).hexdigest()
        members["recipe.yaml"] = members["recipe.yaml"].replace(before.encode(), after.encode())

    file = changed(run().file, spoil)
    assert verify(file, settings=settings).verdict is Severity.OK  # nothing says what it should compute
    seen = verify(file, model, images, settings=settings)
    assert codes(seen) == {"does_otherwise": Severity.ERROR}
    assert seen.verdict is Severity.ERROR


def test_a_file_that_cannot_be_read_is_told_with_the_readers_words(run: Run, settings: Settings) -> None:
    def cut(members: dict[str, bytes]) -> None:
        members["small.toy.toy"] = members["small.toy.toy"][:-40]

    seen = verify(changed(run().file, cut), settings=settings)
    assert set(codes(seen)) >= {"bytes_changed", "unreadable"}
    assert all(finding.remedy for finding in seen.findings)


def test_a_file_of_another_platform_is_not_read_as_one_of_this(run: Run, settings: Settings) -> None:
    def swap(members: dict[str, bytes]) -> None:
        members["small.toy.toy"] = SUPERBLOB

    seen = verify(changed(run().file, swap), settings=settings)
    assert codes(seen) == {"other_platform": Severity.ERROR, "bytes_changed": Severity.ERROR}
    assert "a conversion to TOY, and small.toy.toy is a file for RVC2" in seen.reasons[0]


def test_documents_of_another_file_are_told(run: Run, settings: Settings) -> None:
    def rename(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        config["model"]["outputs"][0]["name"] = "boxes"
        config["model"]["inputs"][0]["shape"] = [1, 3, 9, 9]
        members["config.json"] = json.dumps(config).encode()

    seen = verify(changed(run().file, rename), settings=settings)
    assert {finding.code for finding in seen.findings} == {"documents_disagree"}
    assert any("outputs boxes; the file has scores" in reason for reason in seen.reasons)
    assert any("[1, 3, 9, 9]; the file has" in reason for reason in seen.reasons)


def test_damaged_documents_are_told_by_name(run: Run, settings: Settings) -> None:
    def damage(members: dict[str, bytes]) -> None:
        members["buildinfo.json"] = b"{"

    seen = verify(changed(run().file, damage), settings=settings)
    assert [finding.subject for finding in seen.findings] == ["buildinfo.json"]


def test_another_model_is_not_measured(run: Run, settings: Settings, tmp_path: Path, images: Path) -> None:
    other = fakes.model(tmp_path / "other.onnx", seed=7)
    seen = verify(run().file, other, images, settings=settings)
    assert codes(seen) == {"other_source": Severity.ERROR}
    assert seen.passport is None
    assert "is another model than the recipe's small.onnx" in seen.reasons[0]


def test_an_archive_that_is_cut_off_cannot_be_opened(run: Run, settings: Settings) -> None:
    file = run().file
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(BrokenModel, match="damaged or cut off") as raised:
        verify(file, settings=settings)
    assert "convert again" in raised.value.remedy


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"to do\n", "notes.txt is text, and not what a conversion made"),
        ("empty.dlc", b"", "empty.dlc is empty, whatever it is called"),
        ("cut.superblob", bytes(90), "cut.superblob is of no known format, or damaged, whatever it is called"),
        ("model.hef", b"\x01HEF" + bytes(64), "model.hef is an already compiled Hailo HEF, for no camera of ours"),
    ],
)
def test_what_no_conversion_made_is_refused_in_a_sentence(
    settings: Settings, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotAResult) as raised:
        verify(tmp_path / name, settings=settings)
    assert raised.value.message == words
    assert raised.value.remedy
    assert raised.value.exit_code == 3


def test_a_source_model_and_its_archive_are_no_results(settings: Settings, model: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAResult, match=r"small\.onnx is an ONNX model, and not") as raised:
        verify(model, settings=settings)
    assert "--source" in raised.value.remedy
    with tarfile.open(tmp_path / "source.tar.xz", "w:xz") as packed:
        packed.add(model, "small.onnx")
    with pytest.raises(NotAResult, match=r"holds no config\.json that names its model"):
        verify(tmp_path / "source.tar.xz", settings=settings)
    with pytest.raises(SourceError, match="cannot be read"):
        verify(tmp_path / "nothing.dlc", settings=settings)


def test_programs_get_json_and_the_exit_code(run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oakmill.settings.current", lambda: settings)
    file = run().file
    good = CliRunner().invoke(command, [str(file), "--json"])
    assert good.exit_code == 0, good.output
    result = json.loads(good.output.splitlines()[-1])["result"]
    assert (result["verdict"], result["reasons"], result["platform"]) == ("ok", [], "toy")
    assert result["reader"] == {"name": "toy reader", "kind": "toy"}

    def spoil(members: dict[str, bytes]) -> None:
        members["small.toy.toy"] = negated(members["small.toy.toy"])

    bad = CliRunner().invoke(command, [str(changed(file, spoil)), "--json"])
    assert isinstance(bad.exception, NoLongerHolds)
    *_, result_line, error_line = bad.output.splitlines()
    assert [item["code"] for item in json.loads(result_line)["result"]["findings"]] == ["bytes_changed"]
    assert json.loads(error_line)["error"]["exit_code"] == 8
