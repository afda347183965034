"""Runs a finished file on what an attached camera sees: what its heads say is told as it comes, and drawn."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oakmill import devices
from oakmill.conversion.events import Observer, Progress, Stage, unobserved
from oakmill.conversion.on_camera.feed import Asked, Reading, opened, tensors_of
from oakmill.conversion.on_camera.run import DRAWN, pictured
from oakmill.conversion.output import publish
from oakmill.conversion.passport.tasks import Seen
from oakmill.conversion.verify import again, trial
from oakmill.devices.camera import Identity
from oakmill.devices.looking import Frame
from oakmill.files import private_folder
from oakmill.settings import Settings
from oakmill.spec import Resize

CAMERA = "camera"
"""The word that names the camera's own sensor where images are named."""
FITS = {Resize.STRETCH: devices.Fit.STRETCH, Resize.CROP: devices.Fit.CROP, Resize.PAD: devices.Fit.PAD}
TOLD = 4
"""Things on a frame that are told while it goes on."""


@dataclass(frozen=True)
class Looked:
    """The camera that looked, its frames with what was drawn into them, and what was seen on each that shows any."""

    device: Identity
    frames: tuple[Path, ...]
    seen: dict[str, tuple[Seen, ...]]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "device": self.device.as_dict(),
            "frames": [str(path) for path in self.frames],
            "seen": {frame: [asdict(item) for item in found] for frame, found in self.seen.items()},
        }


def look(
    given: Path,
    output: Path,
    asked: Asked,
    *,
    settings: Settings,
    observer: Observer = unobserved,
    overwrite: bool = False,
) -> Looked:
    """Run an NN Archive on what a camera sees, for so many frames, or until somebody interrupts it (KeyboardInterrupt).

    Files are OUTPUT/seen/frame-00001.png. Of an interrupted look all frames until then are kept.

    Raises:
        NotAResult, SourceError: it is no NN Archive that a conversion made.
        DeviceError: there is no camera that can run it, or it fails; WrongDevice, where it takes no frames.
        KeyboardInterrupt: it was interrupted before the first frame.
        OutputExists, OutputError: the files are there, or cannot be written.
    """
    progress = Progress(observer)
    publish.require_free(output / DRAWN, [f"{_name(1)}.png"], overwrite=overwrite)
    with publish.work_folder() as work, progress.stage(Stage.VERIFY):
        artefact = opened(given, work, settings)
        progress.doing("opening the camera")
        fit = FITS[asked.resize or again.spec_for(artefact, None).resize]
        with devices.looking(given, asked.camera, asked.threads, fit) as running:
            inputs = trial.inputs_of(tensors_of(running), artefact)
            kept = _Kept(Reading(artefact, trial.size_of(inputs)), work / DRAWN, progress)
            with suppress(_Enough):
                kept.follow(running, asked.most)
        frames = publish.publish(kept.files, output / DRAWN, overwrite=overwrite)
        return Looked(running.identity, tuple(frames), kept.seen)


def _name(number: int) -> str:
    return f"frame-{number:05}"


class _Enough(Exception):
    """Somebody has seen enough."""


class _Kept:
    """Frames on their way into a folder."""

    def __init__(self, reading: Reading, folder: Path, progress: Progress) -> None:
        self._reading, self._folder, self._progress = reading, private_folder(folder), progress
        self.files: dict[str, Path] = {}
        self.seen: dict[str, tuple[Seen, ...]] = {}

    def follow(self, running: devices.Looking, most: int) -> None:
        """Keep so many frames.

        Raises:
            _Enough: it was interrupted, after the first.
        """
        try:
            while len(self.files) < most:
                self._keep(running.look())
        except KeyboardInterrupt:
            if not self.files:
                raise
            raise _Enough from None

    def _keep(self, frame: Frame) -> None:
        name = _name(len(self.files) + 1)
        sighting = self._reading.seen(frame.outputs)
        file = self._folder / f"{name}.png"
        pictured(frame.pixels, sighting).save(file, compress_level=1)
        self.files[file.name] = file
        if sighting.seen:
            self.seen[name] = sighting.seen
        told = ", ".join(f"{one.label} {one.score:.2f}" for one in sighting.seen[:TOLD])
        self._progress.doing(f"{name}: {told or 'nothing seen'}", len(self.files))
