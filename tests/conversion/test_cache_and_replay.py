"""Conversions out of the cache, recipes that are followed, results side by side: what only real tools show.

The rest is in `tests/unit/cli/test_conversions.py`, on a platform that is faked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from oakmill.toolchains.rvc4.toolchain import Rvc4Toolchain
from tests import in_process
from tests.conversion.conftest import Answer, command, made_photos, one_format, own_home, read_answer
from tests.conversion.makers import conv_model, saved

Run = Callable[..., Answer]
FIRST_IMAGES = ("--proof-images", "1")


@pytest.fixture
def run(tmp_path: Path, temporary: Path) -> Run:
    """Run oakmill with `--json`, with a home of its own that holds the user's toolchains."""
    home = own_home(tmp_path)

    def call(*arguments: str | Path, **variables: str) -> Answer:
        variables = {"TMPDIR": str(temporary), "OAKMILL_HOME": str(home), **variables}
        finished = in_process.run(*arguments, "--json", **variables)
        return read_answer(finished.returncode, finished.stdout, finished.stderr)

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return saved(conv_model(), tmp_path / "model.onnx")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def reused(answer: Answer) -> list[str]:
    """The stages that came from the cache."""
    told = (note for note in answer.result["notes"] if note.startswith("reused from the cache: "))
    return [note.removeprefix("reused from the cache: ") for note in told]


def platform_options(platform: str, photos: Path) -> tuple[str | Path, ...]:
    return ("--to", platform) + (
        one_format(("--quantization-data", photos, *FIRST_IMAGES)) if platform == "rvc4" else ()
    )


@pytest.mark.parametrize("platform", ["rvc2", "rvc4"])
def test_a_conversion_made_twice_has_the_same_bytes_with_and_without_the_cache(
    platform: str, run: Run, model: Path, photos: Path, tmp_path: Path, rvc4_toolchain: Rvc4Toolchain
) -> None:
    options = platform_options(platform, photos)
    first, second, cached = (tmp_path / name for name in ("first", "second", "cached"))
    answers = [run("convert", model, *options, "--no-cache", "-o", folder) for folder in (first, second)]
    assert [answer.exit_code for answer in answers] == [0, 0], answers[0].error or answers[1].error
    assert not (tmp_path / "home" / "cache").exists()
    assert contents(first) == contents(second)
    run("convert", model, *options, "-o", tmp_path / "filling")
    hit = run("convert", model, *options, "-o", cached)
    assert hit.result["cache"]["hit"] is True
    assert hit.events == []
    assert contents(cached) == contents(first)


def test_changing_the_shaves_reuses_all_but_the_compiler(run: Run, model: Path, tmp_path: Path) -> None:
    options = ("--to", "rvc2", "--blob")
    run("convert", model, *options, "--shaves", "6", "-o", tmp_path / "six")
    five = run("convert", model, *options, "--shaves", "5", "-o", tmp_path / "five")
    assert reused(five) == ["prepare", "measure"]
    fresh = run("convert", model, *options, "--shaves", "5", "--no-cache", "-o", tmp_path / "fresh")
    assert reused(fresh) == []
    assert contents(tmp_path / "five") == contents(tmp_path / "fresh")


def test_changing_the_calibration_set_reuses_the_prepared_graph(
    run: Run, model: Path, photos: Path, tmp_path: Path, rvc4_toolchain: Rvc4Toolchain
) -> None:
    (tmp_path / "others").mkdir()
    others = made_photos(tmp_path / "others", 6, size=40)
    run("convert", model, *platform_options("rvc4", photos), "-o", tmp_path / "a")
    answer = run("convert", model, *platform_options("rvc4", others), "-o", tmp_path / "b")
    assert reused(answer) == ["prepare"]
    renamed = run("convert", model, *platform_options("rvc4", others), "--name", "mine", "-o", tmp_path / "c")
    assert reused(renamed) == ["prepare", "compile", "measure"]
    fresh = run("convert", model, *platform_options("rvc4", others), "--no-cache", "-o", tmp_path / "d")
    assert fresh.result["sha256"] == answer.result["sha256"]


def test_two_at_once_and_one_killed_leave_a_cache_that_answers_rightly(
    run: Run, model: Path, tmp_path: Path, temporary: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(temporary), "OAKMILL_HOME": str(own_home(tmp_path))}  # noqa: TID251
    processes = [
        subprocess.Popen(
            command("convert", model, "--to", "rvc2", "--json", "-o", tmp_path / str(number)),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for number in range(3)
    ]  # fmt: skip
    killed = processes.pop()
    cache = tmp_path / "home" / "cache" / "prepare"
    while not (cache.is_dir() and list(cache.iterdir())) and killed.poll() is None:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    answers = [read_answer(process.wait(), *process.communicate(timeout=120)) for process in processes]
    assert [answer.exit_code for answer in answers] == [0, 0]
    for left in temporary.iterdir():  # what was killed leaves its temporary files
        shutil.rmtree(left)
    hit = run("convert", model, "--to", "rvc2", "-o", tmp_path / "hit")
    assert hit.result["cache"]["hit"]
    assert contents(tmp_path / "0") == contents(tmp_path / "1") == contents(tmp_path / "hit")


# recipes


def test_a_recipe_gives_the_same_bytes(run: Run, model: Path, tmp_path: Path) -> None:
    run("convert", model, "--to", "rvc2", "--mean-values", "1,2,3", "-o", tmp_path / "a")
    answer = run("replay", tmp_path / "a" / "model.rvc2.tar.xz", "--source", model, "-o", tmp_path / "b")
    assert (answer.exit_code, answer.result["same"]) == (0, True), answer.error
    assert answer.result["causes"] == answer.result["places"] == []
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_recipe_with_images_gives_the_same_bytes_from_renamed_ones(
    run: Run, model: Path, photos: Path, tmp_path: Path, rvc4_toolchain: Rvc4Toolchain
) -> None:
    run("convert", model, *platform_options("rvc4", photos), "-o", tmp_path / "a")
    recipe = tmp_path / "a" / "model.rvc4.recipe.yaml"
    renamed = tmp_path / "renamed"
    renamed.mkdir()
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


@pytest.mark.parametrize("platform", ["rvc2", "rvc3", "rvc4"])
def test_a_recipe_of_an_earlier_oakmill_is_followed(
    platform: str, run: Run, model: Path, tmp_path: Path, rvc3_toolchains: object, rvc4_toolchain: Rvc4Toolchain
) -> None:
    """Nothing that was asked for is lost: where bytes are others, tools or packages are."""
    recipe = shutil.copy(Path(__file__).parent / "recipes" / f"{platform}.yaml", tmp_path)
    (tmp_path / "photos").mkdir()
    for index in range(12):
        ramp = (np.add.outer(np.arange(40), np.arange(40)) * (index + 1)) % 256
        image = Image.fromarray(np.stack([ramp, ramp.T[::-1], 255 - ramp], -1).astype(np.uint8))
        image.save(tmp_path / "photos" / f"{index:02}.bmp")
    done = run("replay", recipe, "-o", tmp_path / "again").result
    causes = {cause["where"].removeprefix("recipe.yaml: "): cause["volatile"] for cause in done["causes"]}
    assert "code" in causes
    tools = {cause for cause in causes if re.fullmatch(r"packages\..*|toolchains\.\d+\.(name|digest)", cause)}
    assert {cause for cause, volatile in causes.items() if not volatile} <= tools
    assert done["same"] or tools


def test_a_recipe_that_gives_other_bytes_says_where_and_why(run: Run, model: Path, tmp_path: Path) -> None:
    """The recorded result has other number formats than its recipe says, as if another compiler had made it."""
    run("convert", model, "--to", "rvc2", "--compile-tool-args", "-op FP32", "-o", tmp_path / "a")
    recipe = tmp_path / "a" / "model.rvc2.recipe.yaml"
    recorded = yaml.safe_load(recipe.read_text())
    recorded["spec"]["compile_tool_args"] = []
    recorded["packages"]["onnxslim"] = "0.0.1"
    recipe.write_text(yaml.safe_dump(recorded))
    answer = run("replay", recipe, "--source", model, "-o", tmp_path / "b")
    assert (answer.exit_code, answer.error["code"]) == (8, "ReplayDiffers")
    assert answer.result["same"] is False
    causes = {item["where"]: item["volatile"] for item in answer.result["causes"]}
    assert causes["recipe.yaml: packages.onnxslim"] == "another version of a package"
    assert "recipe.yaml: commands" in causes
    places = [item["where"] for item in answer.result["places"]]
    assert "model.rvc2.tar.xz: model.rvc2.superblob: base blob" in places


# side by side


def test_two_results_stand_side_by_side(run: Run, model: Path, tmp_path: Path) -> None:
    run("convert", model, "--to", "rvc2", "--blob", "--shaves", "6", "-o", tmp_path / "a")
    run("convert", model, "--to", "rvc2", "--blob", "--shaves", "4", "-o", tmp_path / "b")
    found = compared(tmp_path / "a", tmp_path / "b")
    differing = {(row["section"], row["what"]): (row["a"], row["b"]) for row in found["rows"] if not row["same"]}
    assert not found["equal"]
    assert differing["spec", "number_of_shaves"] == ("6", "4")
    assert ("files", "archive.tar.xz: model.rvc2.blob") in differing
    assert not [key for key in differing if key[0] in ("tools", "accuracy")]
    assert {row["section"] for row in found["rows"]} >= {"spec", "size", "graph", "accuracy", "files"}
    assert compared(tmp_path / "a", tmp_path / "a" / "model.rvc2.passport.json")["equal"]


def compared(a: Path, b: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(in_process.run("compare", a, b, "--json").stdout)
    return found
