from __future__ import annotations

from pathlib import Path

import pytest

from oakmill.conversion.results import Question, Results
from oakmill.errors import OutputExists
from oakmill.settings import Settings
from oakmill.spec import Rvc2Spec

SUMMARY = {"files": ["gone"], "sha256": "x", "verdict": "ok", "cache": {"hit": False}}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "model.data").write_bytes(b"weights")
    return folder / "model.onnx"


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(Settings(home=tmp_path / "home"))


@pytest.fixture
def made(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "made"
    folder.mkdir()
    files = [folder / "model.rvc2.tar.xz", folder / "model.rvc2.recipe.yaml"]
    for path in files:
        path.write_text(path.name)
    return files


def asked(results: Results, model: Path, spec: Rvc2Spec | None = None) -> Question:
    question = results.ask(model, spec or Rvc2Spec())
    assert question is not None
    return question


def kept(results: Results, model: Path, made: list[Path]) -> bool:
    beside = [model.with_suffix(".data")]
    return results.keep(asked(results, model), made, SUMMARY, beside=beside, toolchains=[])


def test_the_same_question_gets_the_files_of_the_first_answer(
    results: Results, model: Path, made: list[Path], tmp_path: Path
) -> None:
    assert results.find(asked(results, model), tmp_path / "out", overwrite=False) is None
    assert kept(results, model, made)
    answer = results.find(asked(results, model), tmp_path / "out", overwrite=False)
    assert answer is not None
    assert answer.files == (tmp_path / "out" / made[0].name, tmp_path / "out" / made[1].name)
    assert [path.read_text() for path in answer.files] == [path.name for path in made]
    assert answer.as_dict()["cache"]["hit"] is True
    assert answer.as_dict()["verdict"] == "ok"
    assert "model.onnx to RVC2" in answer.words


def test_an_answer_overwrites_nothing_unasked(results: Results, model: Path, made: list[Path], tmp_path: Path) -> None:
    kept(results, model, made)
    results.find(asked(results, model), tmp_path / "out", overwrite=False)
    with pytest.raises(OutputExists):
        results.find(asked(results, model), tmp_path / "out", overwrite=False)
    assert results.find(asked(results, model), tmp_path / "out", overwrite=True)


@pytest.mark.parametrize("change", ["model", "beside", "gone", "name", "spec"])
def test_another_question_is_not_answered(
    change: str, results: Results, model: Path, made: list[Path], tmp_path: Path
) -> None:
    kept(results, model, made)
    if change == "model":
        model.write_bytes(b"Graph")
    elif change == "beside":
        model.with_suffix(".data").write_bytes(b"Weights")
    elif change == "gone":
        model.with_suffix(".data").unlink()
    elif change == "name":
        model = model.rename(model.with_name("other.onnx"))
    question = asked(results, model, Rvc2Spec(seed=1) if change == "spec" else None)
    assert results.find(question, tmp_path / "out", overwrite=False) is None


def test_a_model_beside_which_other_weights_lie_has_its_own_answer(
    results: Results, model: Path, made: list[Path], tmp_path: Path
) -> None:
    kept(results, model, made)
    model.with_suffix(".data").write_bytes(b"Weights")
    made[0].write_text("other")
    kept(results, model, made)
    second = results.find(asked(results, model), tmp_path / "second", overwrite=False)
    model.with_suffix(".data").write_bytes(b"weights")
    first = results.find(asked(results, model), tmp_path / "first", overwrite=False)
    assert first is not None and second is not None
    assert (first.files[0].read_text(), second.files[0].read_text()) == (made[0].name, "other")


def test_a_model_that_changed_while_it_was_converted_is_not_kept(
    results: Results, model: Path, made: list[Path], tmp_path: Path
) -> None:
    question = asked(results, model)
    model.write_bytes(b"another")
    assert not results.keep(question, made, SUMMARY, beside=[], toolchains=[])
    assert not results.keep(asked(results, model), made, SUMMARY, beside=[tmp_path / "elsewhere"], toolchains=[])


def test_a_damaged_answer_is_none(results: Results, model: Path, made: list[Path], tmp_path: Path) -> None:
    kept(results, model, made)
    (stored,) = (results.settings.home / "cache" / "results").glob(f"*/{made[0].name}")
    stored.write_text("damaged")
    assert results.find(asked(results, model), tmp_path / "out", overwrite=False) is None
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("settings", [{"cache_max_mb": 0}, {"rvc2_libraries": {"2022.3.0": Path("/opt")}}])
def test_nothing_is_asked_where_nothing_is_kept(settings: dict[str, object], model: Path, results: Results) -> None:
    assert Results(results.settings.model_copy(update=settings)).ask(model, Rvc2Spec()) is None


def test_a_model_that_is_not_there_is_left_to_the_conversion(results: Results, tmp_path: Path) -> None:
    assert results.ask(tmp_path / "gone.onnx", Rvc2Spec()) is None
