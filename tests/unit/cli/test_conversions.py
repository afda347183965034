"""Conversions out of the cache, recipes that are followed, results side by side: the whole command line, on the toy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml

from tests import fakes, in_process
from tests.conversion.conftest import Answer, made_photos, read_answer
from tests.conversion.makers import archive_of, archived, conv_model, saved, two_input_model

Run = Callable[..., Answer]
TO = ("--to", "toy")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with fakes.toys():
        yield fakes.home(tmp_path).home


@pytest.fixture
def run(home: Path) -> Run:
    """Run oakmill with `--json`, with the toy's home."""

    def call(*arguments: str | Path, **variables: str) -> Answer:
        finished = in_process.run(*arguments, "--json", **{"OAKMILL_HOME": str(home), **variables})
        return read_answer(finished.returncode, finished.stdout, finished.stderr)

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved(conv_model(), tmp_path / "model.onnx")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return made_photos(new(tmp_path / "photos"), 10)


def new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def int8(photos: Path) -> tuple[str | Path, ...]:
    return (*TO, "--target-precision", "INT8_STANDARD", "--quantization-data", photos)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def reused(answer: Answer) -> list[str]:
    """The stages that came from the cache."""
    told = (note for note in answer.result["notes"] if note.startswith("reused from the cache: "))
    return [note.removeprefix("reused from the cache: ") for note in told]


def test_a_conversion_made_twice_has_the_same_bytes_with_and_without_the_cache(
    run: Run, home: Path, model: Path, photos: Path, tmp_path: Path
) -> None:
    first, second, cached = (tmp_path / name for name in ("first", "second", "cached"))
    answers = [run("convert", model, *int8(photos), "--no-cache", "-o", folder) for folder in (first, second)]
    assert [answer.exit_code for answer in answers] == [0, 0], answers[0].error or answers[1].error
    assert not (home / "cache").exists()
    assert contents(first) == contents(second)
    run("convert", model, *int8(photos), "-o", tmp_path / "filling")
    hit = run("convert", model, *int8(photos), "-o", cached)
    assert hit.result["cache"]["hit"] is True
    assert hit.events == []
    assert contents(cached) == contents(first)


def test_an_answer_says_what_the_first_one_said(run: Run, model: Path, tmp_path: Path) -> None:
    options = (*TO, "--mean-values", "0.5")  # a mean that looks wrong
    first = run("convert", model, *options, "-o", tmp_path / "a")
    hit = run("convert", model, *options, "-o", tmp_path / "b")
    assert first.result["cache"] == {"hit": False}
    assert hit.result["cache"]["made_by"] == f"the conversion of {model.name} to TOY"
    for key in ("sha256", "verdict", "passport", "notes", "warnings", "seconds"):
        assert hit.result[key] == first.result[key]
    assert hit.result["warnings"]
    taken = run("convert", model, *options, "-o", tmp_path / "b")
    assert (taken.exit_code, taken.error["code"]) == (9, "OutputExists")


def test_changing_what_only_the_compiler_reads_reuses_all_but_it(run: Run, model: Path, tmp_path: Path) -> None:
    run("convert", model, *TO, "--paint", "6", "-o", tmp_path / "six")
    five = run("convert", model, *TO, "--paint", "5", "-o", tmp_path / "five")
    assert reused(five) == ["prepare"]
    fresh = run("convert", model, *TO, "--paint", "5", "--no-cache", "-o", tmp_path / "fresh")
    assert reused(fresh) == []
    assert contents(tmp_path / "five") == contents(tmp_path / "fresh")


def test_changing_the_calibration_set_reuses_the_prepared_graph(
    run: Run, model: Path, photos: Path, tmp_path: Path
) -> None:
    others = made_photos(new(tmp_path / "others"), 6, size=40)
    run("convert", model, *int8(photos), "-o", tmp_path / "a")
    answer = run("convert", model, *int8(others), "-o", tmp_path / "b")
    assert reused(answer) == ["prepare", "compile"]  # other images, the same coarse weights
    renamed = run("convert", model, *int8(others), "--name", "mine", "-o", tmp_path / "c")
    assert reused(renamed) == ["prepare", "compile", "measure"]
    fresh = run("convert", model, *int8(others), "--no-cache", "-o", tmp_path / "d")
    assert fresh.result["sha256"] == answer.result["sha256"]


def test_weights_beside_the_model_and_the_archive_around_it_count(run: Run, tmp_path: Path) -> None:
    """The graph's own file says nothing of either."""
    model = tmp_path / "big.onnx"
    onnx.save(
        conv_model(), model, save_as_external_data=True, location="big.data", size_threshold=0, convert_attribute=True
    )
    run("convert", model, *TO, "-o", tmp_path / "a")
    assert run("convert", model, *TO, "-o", tmp_path / "b").result["cache"]["hit"]
    data = bytearray((tmp_path / "big.data").read_bytes())
    data[2] ^= 1
    (tmp_path / "big.data").write_bytes(data)
    assert not run("convert", model, *TO, "-o", tmp_path / "c").result["cache"]["hit"]

    packed = archived(conv_model(), tmp_path / "model.tar.xz", {"mean": [1, 2, 3], "scale": [1, 1, 1]})
    run("convert", packed, *TO, "-o", tmp_path / "d")
    assert run("convert", packed, *TO, "-o", tmp_path / "e").result["cache"]["hit"]
    archived(conv_model(), packed, {"mean": [3, 2, 1], "scale": [1, 1, 1]})
    assert not run("convert", packed, *TO, "-o", tmp_path / "f").result["cache"]["hit"]


def test_force_makes_everything_anew_and_compares(run: Run, model: Path, tmp_path: Path) -> None:
    alone = run("convert", model, *TO, "--force", "-o", tmp_path / "a")
    assert alone.result["rebuilt"]["same"] is None
    again = run("convert", model, *TO, "--force", "-o", tmp_path / "b")
    assert again.result["rebuilt"]["same"] is True
    assert reused(again) == []
    assert {event["stage"] for event in again.events} >= {"prepare", "compile", "verify"}


def test_a_damaged_cache_is_made_anew(run: Run, home: Path, model: Path, tmp_path: Path) -> None:
    run("convert", model, *TO, "-o", tmp_path / "a")
    for path in (home / "cache").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-7] + b"damaged")
    again = run("convert", model, *TO, "-o", tmp_path / "b")
    assert (again.exit_code, again.result["cache"]["hit"], reused(again)) == (0, False, [])
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert run("convert", model, *TO, "-o", tmp_path / "c").result["cache"]["hit"]


def test_a_small_cache_forgets_what_was_not_used(run: Run, home: Path, tmp_path: Path) -> None:
    for width in range(200, 203):
        wide = saved(conv_model(shape=(1, 3, 16, width)), tmp_path / f"{width}.onnx")
        answer = run("convert", wide, *TO, "-o", tmp_path / "out", OAKMILL_CACHE_MAX_MB="1")
        assert answer.exit_code == 0
    files = [path for path in (home / "cache").rglob("*") if path.is_file()]
    assert 0 < sum(path.stat().st_size for path in files) <= 1 << 20


# parameters


def test_the_instance_name_names_the_result(model: Path, tmp_path: Path, run: Run) -> None:
    answer = run("convert", model, "--name", "My net: v2", *TO, "-o", tmp_path / "out")
    assert Path(answer.result["files"][0]).name == "My_net_v2.tar.xz"
    config = json.loads(archive_of(Path(answer.result["files"][0]))["config.json"])
    assert config["model"]["metadata"]["name"] == "My_net_v2"


def test_a_bare_value_for_two_inputs_is_refused(tmp_path: Path, run: Run) -> None:
    path = saved(two_input_model(), tmp_path / "stereo.onnx")
    answer = run("convert", path, "--mean-values", "1,2,3", *TO, "-o", tmp_path / "out")
    assert (answer.exit_code, answer.error["code"]) == (2, "SpecError")
    assert "left" in answer.error["message"] + answer.error["remedy"], answer.error


def test_an_nn_archive_prefills_the_spec(tmp_path: Path, run: Run) -> None:
    path = archived(
        conv_model(), tmp_path / "small.tar.xz", {"mean": [1, 2, 3], "scale": [4, 5, 6], "dai_type": "RGB888p"}
    )
    answer = run("convert", path, *TO, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    assert any("from the NN Archive" in note for note in answer.result["notes"])
    recipe = yaml.safe_load((tmp_path / "out" / "small.toy.recipe.yaml").read_text())
    (image,) = recipe["inputs"]
    assert (image["mean"], image["scale"]) == ([1, 2, 3], [4, 5, 6])
    assert (image["encoding_from"], image["encoding_to"]) == ("RGB", "BGR")


def test_what_the_archive_says_is_applied_once_even_when_the_user_says_it_too(tmp_path: Path, run: Run) -> None:
    preprocessing = {"mean": [1, 2, 3], "scale": [4, 5, 6], "dai_type": "BGR888p"}
    path = archived(conv_model(), tmp_path / "small.tar.xz", preprocessing)
    said = ["--mean-values", "1,2,3", "--scale-values", "4,5,6", "--encoding-from", "BGR", "--encoding-to", "BGR"]
    digests = set()
    for folder, options in (("prefilled", []), ("both", said)):
        answer = run("convert", path, *options, "--format", "native", *TO, "-o", tmp_path / folder)
        assert answer.exit_code == 0, answer.error
        digests.add(answer.result["sha256"])
    small = saved(conv_model(), tmp_path / "small.onnx")
    bare = run("convert", small, *said, "--format", "native", *TO, "-o", tmp_path / "bare")
    digests.add(bare.result["sha256"])
    assert len(digests) == 1


def test_the_users_value_wins_over_the_archives(tmp_path: Path, run: Run) -> None:
    path = archived(conv_model(), tmp_path / "small.tar.xz", {"mean": [1, 2, 3], "scale": [4, 5, 6]})
    answer = run("convert", path, "--mean-values", "7,8,9", *TO, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    recipe = yaml.safe_load((tmp_path / "out" / "small.toy.recipe.yaml").read_text())
    assert (recipe["inputs"][0]["mean"], recipe["inputs"][0]["scale"]) == ([7, 8, 9], [4, 5, 6])


def test_heads_of_the_archive_are_kept(tmp_path: Path, run: Run) -> None:
    head = {
        "parser": "ClassificationParser",
        "outputs": ["scores"],
        "metadata": {"classes": ["a", "b"], "n_classes": 2, "is_softmax": True},
    }
    path = archived(conv_model(), tmp_path / "small.tar.xz", {}, [head])
    answer = run("convert", path, *TO, "-o", tmp_path / "out")
    assert answer.exit_code == 0, answer.error
    config = json.loads(archive_of(tmp_path / "out" / "small.toy.tar.xz")["config.json"])
    assert config["model"]["heads"][0]["metadata"]["classes"] == ["a", "b"]


# recipes


@pytest.mark.parametrize("given", ["recipe", "archive", "elsewhere"])
def test_a_recipe_gives_the_same_bytes(given: str, run: Run, model: Path, tmp_path: Path) -> None:
    run("convert", model, *TO, "--mean-values", "1,2,3", "-o", tmp_path / "a")
    ending = "tar.xz" if given == "archive" else "recipe.yaml"
    recipe, source = tmp_path / "a" / f"model.toy.{ending}", model
    if given == "elsewhere":  # another folder, another name
        recipe = recipe.rename(new(tmp_path / "moved") / "recipe.yaml")
        source = model.rename(tmp_path / "moved" / "renamed.onnx")
    options = () if given == "elsewhere" else ("--source", source)
    answer = run("replay", recipe, *options, "-o", tmp_path / "b")
    assert (answer.exit_code, answer.result["same"]) == (0, True), answer.error
    assert {item["where"] for item in answer.result["causes"]} <= {
        "recipe.yaml: source.name", "recipe.yaml: source.given", "recipe.yaml: spec.name",
    }  # fmt: skip
    if given != "elsewhere":
        assert answer.result["causes"] == answer.result["places"] == []
        assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_recipe_with_images_gives_the_same_bytes_from_renamed_ones(
    run: Run, model: Path, photos: Path, tmp_path: Path
) -> None:
    run("convert", model, *int8(photos), "-o", tmp_path / "a")
    recipe = tmp_path / "a" / "model.toy.recipe.yaml"
    renamed = new(tmp_path / "renamed")
    for index, path in enumerate(sorted(photos.iterdir())):
        shutil.copyfile(path, renamed / f"{(index * 7) % 10}{path.suffix}")
    data = ("--source", model, "--quantization-data", renamed)
    answer = run("replay", recipe, *data, "-o", tmp_path / "b")
    assert (answer.exit_code, answer.result["same"]) == (0, True), answer.error
    assert all(item["volatile"] for item in answer.result["causes"])
    next(renamed.iterdir()).unlink()
    (renamed / "0.png").unlink(missing_ok=True)
    (renamed / "1.jpg").unlink(missing_ok=True)
    lacking = run("replay", recipe, *data, "-o", tmp_path / "c")
    assert (lacking.exit_code, lacking.error["code"]) == (3, "ReplayInputMissing")
    assert "of the 8 images that calibrated the quantization" in lacking.error["message"]


def test_a_recipe_that_gives_other_bytes_says_where_and_why(run: Run, model: Path, tmp_path: Path) -> None:
    """The recorded result has another colour than its recipe says, as if another compiler had made it."""
    run("convert", model, *TO, "--paint", "3", "-o", tmp_path / "a")
    recipe = tmp_path / "a" / "model.toy.recipe.yaml"
    recorded = yaml.safe_load(recipe.read_text())
    recorded["spec"]["paint"] = 4
    recorded["packages"]["onnxslim"] = "0.0.1"
    recipe.write_text(yaml.safe_dump(recorded))
    answer = run("replay", recipe, "--source", model, "-o", tmp_path / "b")
    assert (answer.exit_code, answer.error["code"]) == (8, "ReplayDiffers")
    assert answer.result["same"] is False
    causes = {item["where"]: item["volatile"] for item in answer.result["causes"]}
    assert causes["recipe.yaml: packages.onnxslim"] == "another version of a package"
    assert "recipe.yaml: commands" in causes
    assert "model.toy.tar.xz: model.toy.toy" in " ".join(item["where"] for item in answer.result["places"])


def test_a_recipe_without_its_source_asks_for_it(run: Run, model: Path, tmp_path: Path) -> None:
    run("convert", model, *TO, "-o", tmp_path / "a")
    model.unlink()
    answer = run("replay", tmp_path / "a" / "model.toy.recipe.yaml", "-o", tmp_path / "b")
    assert (answer.exit_code, answer.error["code"]) == (3, "ReplayInputMissing")
    assert answer.error["remedy"] == "say where it is: --source MODEL"


# side by side


def test_two_results_stand_side_by_side(run: Run, model: Path, tmp_path: Path) -> None:
    for paint, folder in (("6", "a"), ("4", "b")):
        run("convert", model, *TO, "--paint", paint, "-o", tmp_path / folder)
    found = compared(tmp_path / "a", tmp_path / "b")
    differing = {(row["section"], row["what"]): (row["a"], row["b"]) for row in found["rows"] if not row["same"]}
    assert not found["equal"]
    assert differing["spec", "paint"] == ("6", "4")
    assert any(section == "files" and "model.toy" in what for section, what in differing)
    assert not [key for key in differing if key[0] in ("tools", "accuracy")]
    assert {row["section"] for row in found["rows"]} >= {"spec", "size", "graph", "accuracy", "files"}
    assert compared(tmp_path / "a", tmp_path / "a" / "model.toy.passport.json")["equal"]


def compared(a: Path, b: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(in_process.run("compare", a, b, "--json").stdout)
    return found
