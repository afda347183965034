"""Proves a finished file on a camera: the passport's measurement, with the camera beside what runs on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from oakmill import devices
from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Observer, Progress, Stage, unobserved
from oakmill.conversion.images.samples import Images
from oakmill.conversion.on_camera.feed import FRAMES, Asked, opened, tensors_of
from oakmill.conversion.output import publish
from oakmill.conversion.passport import QUANTIZED, thumbnails
from oakmill.conversion.passport.agreement import Outputs
from oakmill.conversion.passport.measure import Method, Subject, by_toolchain
from oakmill.conversion.passport.report import MeasuredOn, Passport
from oakmill.conversion.verify import Verified, trial
from oakmill.conversion.verify.again import Look
from oakmill.devices.camera import Identity
from oakmill.errors import SpecError
from oakmill.findings import Severity
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec

NAME = "camera"
STILL_OPEN = ("power on the device was not measured",)
"""What such a proof leaves open."""


@dataclass(frozen=True)
class Proved:
    """What was seen of the file, with the passport that the camera is in."""

    verified: Verified
    passport: Passport
    device: Identity


def prove(
    given: Path,
    source: Path | None,
    asked: Asked,
    seconds: float,
    *,
    settings: Settings,
    observer: Observer = unobserved,
    install: Callable[[ConversionSpec], None] = lambda spec: None,
) -> Proved:
    """Measure a finished file as its passport does, on the camera and on this machine, against its source.

    Args:
        given: an NN Archive with its recipe.
        source: the model that it was made of; by default looked for beside the file, by the recipe's digest.
        asked: the images, which should be those of the passport, or others that did not calibrate it.
        seconds: how long its speed is measured, after a third of that to warm up.
        settings: where the toolchains are, and limits.
        observer: is told of the stages.
        install: makes the toolchains ready that a conversion with these parameters takes.

    Raises:
        NotAResult, SourceError: it is no NN Archive that a conversion made, or images cannot be read.
        DeviceError: there is no camera that can run it, or it fails.
        NoLongerHolds, SpecError: the file is damaged, or its source is not there, so that nothing can be compared.
        OakmillError: as `verify` raises them.
    """
    progress = Progress(observer)
    with publish.work_folder() as work, Depthai(work / "depthai", settings) as depthai:
        with progress.stage(Stage.INSPECT):
            artefact = opened(given, work, settings)
            look = Look(artefact, asked.images, work, settings, progress)
            changed = {"resize": asked.resize or look.spec.resize, "max_verification_images": asked.most}
            look.spec = look.spec.model_copy(update=changed)
            look.at_bytes()
            install(look.spec)
            look.at_contents(depthai)
        if look.found is None:
            look.result().require()
        with devices.opened(given, asked.camera, asked.threads) as running:
            camera = _Camera(running)
            look.at_source(source, camera.beside)
            verified = look.result()
            progress.doing(f"measuring its speed for {seconds:g} s")
            passport = camera.measured(_require_passport(verified), seconds)
            return Proved(replace(verified, passport=passport), passport, running.identity)


class _Camera:
    """What the camera has in a passport: a method, its speed, and the images that are shown."""

    def __init__(self, running: devices.Running) -> None:
        self._running = running
        self._first: list[Outputs] = []
        self._images: Images | None = None

    def beside(self, subject: Subject) -> Subject:
        """With the camera as the last method, whose outputs are what a program gets."""
        self._images = subject.images
        others = tuple(replace(method, as_device=False) for method in subject.methods)
        judging = [method for method in others if method.decides]  # of accuracy: a proof of equal graphs allows less
        own = Method(
            NAME,
            f"the finished file on {self._running.identity.words}, against the source model",
            by_toolchain(subject.prepared, self._infer),
            subject.source,
            judging[0].bounds if judging else QUANTIZED,
            looks=True,
            encodings=judging[0].encodings if judging else {},
            as_device=True,
        )
        return replace(subject, methods=(*others, own), not_proven=STILL_OPEN)

    def _infer(self, samples: Sequence[Outputs]) -> Iterator[Outputs]:
        tensors = tensors_of(self._running)
        given = [trial.cast(sample, tensors) for sample in samples]
        self._first += given[: FRAMES - len(self._first)]
        return self._running.run(given)

    def measured(self, passport: Passport, seconds: float) -> Passport:
        """With the camera's name and speed, and the images that it shows."""
        assert self._images is not None
        speed = devices.benchmark(self._running, self._first, seconds, seconds / 3)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        on = MeasuredOn(self._running.identity, when, NAME, speed)
        return replace(passport, measured_on=on, thumbnails=thumbnails.of(passport, self._images))


def _require_passport(verified: Verified) -> Passport:
    """The passport.

    Raises:
        SpecError: there is none, for the reason that was found.
    """
    if verified.passport is not None:
        return verified.passport
    errors = [found for found in verified.findings if found.severity is Severity.ERROR]
    said = errors[0] if errors else None
    raise SpecError(
        said.message if said else "nothing of this file can be compared with its source",
        subject=str(verified.file),
        remedy=said.remedy if said else "give --source MODEL",
    )
