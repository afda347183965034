"""What calibrated a quantization is looked at by the passport, as by the doctor of sets.

Black, blurred and pale sets gave an ok verdict, measured on images of the same kind: on photos the converted model was
right in 3 to 38 %. Nobody had run the doctor, who knew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from oakmill.conversion.events import Progress
from oakmill.conversion.images.choose import choose
from oakmill.conversion.passport.preprocessing_checks import of_calibration_images
from oakmill.findings import Severity
from oakmill.settings import Settings
from oakmill.spec import Rvc4Spec
from tests.unit.conversion.preparing import classifier, photos, prepared

COUNT = 80
Change = Callable[[Image.Image], Image.Image]


def black(image: Image.Image) -> Image.Image:
    """Black but for one pixel, so that no two files are the same."""
    found = Image.new("RGB", image.size)
    found.putpixel((0, 0), image.resize((1, 1)).getpixel((0, 0)))  # type: ignore[arg-type]
    return found


def pale(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(image) * 0.1 + 100).astype(np.uint8))


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(4))


def found(folder: Path, tmp_path: Path) -> dict[str, Severity]:
    made, spec = prepared(classifier()), Rvc4Spec(quantization_data=str(folder))
    (tmp_path / "work").mkdir()
    images = choose(spec, made.boundary, tmp_path / "work", Settings(home=tmp_path / "home"), Progress())
    return {finding.code: finding.severity for finding in of_calibration_images(made, images)}


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        (black, "calibration_blank", Severity.ERROR),
        (pale, "calibration_pale", Severity.WARNING),
        (blurred, "calibration_blurred", Severity.WARNING),
    ],
)
def test_images_that_show_little_are_told(change: Change, code: str, severity: Severity, tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", COUNT, size=96)
    for file in folder.iterdir():
        change(Image.open(file).convert("RGB")).save(file)
    assert found(folder, tmp_path)[code] is severity


def test_enough_images_of_content_are_fit(tmp_path: Path) -> None:
    assert found(photos(tmp_path / "photos", 81, size=96), tmp_path) == {}


def test_few_different_images_are_told(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 8, size=96)
    for index in range(60):
        (folder / f"copy{index}.png").write_bytes((folder / "000.png").read_bytes())
    assert found(folder, tmp_path) == {"calibration_few": Severity.WARNING}
