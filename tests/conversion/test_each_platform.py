"""One conversion for each platform by the real command line, in a process of its own, and depthai in another."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests import in_process
from tests.conversion.conftest import command, own_home, read_answer
from tests.conversion.makers import conv_model, saved

FILES = {"rvc2": "small.rvc2.tar.xz", "rvc3": "small.rvc3.tar.xz", "rvc4": "small.rvc4.tar.xz"}


@pytest.mark.parametrize("platform", ["rvc2", pytest.param("rvc3", marks=pytest.mark.slow), "rvc4"])
def test_a_process_makes_the_same_bytes_as_the_tests_own(
    platform: str, photos: Path, temporary: Path, tmp_path: Path, rvc3_toolchains: None, rvc4_toolchain: object
) -> None:
    model, variables = saved(conv_model(), tmp_path / "small.onnx"), {"OAKMILL_CACHE_MAX_MB": "0"}
    variables |= {"TMPDIR": str(temporary), "OAKMILL_HOME": str(own_home(tmp_path))}
    images = () if platform == "rvc2" else ("--target-precision", "INT8", "--quantization-data", photos)
    asked = ("convert", model, "--to", platform, *images, "--json", "-o")
    finished = subprocess.run(  # noqa: TID251, PLW1510 - the test is the user
        command(*asked, tmp_path / "process"),
        capture_output=True,
        text=True,
        env={**os.environ, **variables},  # noqa: TID251
        timeout=240,
    )
    answer = read_answer(finished.returncode, finished.stdout, finished.stderr)
    assert answer.exit_code == 0, answer.error
    assert answer.result["verdict"] in ("ok", "warning")
    made = {path.name for path in (tmp_path / "process").iterdir()}
    assert made >= {FILES[platform], f"small.{platform}.passport.json", f"small.{platform}.recipe.yaml"}

    here = in_process.run(*asked, tmp_path / "here", **variables)
    again = read_answer(here.returncode, here.stdout, here.stderr)
    assert again.result["sha256"] == answer.result["sha256"]
    assert again.result["passport"]["vendor_reader"] == answer.result["passport"]["vendor_reader"]
    assert [event["stage"] for event in again.events if event["kind"] == "stage"] == [
        event["stage"] for event in answer.events if event["kind"] == "stage"
    ]

    # A user who got the archive looks at it again, with the model, and with a recipe that speaks of other bytes.
    archive = tmp_path / "here" / FILES[platform]
    look = in_process.run("verify", archive, "--source", model, "--images", photos, "--json", **variables)
    seen = read_answer(look.returncode, look.stdout, look.stderr)
    assert seen.exit_code == 0, seen.result
    assert {finding["code"] for finding in seen.result["findings"]} <= {"not_run", "not_held_out"}
    assert "its documents say of it what the reader finds" in seen.result["holds"]
    assert seen.result["passport"]["verdict"] in ("ok", "warning")
    assert seen.result["passport"]["images"]["count"] == len(list(photos.iterdir()))
    told, found = (item.result["passport"]["cost"] for item in (again, seen))
    assert told["multiply_adds"] > 0
    assert {key: found[key] for key in ("multiply_adds", "units")} == {
        key: told[key] for key in ("multiply_adds", "units")
    }
    look = in_process.run("verify", _spoiled(archive), "--json", **variables)
    spoiled = read_answer(look.returncode, look.stdout, look.stderr)
    assert spoiled.exit_code == 8
    assert "bytes_changed" in {finding["code"] for finding in spoiled.result["findings"]}


def test_another_converters_blob_is_read_and_no_more(shared_data: Path, tmp_path: Path) -> None:
    """A blob of OpenVINO 2021.4 that lay on a camera for years, without a recipe."""
    blob = shared_data / "compiled" / "open-closed-eye-0001_openvino_2021.4_6shave.blob"
    look = in_process.run("verify", blob, "--json", OAKMILL_HOME=str(own_home(tmp_path)))
    seen = read_answer(look.returncode, look.stdout, look.stderr)
    assert seen.exit_code == 0, seen.error
    assert [finding["code"] for finding in seen.result["findings"]] == ["no_recipe", "not_run"]
    assert seen.result["holds"] == ["depthai reads it"]
    assert seen.result["reader"]["shaves"] == 6


def _spoiled(archive: Path) -> Path:
    """The archive, whole, but that its recipe has another digest."""
    with tarfile.open(archive) as packed:
        members = {item.name: packed.extractfile(item).read() for item in packed.getmembers()}  # type: ignore[union-attr]
    recipe = members["recipe.yaml"].decode()
    digest = re.search(r"^artefact:\n.*?sha256: (\w+)", recipe, re.DOTALL | re.MULTILINE)
    assert digest
    members["recipe.yaml"] = recipe.replace(digest[1], "f" * 64).encode()
    target = archive.with_name(f"spoiled.{archive.name}")
    with tarfile.open(target, "w:xz") as packed:
        for name, content in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            packed.addfile(item, io.BytesIO(content))
    return target
