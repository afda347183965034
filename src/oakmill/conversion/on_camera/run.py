"""Runs a finished file on an attached camera: its outputs as .npy files, what its heads say drawn into the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from oakmill import devices
from oakmill.conversion.events import Observer, Progress, Stage, unobserved
from oakmill.conversion.on_camera.feed import FRAMES, Asked, Feed, fed
from oakmill.conversion.output import publish
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.face import BOX
from oakmill.conversion.passport.tasks import Seen, Sighting
from oakmill.conversion.verify.infer import Ran, below_name, distinct, written
from oakmill.devices import Benchmark
from oakmill.devices.camera import Identity
from oakmill.settings import Settings

DRAWN = "seen"
"""The folder of the images with what was found drawn in, beside those of the outputs."""


@dataclass(frozen=True)
class RanOn:
    """The camera that ran it, the images, the files of each output, the drawings, and what was seen of each image."""

    device: Identity
    images: tuple[str, ...]
    files: Mapping[str, tuple[Path, ...]]
    drawn: tuple[Path, ...]
    seen: Mapping[str, tuple[Seen, ...]]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "device": self.device.as_dict(),
            "images": list(self.images),
            "files": {name: [str(path) for path in paths] for name, paths in self.files.items()},
            "drawn": [str(path) for path in self.drawn],
            "seen": {image: [asdict(item) for item in found] for image, found in self.seen.items()},
        }


def run(
    given: Path,
    output: Path,
    asked: Asked,
    *,
    settings: Settings,
    observer: Observer = unobserved,
    overwrite: bool = False,
) -> RanOn:
    """Run an NN Archive on a camera.

    Files are OUTPUT/<output's name>/<image's name>.npy, and OUTPUT/seen/<image's name>.png where its heads say boxes or
    classes.

    Raises:
        NotAResult, SourceError: it is no NN Archive that a conversion made, or an image cannot be read.
        DeviceError: there is no camera that can run it, or it fails.
        OutputExists, OutputError: the files are there, or cannot be written.
    """
    progress = Progress(observer)
    with publish.work_folder() as work, progress.stage(Stage.VERIFY), fed(given, asked, work, settings, progress) as it:
        names, seen = it.held_out.names, _Seeing(it, work / DRAWN)
        ran = Ran(it.running.identity.words, names, seen.passed_on(it.running.run(it.samples())))
        files = written(ran, work / "outputs", progress)
        found = {
            name: tuple(publish.publish(below, output / below_name(name), overwrite=overwrite))
            for name, below in files.items()
        }
        drawn = tuple(publish.publish(seen.files, output / DRAWN, overwrite=overwrite)) if seen.files else ()
        return RanOn(it.running.identity, tuple(names), found, drawn, seen.found)


def bench(
    given: Path,
    asked: Asked,
    seconds: float,
    warm_up: float,
    *,
    settings: Settings,
    observer: Observer = unobserved,
) -> Benchmark:
    """How fast a camera runs an NN Archive, on the images or on generated ones. Raises: as `run`."""
    progress = Progress(observer)
    with publish.work_folder() as work, progress.stage(Stage.VERIFY), fed(given, asked, work, settings, progress) as it:
        samples = list(islice(it.samples(), FRAMES))
        progress.doing(f"measuring for {warm_up + seconds:g} s on {it.running.identity.words}")
        return devices.benchmark(it.running, samples, seconds, warm_up)


class _Seeing:
    """Looks at outputs as they go by, and draws what they say into the image."""

    def __init__(self, feed: Feed, folder: Path) -> None:
        self._feed, self._folder = feed, folder
        self.found: dict[str, tuple[Seen, ...]] = {}
        self.files: dict[str, Path] = {}

    def passed_on(self, running: Iterator[Outputs]) -> Iterator[Outputs]:
        """The same outputs."""
        names = self._feed.held_out.names
        for name, stem, outputs in zip(names, distinct(names), running, strict=False):
            sighting = self._feed.reading.seen(outputs)
            if sighting.seen:
                self.found[name] = sighting.seen
                self._draw(name, stem, sighting)
            yield outputs

    def _draw(self, name: str, stem: str, sighting: Sighting) -> None:
        pixels = self._feed.held_out.thumbnails([name]).get(name)
        if pixels is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{stem}.png"
        pictured(pixels, sighting).save(file)
        self.files[file.name] = file


def pictured(pixels: NDArray[np.uint8], sighting: Sighting) -> Image.Image:
    """An image [height, width, 3] in RGB, or [height, width, 1] or [height, width] in gray, with what was seen."""
    gray = pixels.ndim == 3 and pixels.shape[-1] == 1
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if gray else pixels)).convert("RGB")
    draw_seen(image, sighting)
    return image


def draw_seen(image: Image.Image, sighting: Sighting) -> None:
    """Draw boxes with their classes and scores into an image; what has no box, as a class, into its corner."""
    pen, (width, height) = ImageDraw.Draw(image), image.size
    line = 0
    for one in sighting.seen:
        words = f"{one.label} {one.score:.2f}"
        if one.box is None:
            _write(pen, (2, 2 + 11 * line), words)
            line += 1
            continue
        x0, y0, x1, y1 = one.box[0] * width, one.box[1] * height, one.box[2] * width, one.box[3] * height
        if x1 > x0 and y1 > y0:
            pen.rectangle((x0, y0, x1, y1), outline=BOX, width=2)
            _write(pen, (max(x0, 0), max(y0 - 11, 0)), words)


def _write(pen: ImageDraw.ImageDraw, place: tuple[float, float], words: str) -> None:
    """Words on a ground of their own, so that they are read on any image."""
    pen.rectangle(pen.textbbox(place, words), fill=(0, 0, 0))
    pen.text(place, words, fill=BOX)
