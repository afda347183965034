"""The doctor finds by name what makes a set calibrate badly, and is content with photos."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from oakmill.calibration import doctor, generated
from oakmill.calibration.doctor import Diagnosis, Expectation, diagnosis_of, examine
from oakmill.errors import SourceError
from oakmill.findings import Severity
from oakmill.spec import Encoding, Precision
from oakmill.spec.inputs import IMAGENET_MEAN, IMAGENET_SCALE

SHAPE = (1, 3, 224, 224)


def save(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], path: Path) -> Path:
    Image.fromarray(pixels).save(path, compress_level=1)
    return path


def photos(folder: Path, count: int, size: tuple[int, int] = (160, 240)) -> list[Path]:
    """Pictures with a natural one's statistics, each different."""
    folder.mkdir(exist_ok=True)
    made = generated((1, *size, 3), "NHWC", Encoding.RGB, count, 3)
    return [save(tensor[0].astype(np.uint8), folder / f"{index:03}.png") for index, tensor in enumerate(made)]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return photos(tmp_path_factory.mktemp("good") / "photos", 70)


@pytest.fixture(scope="module", autouse=True)
def _looked_at_once() -> Iterator[None]:
    """Most tests examine the same images: each file is opened once for all of them."""
    with mock.patch.object(doctor, "_look", functools.cache(doctor._look)):
        yield


def severities(diagnosis: Diagnosis) -> dict[str, Severity]:
    return {finding.code: finding.severity for finding in diagnosis.findings}


def test_photos_are_fine(good: list[Path]) -> None:
    found = examine(good, Expectation((1, 3, 128, 128), IMAGENET_MEAN, IMAGENET_SCALE))
    assert (found.count, found.examined, found.findings, found.verdict) == (70, 70, (), Severity.OK)
    assert all(60 < value < 190 for value in found.mean)
    assert all(30 < value < 110 for value in found.std)


def test_real_photos_are_fine(shared_data: Path) -> None:
    files = sorted((shared_data / "images" / "imagenet").glob("*.JPEG"))[:100]
    found = examine(files, Expectation(SHAPE, IMAGENET_MEAN, IMAGENET_SCALE))
    assert found.verdict == Severity.OK, found.findings
    np.testing.assert_allclose(found.mean, IMAGENET_MEAN, atol=12)


def test_channels_are_those_of_the_pixels(tmp_path: Path) -> None:
    half = np.zeros((224, 224, 3), np.uint8)
    half[:112] = (200, 100, 50)
    found = examine([save(half, tmp_path / "a.png")])
    assert (found.mean, found.std) == ((100.0, 50.0, 25.0), (100.0, 50.0, 25.0))


@pytest.mark.parametrize(
    ("count", "precision", "severity"),
    [
        (5, Precision.INT8_STANDARD, Severity.ERROR),
        (30, Precision.INT8_STANDARD, Severity.WARNING),
        (64, Precision.INT8_STANDARD, None),
        (64, Precision.INT8_ACCURACY_FOCUSED, Severity.WARNING),
        (50, Precision.INT16_STANDARD, None),
        (1, Precision.FP16_STANDARD, None),
        (1, Precision.CUSTOM, None),
    ],
)
def test_how_many_are_enough_depends_on_the_mode(
    good: list[Path], count: int, precision: Precision, severity: Severity | None
) -> None:
    assert severities(examine(good[:count], Expectation(precision=precision))).get("few") == severity


def test_copies_do_not_count(good: list[Path], tmp_path: Path) -> None:
    copies = [tmp_path / f"copy{index}.png" for index in range(60)]
    for path in copies:
        path.write_bytes(good[0].read_bytes())
    found = severities(examine([*good[:8], *copies]))
    assert found["duplicates"] is Severity.WARNING
    assert found["few"] is Severity.ERROR
    assert "near_duplicates" not in found


def test_frames_of_a_film_look_alike(good: list[Path], tmp_path: Path) -> None:
    frames = []
    for index in range(20):
        with Image.open(good[0]) as image:
            frame = np.asarray(image, np.int16) + np.random.RandomState(index).randint(-4, 5, (160, 240, 3))
        frames.append(save(frame.clip(0, 255).astype(np.uint8), tmp_path / f"{index}.jpg"))
    (finding,) = (item for item in examine([*good, *frames]).findings if item.code == "near_duplicates")
    assert finding.message.startswith("20 of 90 ")
    assert finding.severity is Severity.WARNING


def test_random_pixels_are_called_by_name(good: list[Path], tmp_path: Path) -> None:
    noise = [
        save(np.random.RandomState(index).randint(0, 256, (side, side, 3)).astype(np.uint8), tmp_path / f"{index}.png")
        for index, side in enumerate([32, 64, 128, 224, 256, 300, 512])
    ]
    (finding,) = (item for item in examine(noise).findings if item.code == "random_pixels")
    assert finding.severity is Severity.ERROR
    assert finding.message.startswith("7 of 7 are noise")
    assert "25 points" in finding.message
    assert severities(examine([*good, noise[0]]))["random_pixels"] is Severity.WARNING


def test_blank_small_narrow_and_gray_pictures(good: list[Path], tmp_path: Path) -> None:
    blank = [save(np.full((100, 100, 3), index, np.uint8), tmp_path / f"blank{index}.png") for index in range(2)]
    found = severities(examine([*good, *blank]))
    assert found == {"blank": Severity.NOTE}
    small = photos(tmp_path / "small", 70, (40, 60))
    assert severities(examine(small, Expectation(SHAPE))) == {"small": Severity.WARNING}
    assert severities(examine(small, Expectation((1, 32, 32, 3)))) == {}
    narrow = photos(tmp_path / "narrow", 70, (40, 140))
    assert severities(examine(narrow)) == {"narrow": Severity.WARNING}
    gray = [Image.open(path).convert("L") for path in good]
    paths = [tmp_path / f"gray{index}.png" for index in range(len(gray))]
    for image, path in zip(gray, paths, strict=True):
        image.save(path)
        image.close()
    assert severities(examine(paths)) == {"gray": Severity.WARNING}
    assert severities(examine(paths, Expectation(encoding=Encoding.GRAY))) == {}


def test_damaged_files_are_named(good: list[Path], tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("words")
    cut = tmp_path / "cut.png"
    cut.write_bytes(good[0].read_bytes()[:2000])
    found = examine([*good, tmp_path / "words.jpg", cut, tmp_path / "gone.png"])
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("damaged", Severity.ERROR)
    assert finding.message.startswith("3 of 73 files cannot be used, such as cut.png: it cannot be read as an image")


def test_nothing_to_examine_is_an_error() -> None:
    with pytest.raises(SourceError, match="there are no images"):
        examine([])


def test_only_damaged_files_are_no_crash(tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("words")
    found = examine([tmp_path / "words.jpg"], Expectation(SHAPE, IMAGENET_MEAN, IMAGENET_SCALE))
    assert severities(found).keys() == {"damaged", "few"}
    assert not found.mean


@pytest.mark.parametrize(
    ("mean", "scale", "code", "severity"),
    [
        (IMAGENET_SCALE, IMAGENET_MEAN, "swapped_mean_scale", Severity.ERROR),
        (IMAGENET_SCALE[::-1], IMAGENET_MEAN[::-1], "swapped_mean_scale", Severity.ERROR),
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "scale_255_missing", Severity.ERROR),
        ((0.5,), (0.5,), "scale_255_missing", Severity.ERROR),
        ((0.485, 0.456, 0.406), None, "scale_255_missing", Severity.ERROR),
        (None, (1 / 255,), "scale_multiplies", Severity.ERROR),
        (IMAGENET_MEAN[::-1], IMAGENET_SCALE[::-1], "mean_order", Severity.WARNING),
        ((255.0,) * 3, None, "mean_far", Severity.WARNING),
        (IMAGENET_MEAN, (2.0,) * 3, "scale_far", Severity.WARNING),
        (IMAGENET_MEAN, (5000.0,) * 3, "scale_far", Severity.WARNING),
    ],
)
def test_wrong_mean_and_scale_are_called_by_name(
    good: list[Path],
    mean: tuple[float, ...] | None,
    scale: tuple[float, ...] | None,
    code: str,
    severity: Severity,
) -> None:
    assert severities(examine(good, Expectation((1, 3, 128, 128), mean, scale))) == {code: severity}


@pytest.mark.parametrize(
    ("mean", "scale"),
    [
        (None, None),
        ((0.0,), (1.0,)),
        ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
        ((127.5,), (127.5,)),
        ((127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
        ((117.0,), (1.0,)),
        ((117.0,), None),
        (IMAGENET_MEAN, IMAGENET_SCALE),
    ],
)
def test_usual_mean_and_scale_are_fine(
    good: list[Path], mean: tuple[float, ...] | None, scale: tuple[float, ...] | None
) -> None:
    assert examine(good, Expectation((1, 3, 128, 128), mean, scale)).findings == ()


def test_the_order_of_mean_is_that_of_the_model(good: list[Path]) -> None:
    backwards = Expectation(None, IMAGENET_MEAN[::-1], IMAGENET_SCALE[::-1], Encoding.BGR)
    assert examine(good, backwards).findings == ()
    assert examine(good, Expectation(None, (104.0, 117.0, 123.0), None, Encoding.BGR)).findings == ()
    assert severities(examine(good, Expectation(None, IMAGENET_MEAN, None, Encoding.BGR))) == {
        "mean_order": Severity.WARNING
    }


def test_arrays_are_looked_at_too(good: list[Path], tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.npy" for index in range(70)]
    for index, path in enumerate(paths):
        np.save(path, np.random.RandomState(index).standard_normal((1, 3, 4, 4)).astype(np.float32))
    assert examine(paths).findings == ()
    assert severities(examine(paths, Expectation((1, 3, 5, 5)))) == {"array_shape": Severity.ERROR}
    assert severities(examine(paths, Expectation((1, 3, 4, 4), IMAGENET_MEAN, IMAGENET_SCALE))) == {
        "arrays_normalised": Severity.ERROR
    }
    assert severities(examine([*paths, *good]))["mixed"] is Severity.WARNING
    (tmp_path / "x.raw").write_bytes(bytes(48))
    assert "array_shape" not in severities(examine([tmp_path / "x.raw"], Expectation((1, 3, 4, 4))))
    assert "array_shape" in severities(examine([tmp_path / "x.raw"], Expectation((1, 3, 5, 5))))
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    assert "damaged" in severities(examine([tmp_path / "broken.npy"], Expectation((1, 3, 5, 5))))


def test_a_diagnosis_of_before_there_was_one_scale_is_read() -> None:
    earlier = {
        "count": 5,
        "examined": 5,
        "findings": [
            {"level": "red", "code": "few", "message": "5 are few", "remedy": "Give more."},
            {"level": "info", "code": "blank", "message": "1 of 5", "remedy": ""},
        ],
        "mean": [1.0, 2.0, 3.0],
        "std": [],
        "verdict": "red",
    }
    found = diagnosis_of(earlier)
    assert severities(found) == {"few": Severity.ERROR, "blank": Severity.NOTE}
    assert (found.verdict, found.mean) == (Severity.ERROR, (1.0, 2.0, 3.0))
    assert diagnosis_of(json.loads(json.dumps(found.as_dict()))) == found
