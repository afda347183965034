"""Runs an NN Archive on a camera: a pipeline of one network, fed from this machine, whose outputs come back here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from numpy.typing import NDArray

from oakmill.devices import boundary, finding, vendor
from oakmill.devices.boundary import Arrays, Boundary
from oakmill.devices.camera import Identity
from oakmill.errors import DeviceError, DeviceLost, ModelRefused, WrongDevice

AHEAD = 4
"""Messages that may wait on either side of the network: so that it never waits for this machine."""
FIRST_SECONDS, EACH_SECONDS = 180.0, 30.0
"""How long the first outputs may take, for which a camera makes the network ready, and those of each further image."""
LOG_SECONDS = 0.5
"""How long the camera's log is waited for, where it failed before its first answer."""
SLICE = timedelta(seconds=0.25)
"""Between two looks at whether the camera is there yet."""
REMEDIES = {
    "RVC4": "convert with --snpe-version and the version of the camera's own software, 2.41.0 or 2.32.6 of an OAK4; "
    "`oakmill toolchains install rvc4/qairt-2.41.0.251128` fetches Qualcomm's SDK of it first",
    "RVC2": "convert anew, with fewer SHAVEs where it says that there are too few; `oakmill verify` looks at the file",
}


@dataclass
class Said:
    """The last errors that the camera itself wrote into its log."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    _heard: Event = field(default_factory=Event)

    def hear(self, message: Any) -> None:
        """Keep a message of the camera's, where it is an error."""
        if message.level.name in ("ERR", "CRITICAL"):
            self.lines.append(str(message.payload).strip())
            self._heard.set()

    def heard(self) -> bool:
        """Whether it wrote any; the log may come a moment after the connection is closed."""
        return self._heard.wait(LOG_SECONDS)

    @property
    def words(self) -> str:
        """All of it."""
        return "; ".join(self.lines)


class Running:
    """An archive on an open camera. Samples are arrays by the inputs' names, in the archive's own layout."""

    def __init__(self, dai: Any, device: Any, pipeline: Any, queues: tuple[Any, Any], model: Boundary) -> None:
        self._dai, self._device, self._pipeline = dai, device, pipeline
        self._given, self._found = queues
        self._answered = False
        self._said = Said()
        self.model = model
        self.identity = Identity.of(dai, device)

    def start(self) -> None:
        """Send the network to the camera. Raises: as `infer`."""
        with suppress(RuntimeError):  # a camera that cannot be heard runs nevertheless
            self._device.addLogCallback(self._said.hear)
        try:
            self._pipeline.start()
        except RuntimeError as error:
            raise self._failed(str(error)) from error

    def infer(self, sample: Arrays) -> dict[str, NDArray[Any]]:
        """One sample's outputs, as the camera gives them; quantized ones as float32.

        Raises:
            ModelRefused: the firmware does not take the network.
            DeviceLost: the camera vanished.
            DeviceError: it gives no answer, or other outputs than the archive names.
        """
        self.send(sample)
        return self.model.outputs_of(self.receive())

    def run(self, samples: Iterable[Arrays]) -> Iterator[dict[str, NDArray[Any]]]:
        """The outputs of each sample, one after the other. Raises: as `infer`."""
        return map(self.infer, samples)

    def send(self, sample: Arrays) -> None:
        """Feed one sample, and go on. Raises: as `infer`."""
        self.pass_on(self.message(sample))

    def message(self, sample: Arrays) -> Any:
        """The message that feeds one sample; it may be sent many times."""
        return self.model.message(self._dai, sample)

    def pass_on(self, message: Any) -> None:
        """Send a message to the network. Raises: as `infer`."""
        ends = time.monotonic() + self._patience
        while not self._asked(self._given.trySend, message):
            self._require_alive()
            if time.monotonic() > ends:
                raise self._silent()
            time.sleep(0.001)

    def receive(self) -> Any:
        """The next outputs, as depthai's message. Raises: as `infer`."""
        message = self._next_of(self._found)
        self._answered = True
        return message

    def _next_of(self, queue: Any) -> Any:
        ends = time.monotonic() + self._patience
        while (message := self._asked(queue.get, SLICE)) is None:
            self._require_alive()
            if time.monotonic() > ends:
                raise self._silent()
        return message

    def close(self) -> None:
        """Let the camera go; one that has vanished is let go as well."""
        with suppress(RuntimeError):
            self._pipeline.stop()
        with suppress(RuntimeError):
            self._device.close()

    @property
    def _patience(self) -> float:
        return EACH_SECONDS if self._answered else FIRST_SECONDS

    def _asked(self, ask: Any, *given: Any) -> Any:
        try:
            return ask(*given)
        except (RuntimeError, self._dai.MessageQueue.QueueException) as error:
            raise self._failed(str(error)) from error

    def _require_alive(self) -> None:
        if self._device.isClosed() or not self._pipeline.isRunning():
            raise self._failed("its connection was closed")

    def _failed(self, said: str) -> DeviceError:
        """What it means that the pipeline does not go on. Before the first answer, an error in the camera's own log, or
        words of depthai's that are of no connection, are of the network that it was given."""
        words = self.identity.words
        if self._answered:
            lost = f"{words} has vanished: {said}"
            return DeviceLost(lost, subject=words, remedy=vendor.PLUGGED, log=self._said.words)
        told = vendor.of_words(said, words)
        if not self._said.heard() and type(told) is not DeviceError:
            return told
        return ModelRefused(
            f"{words} does not take {self.model.archive.name}; it says: {self._said.words or said}",
            subject=self.model.archive.name, remedy=REMEDIES.get(self.model.platform, ""), log=said,
        )  # fmt: skip

    def _silent(self) -> DeviceError:
        if not self._answered and self._said.lines:
            return self._failed("no outputs came")
        words = f"{self.identity.words} gave no outputs of {self.model.archive.name} for {self._patience:g} s"
        return DeviceError(words, subject=self.model.archive.name, remedy=vendor.PLUGGED, log=self._said.words)


R = TypeVar("R", bound=Running)


def build(dai: Any, pipeline: Any, archive: Any, threads: int | None = None) -> tuple[Any, Any]:
    """Put the network into a pipeline; returns the queue into it, and the one out of it. No frame is left out."""
    network = pipeline.create(dai.node.NeuralNetwork)
    network.setNNArchive(archive)
    if threads is not None:
        network.setNumInferenceThreads(threads)
    network.input.setBlocking(True)
    network.input.setMaxSize(AHEAD)
    given = network.input.createInputQueue(maxSize=AHEAD, blocking=True)
    return given, network.out.createOutputQueue(maxSize=2 * AHEAD, blocking=True)


@contextmanager
def opened(archive: Path, called: str | None = None, threads: int | None = None) -> Iterator[Running]:
    """Open a camera and run an NN Archive on it; the camera is let go at the end.

    Args:
        archive: an NN Archive for RVC2 or RVC4.
        called: the identifier, address or USB port of the camera; by default the first that is free and fits.
        threads: of the network on the camera; by default as depthai chooses.

    Raises:
        NotAModel: it is no NN Archive.
        NoDevice, DeviceInUse, NotPermitted, WrongDevice: there is no such camera that can be used.
        ModelRefused, DeviceLost, DeviceError: as `Running.infer`.
    """
    dai = vendor.load()
    model = boundary.read(dai, archive)

    def made(device: Any) -> Running:
        pipeline = dai.Pipeline(device)
        return Running(dai, device, pipeline, build(dai, pipeline, dai.NNArchive(archive), threads), model)

    with connected(dai, model, called, made) as running:
        yield running


@contextmanager
def connected(dai: Any, model: Boundary, called: str | None, make: Callable[[Any], R]) -> Iterator[R]:
    """What is made of a camera that is opened for a model; it is started, and the camera let go at the end.

    Raises: as `opened`.
    """
    camera = finding.for_platform(model.platform, called)
    with vendor.translated(camera.words):
        device = dai.Device(dai.DeviceInfo(camera.identifier or camera.name))
    running = None
    try:
        with vendor.translated(camera.words):
            device.setMaxReconnectionAttempts(0)  # what vanished in the middle is told, and not waited for
            _require_platform(device, model)
            running = make(device)
        running.start()
        yield running
    finally:
        if running is not None:
            running.close()
        else:
            device.close()


def _require_platform(device: Any, model: Boundary) -> None:
    """That the camera is of the archive's platform, which not every connection tells before."""
    platform = device.getPlatformAsString()
    if platform != model.platform:
        raise WrongDevice(
            f"{model.archive.name} is for {model.platform}, and the camera is {platform}", subject=model.archive.name,
            remedy=f"convert the model for {platform}",
        )  # fmt: skip
