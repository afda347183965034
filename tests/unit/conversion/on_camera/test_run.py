"""What a camera sees, drawn into the image."""

from __future__ import annotations

import numpy as np
from PIL import Image

from oakmill.conversion.on_camera.run import draw_seen
from oakmill.conversion.passport.face import BOX
from oakmill.conversion.passport.tasks import Seen, Sighting


def test_boxes_are_drawn_where_they_are_and_classes_into_the_corner() -> None:
    image = Image.new("RGB", (100, 80), (200, 200, 200))
    boxes = (Seen("dog", 0.9, (0.2, 0.5, 0.6, 0.9)), Seen("nothing", 0.8, (0.7, 0.7, 0.6, 0.6)), Seen("cat", 0.7))
    draw_seen(image, Sighting(boxes))
    assert image.getpixel((20, 60)) == BOX and image.getpixel((59, 60)) == BOX
    assert image.getpixel((40, 60)) == (200, 200, 200)
    corner = np.asarray(image)[:14, :40].reshape(-1, 3)
    assert (corner == 0).all(axis=1).any() and (corner[:, 1] > corner[:, 0] + 100).any()
