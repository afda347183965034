"""Runs an NN Archive on what a camera's own sensor sees: a pipeline of sensor and network, its frames come back too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.devices import boundary, vendor
from oakmill.devices.boundary import Boundary
from oakmill.devices.running import AHEAD, Running, connected
from oakmill.errors import WrongDevice


class Fit(StrEnum):
    """How the camera brings what it sees to the input's size, in depthai's words."""

    STRETCH = "STRETCH"
    CROP = "CROP"
    PAD = "LETTERBOX"


@dataclass(frozen=True)
class Frame:
    """What the network was given, [height, width, 3] in RGB or [height, width] in gray, and its outputs by name."""

    pixels: NDArray[np.uint8]
    outputs: dict[str, NDArray[Any]]


class Looking(Running):
    """An archive on an open camera, fed by its sensor."""

    def __init__(self, dai: Any, device: Any, pipeline: Any, queues: tuple[Any, Any], model: Boundary) -> None:
        super().__init__(dai, device, pipeline, (None, queues[0]), model)
        self._frames = queues[1]

    def look(self) -> Frame:
        """The next frame, with its outputs. Raises: as `Running.infer`."""
        outputs = self.model.outputs_of(self.receive())
        with vendor.translated(self.identity.words):
            pixels = np.asarray(self._next_of(self._frames).getCvFrame())
        return Frame(pixels[..., ::-1] if pixels.ndim == 3 else pixels, outputs)


def _build(dai: Any, pipeline: Any, model: Boundary, fit: Fit, threads: int | None) -> tuple[Any, Any]:
    """Put the sensor and the network into a pipeline; returns the queues of outputs and of the frames that gave them.

    While the network is at work, a newer frame takes the place of one that waits. Both queues hold it up when nobody
    takes from them, so that none loses what the other has.
    """
    (port,) = model.inputs
    sensor = pipeline.create(dai.node.Camera).build()
    kind, how = getattr(dai.ImgFrame.Type, port.frame), getattr(dai.ImgResizeMode, fit.value)
    network = pipeline.create(dai.node.NeuralNetwork)
    network.setNNArchive(dai.NNArchive(model.archive))
    if threads is not None:
        network.setNumInferenceThreads(threads)
    network.input.setBlocking(False)
    network.input.setMaxSize(1)
    sensor.requestOutput(port.size, kind, how).link(network.input)
    made = (node.createOutputQueue(maxSize=AHEAD, blocking=True) for node in (network.out, network.passthrough))
    return next(made), next(made)


@contextmanager
def looking(archive: Path, called: str | None, threads: int | None, fit: Fit) -> Iterator[Looking]:
    """Open a camera and run an NN Archive on what it sees; the camera is let go at the end. Raises: as `opened`.

    Raises:
        WrongDevice: the model takes no frames as a sensor gives them.
    """
    dai = vendor.load()
    model = boundary.read(dai, archive)
    if len(model.inputs) != 1 or not model.inputs[0].takes_frames:
        raise WrongDevice(
            f"{archive.name} takes no frames of a camera, but {_told(model)}", subject=archive.name,
            remedy="give its inputs as files: --images FOLDER",
        )  # fmt: skip

    def made(device: Any) -> Looking:
        pipeline = dai.Pipeline(device)
        return Looking(dai, device, pipeline, _build(dai, pipeline, model, fit, threads), model)

    with connected(dai, model, called, made) as running:
        yield running


def _told(model: Boundary) -> str:
    return ", ".join(f"{port.name} {list(port.shape)} {port.dtype}" for port in model.inputs)
