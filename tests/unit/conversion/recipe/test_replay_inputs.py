from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from oakmill.calibration.samples import find_images
from oakmill.conversion.images.choose import split
from oakmill.conversion.recipe.replay_inputs import ReplayInputMissing, find_source, with_calibration_images, with_files
from oakmill.model import open_source
from oakmill.settings import Settings
from oakmill.spec import Rvc2Spec, Rvc4Spec
from oakmill.spec.recipe import Recipe, SourceRecord
from tests.unit.conversion.preparing import INPUT, classifier


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def recipe(source: SourceRecord, **more: Any) -> Recipe:
    values: dict[str, Any] = {
        "spec": Rvc2Spec(),
        "inputs": [INPUT],
        "calibration": {},
        "images": [],
        **more,
    }
    return Recipe(
        oakmill="0.1.0",
        source=source,
        toolchains=[],
        packages={},
        commands=[],
        artefact={"name": "model.superblob", "sha256": "0"},
        **values,
    )


# the source


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    path = folder / "model.onnx"
    path.write_bytes(classifier().SerializeToString())
    return path


def of(model: Path, settings: Settings, work: Path) -> Recipe:
    source = open_source(model, work / "source", settings)
    record = SourceRecord(
        name=model.name, format="onnx", sha256=source.sha256, given=model.name, given_sha256=digest(model)
    )
    return recipe(record)


def test_the_source_is_found_beside_the_recipe_by_name(model: Path, settings: Settings, work: Path) -> None:
    found = find_source(of(model, settings, work), model.parent / "recipe.yaml", None, work, settings)
    assert (found.path, found.as_given) == (model, True)


def test_the_source_is_found_under_another_name_by_its_content(model: Path, settings: Settings, work: Path) -> None:
    wanted = of(model, settings, work)
    (model.parent / "junk.onnx").write_bytes(b"junk")
    moved = model.rename(model.with_name("renamed.bin"))
    found = find_source(wanted, model.parent / "recipe.yaml", None, work, settings)
    assert (found.path, found.as_given) == (moved, True)


def test_another_model_of_that_name_is_not_taken(model: Path, settings: Settings, work: Path, tmp_path: Path) -> None:
    wanted = of(model, settings, work)
    model.write_bytes(classifier(size=16).SerializeToString())
    with pytest.raises(ReplayInputMissing, match=r"source model model\.onnx .* is not in") as caught:
        find_source(wanted, model.parent / "recipe.yaml", None, work, settings)
    assert caught.value.remedy == "say where it is: --source MODEL"
    with pytest.raises(ReplayInputMissing, match="is another model"):
        find_source(wanted, tmp_path / "recipe.yaml", model, work, settings)


def test_a_folder_may_be_named(model: Path, settings: Settings, work: Path, tmp_path: Path) -> None:
    wanted = of(model, settings, work)
    assert find_source(wanted, tmp_path / "recipe.yaml", model.parent, work, settings).path == model
    assert not list(work.iterdir())


# the images


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"{index:03}.png").write_bytes(f"picture {index}".encode())
    return folder


def taught(folder: Path, **values: Any) -> Recipe:
    """A recipe that says what a conversion drew from the folder."""
    spec = Rvc4Spec(quantization_data=f"{folder}/", **values)
    parts = split(find_images(folder), spec.max_quantization_images, spec.max_verification_images, spec.seed)
    calibration = {
        "set": folder.name,
        "names": [path.name for path in parts.calibration_images],
        "sha256": [digest(path) for path in parts.calibration_images],
    }
    record = SourceRecord(name="model.onnx", format="onnx", sha256="")
    return recipe(record, spec=spec, calibration=calibration, images=[digest(path) for path in parts.held_out])


def draws(spec: Any) -> tuple[list[str], list[str]]:
    files = find_images(Path(spec.quantization_data))
    parts = split(files, spec.max_quantization_images, spec.max_verification_images, spec.seed)
    return [digest(path) for path in parts.calibration_images], [digest(path) for path in parts.held_out]


SIZES = [
    (1, {}), (2, {}), (3, {}), (14, {}), (40, {"max_quantization_images": 8}),
    (40, {"max_quantization_images": 8, "max_verification_images": 3, "seed": 7}),
    (100, {"max_verification_images": 2}), (60, {"max_quantization_images": 50, "seed": 2**32 - 1}),
]  # fmt: skip


@pytest.mark.parametrize(("count", "values"), SIZES)
def test_images_under_other_names_are_drawn_in_the_recorded_order(
    count: int, values: dict[str, Any], tmp_path: Path, settings: Settings, work: Path
) -> None:
    wanted = taught(pictures(tmp_path / "then", count), **values)
    now = tmp_path / "now" / "deeper"
    now.mkdir(parents=True)
    for index, path in enumerate(sorted((tmp_path / "then").iterdir(), reverse=True)):
        path.rename(now / f"{index % 3}-{index}.png")
    (now / "more.png").write_bytes(b"a picture that was not there then")
    spec = with_calibration_images(wanted, wanted.spec, f"{now.parent}/", tmp_path, work, settings)
    calibration_images, held_out = draws(spec)
    assert calibration_images == list(wanted.calibration.sha256)
    assert held_out == wanted.images or count == 1


@pytest.mark.parametrize(("count", "values"), SIZES)
def test_images_that_were_kept_back_may_be_gone(
    count: int, values: dict[str, Any], tmp_path: Path, settings: Settings, work: Path
) -> None:
    folder = pictures(tmp_path / "then", count)
    wanted = taught(folder, **values)
    for path in sorted(folder.iterdir()):
        if digest(path) not in list(wanted.calibration.sha256):
            path.unlink()
    spec = with_calibration_images(wanted, wanted.spec, None, tmp_path, work, settings)
    assert draws(spec)[0] == list(wanted.calibration.sha256)


def test_the_same_folder_is_taken_as_it_is(tmp_path: Path, settings: Settings, work: Path) -> None:
    wanted = taught(pictures(tmp_path / "then", 14))
    assert with_calibration_images(wanted, wanted.spec, None, tmp_path, work, settings) == wanted.spec


def test_a_folder_beside_the_recipe_is_found(tmp_path: Path, settings: Settings, work: Path) -> None:
    wanted = taught(pictures(tmp_path / "then", 14))
    moved = wanted.spec.model_copy(update={"quantization_data": "then"})
    spec = with_calibration_images(wanted.model_copy(update={"spec": moved}), moved, None, tmp_path, work, settings)
    assert draws(spec)[0] == list(wanted.calibration.sha256)


def test_images_that_are_missing_are_named(tmp_path: Path, settings: Settings, work: Path) -> None:
    folder = pictures(tmp_path / "then", 14)
    wanted = taught(folder)
    name = wanted.calibration.names[3]
    (folder / name).write_bytes(b"changed")
    with pytest.raises(ReplayInputMissing, match=f"1 of the 12 images .* not in 'then': {name}") as caught:
        with_calibration_images(wanted, wanted.spec, None, tmp_path, work, settings)
    assert "--quantization-data" in caught.value.remedy


def test_a_folder_that_is_gone_is_asked_for(tmp_path: Path, settings: Settings, work: Path) -> None:
    wanted = taught(pictures(tmp_path / "then", 14))
    (tmp_path / "then").rename(tmp_path / "moved")
    with pytest.raises(ReplayInputMissing, match="not where they were"):
        with_calibration_images(wanted, wanted.spec, None, tmp_path, work, settings)


def test_a_conversion_that_was_not_taught_needs_no_images(tmp_path: Path, settings: Settings, work: Path) -> None:
    wanted = recipe(SourceRecord(name="model.onnx", format="onnx", sha256=""))
    assert with_calibration_images(wanted, wanted.spec, None, tmp_path, work, settings) == wanted.spec


def test_other_files_are_found_beside_the_recipe_or_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "encodings.json"
    path.write_text("{}")
    spec = Rvc4Spec.model_validate({"target_precision": "CUSTOM", "aimet_encodings": "/gone/encodings.json"})
    record = SourceRecord(name="model.onnx", format="onnx", sha256="")
    wanted = recipe(record, spec=spec, files={"aimet_encodings": digest(path)})
    found: Any = with_files(wanted, spec, tmp_path)
    assert found.aimet_encodings == path
    path.write_text("{ }")
    with pytest.raises(ReplayInputMissing, match=r"encodings\.json .* is not here"):
        with_files(wanted, spec, tmp_path)
