"""A conversion from end to end, by a platform that copies: what the pipeline itself does, in milliseconds."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import onnx
import pytest
from onnx import helper

from oakmill.conversion.events import Event, Kind, Stage, stage_of
from oakmill.conversion.pipeline import summary
from oakmill.conversion.recipe import read
from oakmill.errors import BrokenModel, CompileFailed, LimitExceeded, OutputExists, VerificationFailed
from oakmill.settings import Settings
from tests import fakes
from tests.unit.conversion.conftest import Run

DOCUMENTS = ["small.toy.passport.html", "small.toy.passport.json", "small.toy.recipe.yaml", "small.toy.tar.xz"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_conversion_leaves_the_archive_its_passport_and_its_recipe(run: Run, tmp_path: Path) -> None:
    made = run()
    assert names(tmp_path / "out") == DOCUMENTS
    assert made.file.name == "small.toy.tar.xz"
    with tarfile.open(made.file) as archive:
        assert {"config.json", "buildinfo.json", "recipe.yaml", "small.toy.toy"} <= set(archive.getnames())
        artefact = archive.extractfile("small.toy.toy")
        assert artefact is not None
        assert hashlib.sha256(artefact.read()).hexdigest() == made.recipe.artefact["sha256"]
    passport = json.loads((tmp_path / "out" / "small.toy.passport.json").read_text())
    assert passport["verdict"] == made.passport.verdict
    assert passport["vendor_reader"] == {"name": "toy reader", "kind": "toy"}
    assert passport["cost"]["multiply_adds"] == made.passport.cost.multiply_adds > 0  # type: ignore[union-attr]


def test_the_bare_file_is_the_artefact_alone(run: Run, tmp_path: Path) -> None:
    made = run(output_format="native", name="mine", paint=3)
    assert names(tmp_path / "out") == ["mine.passport.html", "mine.passport.json", "mine.recipe.yaml", "mine.toy"]
    assert hashlib.sha256(made.file.read_bytes()).hexdigest() == made.recipe.artefact["sha256"]
    assert [prop.value for prop in onnx.load(made.file).metadata_props] == ["3"]


def test_the_recipe_says_what_was_asked_and_what_took_part(run: Run, settings: Settings, tmp_path: Path) -> None:
    run(paint=2, toy_args=("--gloss", "two words"), inputs=[{"mean_values": [1, 2, 3]}])
    recipe = read.read(tmp_path / "out" / "small.toy.recipe.yaml", settings)
    assert isinstance(recipe.spec, fakes.ToySpec)
    assert recipe.spec.paint == 2
    assert recipe.inputs[0].mean == (1.0, 2.0, 3.0)
    assert [tool.name for tool in recipe.toolchains] == ["toy/copier-1.0"]
    assert recipe.commands == ["copier --paint 2 --gloss 'two words' -o small.toy.toy"]
    assert recipe.source.sha256 == hashlib.sha256((tmp_path / "small.onnx").read_bytes()).hexdigest()


def test_stages_are_told_in_order(run: Run) -> None:
    seen: list[Event] = []
    run(observer=seen.append)
    started = [event.stage for event in seen if event.kind is Kind.STARTED]
    assert started == [
        Stage.INSPECT, Stage.PREFLIGHT, Stage.PREPARE, Stage.COMPILE, Stage.PACKAGE, Stage.VERIFY,
    ]  # fmt: skip
    assert [event.stage for event in seen if event.kind is Kind.FINISHED] == started


def test_a_name_that_is_taken_is_refused_before_any_work(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / DOCUMENTS[1]).write_text("mine")
    with pytest.raises(OutputExists):
        run()
    assert names(tmp_path / "out") == [DOCUMENTS[1]]
    assert fakes.Toy.ran == []
    run(overwrite=True)
    assert names(tmp_path / "out") == DOCUMENTS


def test_a_failure_names_its_stage_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    with pytest.raises(CompileFailed, match="refuses Relu 'relu'") as caught:
        run(refused="Relu")
    assert stage_of(caught.value) is Stage.COMPILE
    assert names(tmp_path / "out") == []


def test_memory_that_is_not_there_is_told_in_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy's MemoryError reached the user as a traceback, and in the hub as a failure of Oakmill itself."""

    def too_much(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(fakes.Toy, "network", too_much)
    with pytest.raises(LimitExceeded, match="needs more memory than there is"):
        run()


def test_a_file_that_computes_something_else_is_not_handed_out(run: Run, tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed, match="'scores'") as caught:
        run(wrong=True)
    assert stage_of(caught.value) is Stage.VERIFY
    assert names(tmp_path / "out") == []


def test_a_damaged_source_fails_where_it_is_read(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes((tmp_path / "small.onnx").read_bytes()[:-200])
    with pytest.raises(BrokenModel) as caught:
        run(broken)
    assert stage_of(caught.value) in (Stage.INSPECT, Stage.PREFLIGHT)


def test_the_network_ends_where_it_is_asked_to(run: Run) -> None:
    made = run(outputs=["relu"], output_format="native")
    assert [value.name for value in onnx.load(made.file).graph.output] == ["kept"]


def test_the_summary_is_plain_data(run: Run) -> None:
    made = run()
    found = json.loads(json.dumps(summary(made)))
    assert found["sha256"] == hashlib.sha256(made.file.read_bytes()).hexdigest()
    assert found["verdict"] == "ok"
    assert found["cache"] == {"hit": False}
    assert set(found["seconds"]) == {"inspect", "preflight", "prepare", "compile", "package", "verify"}


def test_an_archives_values_prefill_what_is_asked(run: Run, tmp_path: Path) -> None:
    given = {"mean": [1.0, 2.0, 3.0], "scale": [4.0, 5.0, 6.0], "reverse_channels": False}
    config = {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": "small", "path": "small.onnx", "precision": "float32"},
            "inputs": [
                {
                    "name": "image", "dtype": "float32", "input_type": "image", "shape": [1, 3, 8, 8],
                    "layout": "NCHW", "preprocessing": given,
                }
            ],
            "outputs": [{"name": "scores", "dtype": "float32"}],
            "heads": [],
        },
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    with tarfile.open(tmp_path / "packed.tar.xz", "w:xz") as archive:
        for name in ("config.json", "small.onnx"):
            archive.add(tmp_path / name, name)
    made = run(tmp_path / "packed.tar.xz", inputs=[{"mean_values": [7, 7, 7]}])
    assert made.file.name == "packed.toy.tar.xz"
    assert made.recipe.inputs[0].mean == (7.0, 7.0, 7.0)
    assert made.recipe.inputs[0].scale == (4.0, 5.0, 6.0)
    (note,) = (note for note in made.progress.notes if note.startswith("from the NN Archive"))
    assert "image.scale_values" in note
    assert "image.mean_values" not in note


def test_a_node_that_nobody_can_run_is_refused_only_where_a_table_speaks(run: Run, tmp_path: Path) -> None:
    """The toy's compiler was never measured: its preflight lets everything pass, and the proof finds it."""
    model = onnx.load(tmp_path / "small.onnx")
    model.graph.node[1].CopyFrom(helper.make_node("Softplus", ["features"], ["kept"], "soft"))
    onnx.save(model, tmp_path / "soft.onnx")
    assert run(tmp_path / "soft.onnx").passport.verdict == "ok"
