"""The process that measures: which images it takes, and that it says by name what went wrong."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from PIL import Image

from oakmill.agent import child
from oakmill.conversion.events import Progress
from oakmill.settings import Settings
from tests.cameras import archive, attached


def request(folder: Path, **more: Any) -> dict[str, Any]:
    return {"folder": str(folder), "images": None, "set": None, "names": [], **more}


def packed(path: Path, *names: str) -> str:
    image = io.BytesIO()
    Image.new("RGB", (4, 4)).save(image, "PNG")
    with ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, image.getvalue())
    return str(path)


def images(asked: dict[str, Any], tmp_path: Path) -> Path | None:
    return child.images_of(asked, Settings(home=tmp_path / "home"), Progress())


def test_without_any_some_are_generated(tmp_path: Path) -> None:
    assert images(request(tmp_path), tmp_path) is None


def test_those_that_the_passport_names_are_taken_out_of_the_set(tmp_path: Path) -> None:
    given = packed(tmp_path / "set.zip", "0.png", "1.png", "2.png")
    found = images(request(tmp_path, images=given, names=["1.png"]), tmp_path)
    assert found is not None and [path.name for path in found.iterdir()] == ["1.png"]
    everything = images(request(tmp_path, images=given), tmp_path)
    assert everything is not None and len(list(everything.iterdir())) == 3


def test_a_set_that_is_made_when_asked_for_is_made_here(tmp_path: Path) -> None:
    """A conversion may have taken random pixels; the agent's machine has no such set yet."""
    found = images(request(tmp_path, set="random"), tmp_path)
    assert found is not None and any(found.iterdir())


def test_a_failure_is_told_by_its_name(tmp_path: Path) -> None:
    told: list[Any] = []
    given = archive(tmp_path / "tiny.tar.xz")
    asked = request(tmp_path, kind="benchmark", archive=str(given), camera="x", seconds=1, warm_up=0)
    with attached():
        failure = child.done(asked, Settings(home=tmp_path / "home"), told.append)["failure"]
    assert (failure["code"], failure["stage"]) == ("NotAResult", "verify")
    broken = child.done({**asked, "archive": None}, Settings(home=tmp_path / "home"), told.append)["failure"]
    assert broken["code"] == "DeviceError" and "TypeError" in broken["message"]
