"""What looks alike counts once: copies, and frames of a film."""

from __future__ import annotations

import numpy as np

from oakmill.calibration import generated
from oakmill.calibration.likeness import Album, thumbnail
from oakmill.spec import Encoding


def test_a_copy_that_is_a_little_brighter_is_no_other_image() -> None:
    images = [image[..., 0] for image in generated((48, 64, 3), "HWC", Encoding.RGB, 12, 0)]
    album = Album()
    assert all(album.takes(thumbnail(image)) for image in images)
    assert not any(album.takes(thumbnail(image * 0.99 + 2)) for image in images)


def test_images_of_one_colour_are_one() -> None:
    album = Album()
    assert [album.takes(thumbnail(np.full((5, 5), level))) for level in (0, 0, 2, 200)] == [True, False, False, True]
