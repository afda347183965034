"""What calibrates and what tests: images read straight into input tensors, drawn with a seed or generated."""

from oakmill.calibration.images import read_image
from oakmill.calibration.samples import Samples, draw, find_images, from_files, generated, generated_samples

__all__ = [
    "Samples",
    "draw",
    "find_images",
    "from_files",
    "generated",
    "generated_samples",
    "read_image",
]
