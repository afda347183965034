"""Calibration sets through the real command line, in processes of their own, from a real server of files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conversion.conftest import command
from tests.unit.calibration.datasets_server import OpenImages, image_id, published, serving

COUNT = 1024
FITTING = 1300  # pictures with a car, some of them on their side or drawings


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return published(1500, test=900, Car=FITTING, Shelf=700, Pizza=FITTING)


@pytest.fixture
def server(files: dict[str, str]) -> Iterator[OpenImages]:
    with serving(OpenImages(dict(files))) as here:
        yield here


@pytest.fixture
def variables(server: OpenImages, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,  # noqa: TID251
        "OAKMILL_HOME": str(tmp_path / "home"),
        "OAKMILL_DATASETS_SOURCE": server.url,
        "OAKMILL_DATASETS_PICTURES": server.url,
        "no_proxy": "127.0.0.1",
    }


def run(variables: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: TID251, PLW1510 - the test is the user
        command("datasets", *arguments), capture_output=True, text=True, env=variables, timeout=200
    )


def read(variables: dict[str, str], *arguments: str | Path) -> Any:
    finished = run(variables, *arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def state(variables: dict[str, str], name: str) -> str:
    return str(next(item["state"] for item in read(variables, "list") if item["name"] == name))


def begin(variables: dict[str, str], server: OpenImages, pictures: int) -> subprocess.Popen[str]:
    """An installation that has asked for so many pictures."""
    process = subprocess.Popen(
        command("datasets", "install", "driving"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
    )
    end = time.monotonic() + 120
    while server.pictures_asked() < pictures and time.monotonic() < end:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()
    return process


def test_a_named_set_is_installed_listed_shown_and_examined(
    variables: dict[str, str], server: OpenImages, tmp_path: Path
) -> None:
    lost = [f"validation/{image_id(index)}.jpg" for index in range(0, 200, 40)]
    server.faults = {lost[0]: "404", lost[1]: "html", lost[2]: "503", lost[3]: "cut"}
    finished = run(variables, "install", "driving")
    assert finished.returncode == 0, finished.stderr
    assert f"driving: {COUNT} images" in finished.stdout
    assert "by its author under the licence named beside it" in finished.stdout
    assert "fetching validation-annotations-bbox.csv" in finished.stderr
    assert state(variables, "driving") == "installed"
    shown = read(variables, "show", "driving")
    assert shown["images"] == COUNT
    assert shown["authors"] == 7
    assert COUNT * 1.1 < shown["about"]["candidates"] < FITTING
    named = {item["name"] for item in shown["about"]["replaced"]}
    assert named <= set(lost[:2])
    examined = read(variables, "doctor", "driving")
    assert (examined["count"], examined["kind"]) == (COUNT, "named")
    assert "few" not in {item["code"] for item in examined["findings"]}
    assert len(list((tmp_path / "home" / "datasets" / "driving" / "files").iterdir())) == COUNT


def test_a_set_with_too_few_in_one_split_takes_from_both(variables: dict[str, str], server: OpenImages) -> None:
    (record,) = read(variables, "install", "warehouse")
    assert record["images"] == COUNT
    assert server.asked["v5/test-annotations-bbox.csv"] == 1


def test_a_killed_installation_goes_on(variables: dict[str, str], server: OpenImages, tmp_path: Path) -> None:
    server.delay = 0.02
    process = begin(variables, server, 300)
    process.kill()
    process.communicate()
    assert state(variables, "driving") == "incomplete"
    journal = tmp_path / "home" / "datasets" / ".installing-driving" / "journal.jsonl"
    kept = len(journal.read_text().splitlines())
    assert kept > 200
    server.delay = 0.0
    server.asked.clear()
    (record,) = read(variables, "install", "driving")
    assert record["images"] == COUNT
    assert server.pictures_asked() <= COUNT - kept + 1  # the journal's last line may have been cut
    assert not [path for path in server.asked if path.endswith(".csv")]
    whole = read({**variables, "OAKMILL_HOME": str(tmp_path / "other")}, "install", "driving")[0]
    assert whole["sha256"] == record["sha256"]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_ends_an_installation_at_once(
    variables: dict[str, str], server: OpenImages, number: signal.Signals
) -> None:
    server.delay = 0.05
    process = begin(variables, server, 100)
    began = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert time.monotonic() - began < 60
    assert "Traceback" not in errors
    assert state(variables, "driving") == "incomplete"


def test_two_installations_at_once_make_one_set(variables: dict[str, str], server: OpenImages) -> None:
    processes = [
        subprocess.Popen(
            command("datasets", "install", "food", "--json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    first, second = (json.loads(output) for output, _ in answers)
    assert first == second
    assert server.pictures_asked() == COUNT


def test_without_a_network_the_way_out_is_told(variables: dict[str, str], tmp_path: Path) -> None:
    finished = run({**variables, "OAKMILL_DATASETS_SOURCE": "http://127.0.0.1:9"}, "install", "general")
    assert finished.returncode == 3
    assert "http://127.0.0.1:9/2018_04/validation/validation-images-with-rotation.csv could not be" in finished.stderr
    assert "oakmill datasets add NAME FOLDER" in finished.stderr
    assert "Traceback" not in finished.stderr
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "words.jpg").write_text("words")
    refused = run(variables, "add", "mine", photos)
    assert refused.returncode == 3
    assert "words.jpg cannot be read as an image" in refused.stderr


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/oid", "file:///tmp"])
def test_only_http_is_taken_for_a_source(variables: dict[str, str], url: str) -> None:
    finished = run({**variables, "OAKMILL_DATASETS_SOURCE": url}, "install", "general")
    assert finished.returncode != 0
    assert "https?" in finished.stderr


def test_an_own_set_from_real_photos(variables: dict[str, str], shared_data: Path) -> None:
    photos = shared_data / "images" / "coco" / "train2017"
    added = read(variables, "add", "photos", photos)
    assert added["images"] == len(list(photos.iterdir()))
    mean, scale = "123.675,116.28,103.53", "58.395,57.12,57.375"
    good = read(variables, "doctor", "photos", "--shape", "1,3,224,224", "--mean-values", mean, "--scale-values", scale)
    assert good["verdict"] == "ok"
    bad = read(variables, "doctor", "photos", "--mean-values", scale, "--scale-values", mean)
    assert bad["verdict"] == "error"


def test_the_command_starts_without_numpy(variables: dict[str, str]) -> None:
    program = (
        "import sys, oakmill.cli.main, oakmill.cli.datasets; print([m for m in ('numpy', 'PIL') if m in sys.modules])"
    )
    python = command()[0]
    output = subprocess.check_output([python, "-c", program], text=True, env=variables)
    assert output.strip() == "[]"
