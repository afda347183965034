from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from oakmill.conversion.recipe.read import LARGEST, BadRecipe, portable, read, validated
from oakmill.settings import Settings
from oakmill.spec import Precision, Rvc2Spec, Rvc4Spec
from oakmill.spec.recipe import Recipe, SourceRecord
from tests.conftest import PROJECT
from tests.unit.conversion.preparing import INPUT


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def recipe() -> Recipe:
    digests = ["a" * 64, "b" * 64]
    return Recipe(
        oakmill="0.1.0",
        source=SourceRecord(name="model.onnx", format="onnx", sha256="c" * 64),
        spec=Rvc2Spec(seed=3),
        inputs=[INPUT],
        toolchains=[],
        packages={"onnx": "1.17.0"},
        commands=[],
        images=digests,
        calibration={"sha256": digests, "names": digests},
        artefact={"name": "model.superblob", "sha256": "d" * 64},
    )


def test_a_recipe_comes_back_as_it_was(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe().as_yaml())
    assert read(path, settings) == recipe()


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_an_archive_holds_its_recipe(tmp_path: Path, settings: Settings) -> None:
    path = packed(tmp_path / "model.tar.xz", {"recipe.yaml": recipe().as_yaml().encode()})
    assert read(path, settings) == recipe()


def test_an_archive_of_another_converter_has_none(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(BadRecipe, match=r"holds no recipe\.yaml: another converter made it"):
        read(packed(tmp_path / "model.tar.xz", {"config.json": b"{}"}), settings)


BOMB = b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no recipe"),
        (b"recipe_version: [", "not YAML"),
        (b"\xff\xff", "not YAML"),
        (b"- 1", "no recipe"),
        (b"recipe_version: 99\n", "of version 99"),
        (b"oakmill: 1\n", "no recipe_version"),
        (b"recipe_version: 1\n", "oakmill: it is missing"),
        (b"x: !!python/object/apply:os.system ['true']", "not YAML"),
        (BOMB, r"YAML reference \(\*a\)"),
        (b"x: " + b"[" * 5_000, "not YAML"),
        (b"x: " + b"[" * 200_000, "more than 32 times"),
        (b"- " * 200_000, "more than 32 times"),
        (b"\0" * 10, "nor an NN Archive"),
        (b"x" * (LARGEST + 1), "more than 16 MB"),
    ],
)
def test_what_is_no_recipe_is_refused_quickly(content: bytes, words: str, tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(BadRecipe, match=words) as caught:
        read(path, settings)
    assert caught.value.remedy or "holds no" in words
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("name", ["gone.yaml", "."])
def test_a_file_that_is_not_there_is_refused(name: str, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(BadRecipe, match="cannot be read"):
        read(tmp_path / name, settings)


def test_a_field_that_this_oakmill_does_not_know_is_named(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe().as_yaml() + "novelty: 1\n")
    with pytest.raises(BadRecipe, match="novelty"):
        read(path, settings)


def test_a_recipe_holds_no_place_of_this_machine(tmp_path: Path) -> None:
    """A recipe told all its readers the name of a home folder, in quantization_data as it had been typed."""
    spec = Rvc4Spec(
        target_precision=Precision.CUSTOM,
        quantization_data=str(tmp_path / "photos"),
        aimet_encodings=tmp_path / "encodings.json",
        verification_images=tmp_path,
    )
    kept = portable(spec)
    assert isinstance(kept, Rvc4Spec)
    assert (kept.quantization_data, kept.aimet_encodings) == ("photos", Path("encodings.json"))
    assert kept.verification_images is None
    assert str(tmp_path) not in kept.model_dump_json()
    assert portable(Rvc4Spec(quantization_data="photos/")).model_dump()["quantization_data"] == "photos/"


def test_another_users_home_that_nobody_knows_is_a_place_as_any_other() -> None:
    """A folder `~nobody-here/photos` ended a conversion with a RuntimeError once all was computed."""
    kept = portable(Rvc4Spec(quantization_data="~nobody-here/photos"))
    assert kept.model_dump()["quantization_data"] == "~nobody-here/photos"


@pytest.mark.parametrize("platform", ["rvc2", "rvc3", "rvc4"])
def test_a_recipe_of_an_earlier_oakmill_says_what_it_said(platform: str, settings: Settings) -> None:
    path = PROJECT / "tests" / "conversion" / "recipes" / f"{platform}.yaml"
    again = yaml.safe_load(read(path, settings).as_yaml())
    earlier = yaml.safe_load(path.read_text())
    since: dict[str, Any] = {
        "keep_outputs": True,
        "head": None,
        "class_names": [],
        "max_drop": None,
    }  # nothing of it then
    if platform == "rvc4":
        since |= {"no_equalization": True, "no_bias_correction": True, "silu_int16": False}
        since |= {"improve": None, "improve_minutes": 30, "raw_layout": None}
    if platform == "rvc3":
        since |= {"ir_version": "2022.3.2"}
    assert again == {**earlier, "spec": {**earlier["spec"], **since}}
    assert list(again["calibration"]) == list(yaml.safe_load(path.read_text())["calibration"])


def test_an_earlier_accurate_recipe_keeps_its_ranges_of_least_error(settings: Settings) -> None:
    """The mode takes the best of all methods now; a recipe of before recorded `mse` beside the calibration alone."""
    earlier = recipe().model_dump(mode="json")
    earlier["spec"] = Rvc4Spec(target_precision=Precision.INT8_ACCURACY_FOCUSED).model_dump(mode="json")
    for method in ("mse", "best"):
        earlier["calibration"]["method"] = method
        spec = validated(earlier, "recipe.yaml").spec
        assert isinstance(spec, Rvc4Spec)
        assert spec.ranges == method
