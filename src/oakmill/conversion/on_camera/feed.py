"""Opens a finished file on a camera, and the images that it is fed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oakmill import devices
from oakmill.conversion.events import Progress
from oakmill.conversion.images import choose
from oakmill.conversion.images.samples import Images, SampleSet
from oakmill.conversion.passport import choose_tasks
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.tasks import Sighting, Task
from oakmill.conversion.verify import again, trial
from oakmill.conversion.verify.artefact import Artefact, NotAResult, open_artefact
from oakmill.heads.decoders import Size
from oakmill.model.source import Tensor
from oakmill.settings import Settings
from oakmill.spec import Resize
from oakmill.spec.platforms import PLATFORMS

FRAMES = 8
"""Images that a benchmark takes in turn."""


@dataclass(frozen=True)
class Asked:
    """On which images, how many at most and how brought to size; on which camera, by its identifier or address; and
    with how many threads of the network there, None as depthai chooses."""

    images: Path | None = None
    most: int = 64
    resize: Resize | None = None
    camera: str | None = None
    threads: int | None = None


@dataclass
class Reading:
    """What the heads of a file say of its outputs; `size` is height and width of its images."""

    artefact: Artefact
    size: Size | None
    _tasks: tuple[Task, ...] | None = field(default=None)

    def seen(self, outputs: Outputs) -> Sighting:
        """The boxes or classes that the outputs say; nothing of a model whose outputs nobody knows the meaning of."""
        plain = trial.as_trained(outputs, channels_last=_channels_last(self.artefact))
        if self._tasks is None:
            model = self.artefact.config.get("model")
            heads = model.get("heads") if isinstance(model, dict) else None
            self._tasks = choose_tasks.of_image(plain, heads, self.size)
        found = (task.sees(plain) for task in self._tasks if hasattr(task, "sees"))
        return next(found, Sighting(()))


@dataclass(frozen=True)
class Feed:
    """A file that runs on a camera, with the images for it and what its heads say of its outputs."""

    running: devices.Running
    images: Images
    reading: Reading

    @property
    def held_out(self) -> SampleSet:
        """The images."""
        return self.images.held_out

    def samples(self) -> Iterator[dict[str, Any]]:
        """Each image as the file takes it."""
        tensors = tensors_of(self.running)
        return (trial.cast(sample, tensors) for sample in self.held_out)


@contextmanager
def fed(given: Path, asked: Asked, work: Path, settings: Settings, progress: Progress) -> Iterator[Feed]:
    """Open a camera for an NN Archive, and the images; `work` is a folder that may be made.

    Raises:
        NotAResult, SourceError: it is no NN Archive that a conversion made, or an image cannot be read.
        DeviceError: there is no camera that can run it, or it fails.
    """
    artefact = opened(given, work, settings)
    progress.doing("opening the camera")
    with devices.opened(given, asked.camera, asked.threads) as running:
        spec = again.spec_for(artefact, asked.images)
        changed = {"resize": asked.resize or spec.resize, "max_verification_images": asked.most}
        inputs = trial.inputs_of(tensors_of(running), artefact)
        images = choose.choose_test_images(spec.model_copy(update=changed), inputs, progress)
        yield Feed(running, images, Reading(artefact, trial.size_of(inputs)))


def opened(given: Path, work: Path, settings: Settings) -> Artefact:
    """The finished file, which is an NN Archive.

    Raises:
        NotAResult: it is none.
    """
    artefact = open_artefact(given, work, settings)
    if artefact.archive is None:
        raise NotAResult(
            f"{given.name} is a bare file, and a camera takes an NN Archive here", subject=str(given),
            remedy="`oakmill archive` packs it into one",
        )  # fmt: skip
    return artefact


def tensors_of(running: devices.Running) -> tuple[Tensor, ...]:
    """The inputs of what runs, as tensors of a model."""
    return tuple(Tensor(port.name, port.shape, port.dtype) for port in running.model.inputs)


def _channels_last(artefact: Artefact) -> bool:
    return PLATFORMS[artefact.platform].limits.channels_last
