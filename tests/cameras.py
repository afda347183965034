"""A camera that is not there: depthai's own queues, messages and host-only pipeline, with recorded answers in place of
the device and of the one node that runs on it.

depthai makes no device node without a device, so a node of this computer stands for it, with the same input and output.
"""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import depthai as dai
import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from oakmill.devices import vendor

Arrays = Mapping[str, NDArray[Any]]
_ALIVE: list[Any] = []
"""Pipelines with a node in Python are never let go: depthai waits for its thread then, which waits for Python."""

PLATFORMS = {"RVC2": dai.XLinkPlatform.X_LINK_MYRIAD_X, "RVC4": dai.XLinkPlatform.X_LINK_RVC4}


@dataclass
class Recorded:
    """What the camera is and does: `answers` gives the outputs of one frame, as bytes [n], or of arrays by name.

    `sights` are what its sensor sees in turn, [height, width, 3] in BGR; `asked_of_sensor` the size, kind of frames and
    way of resizing that were asked of it.
    """

    answers: Callable[[Any], Arrays] = lambda given: {}
    platform: str = "RVC4"
    identifier: str = "1844301041ECDE0F00"
    product: str = "OAK4-S"
    system: str = "1.20.5"
    vanishes_after: int | None = None
    refuses: str = ""
    refuses_start: str = ""
    is_busy: bool = False
    is_forbidden: bool = False
    answer_seconds: float = 0.0
    frames: list[Any] = field(default_factory=list)
    sights: list[NDArray[np.uint8]] = field(default_factory=list)
    asked_of_sensor: list[Any] = field(default_factory=list)

    def info(self) -> Any:
        """As depthai lists it."""
        state = dai.XLinkDeviceState.X_LINK_GATE if self.platform == "RVC4" else dai.XLinkDeviceState.X_LINK_UNBOOTED
        status = (
            dai.XLinkError_t.X_LINK_INSUFFICIENT_PERMISSIONS if self.is_forbidden else dai.XLinkError_t.X_LINK_SUCCESS
        )
        kind = PLATFORMS[self.platform]
        protocol = dai.XLinkProtocol.X_LINK_USB_VSC
        return dai.DeviceInfo("1.2", self.identifier, state, protocol, kind, status)


@dataclass
class _Log:
    """A line of the camera's log, as depthai hands it on."""

    payload: str
    level: Any = dai.LogLevel.ERR


class _Device:
    """In the place of dai.Device."""

    def __init__(self, camera: Recorded, info: Any) -> None:
        if camera.is_busy:
            raise RuntimeError(
                f'Cannot connect to device with name "{info.name}", it is used by another process. '
                "Error: X_LINK_DEVICE_ALREADY_IN_USE"
            )
        self.camera, self._closed = camera, False
        self.hear: Callable[[Any], Any] = lambda message: None

    def getOSVersion(self) -> str:  # noqa: N802 - depthai's names
        if not self.camera.system:
            raise RuntimeError("Device does not support this")
        return self.camera.system

    def getProductName(self) -> str:  # noqa: N802
        return self.camera.product

    def getDeviceName(self) -> str:  # noqa: N802
        return self.camera.product

    def getPlatformAsString(self) -> str:  # noqa: N802
        return self.camera.platform

    def getDeviceId(self) -> str:  # noqa: N802
        return self.camera.identifier

    def setMaxReconnectionAttempts(self, attempts: int) -> None:  # noqa: N802
        assert attempts == 0

    def addLogCallback(self, callback: Any) -> int:  # noqa: N802
        self.hear = callback
        return 0

    def isClosed(self) -> bool:  # noqa: N802
        return self._closed

    def close(self) -> None:
        self._closed = True


class _Network(dai.node.ThreadedHostNode):
    """In the place of dai.node.NeuralNetwork: gives recorded outputs, or fails as a camera does."""

    def __init__(self, device: _Device) -> None:
        super().__init__()
        self.input, self.out, self.device = self.createInput(), self.createOutput(), device
        self.passthrough = self.createOutput()

    def setNNArchive(self, archive: Any) -> None:  # noqa: N802
        self.outputs = [item.name for item in archive.getConfig().model.outputs]

    def setNumInferenceThreads(self, threads: int) -> None:  # noqa: N802
        self.threads = threads

    def run(self) -> None:
        camera = self.device.camera
        if camera.refuses:
            self.device.hear(_Log(camera.refuses))
            self.stopPipeline()
            return
        try:
            while self.isRunning():
                self._answer(camera, self.input.get())
        except (dai.MessageQueue.QueueException, _Vanished):
            self.stopPipeline()

    def _answer(self, camera: Recorded, given: Any) -> None:
        if camera.vanishes_after is not None and len(camera.frames) >= camera.vanishes_after:
            raise _Vanished
        names = given.getAllLayerNames() if isinstance(given, dai.NNData) else None
        camera.frames.append(given)
        time.sleep(camera.answer_seconds)
        read = np.array(given.getData()) if names is None else {name: given.getTensor(name) for name in names}
        message = dai.NNData()
        for name, values in camera.answers(read).items():
            kind = dai.TensorInfo.DataType.INT if values.dtype.kind in "iu" else dai.TensorInfo.DataType.FP32
            message.addTensor(name, np.ascontiguousarray(values), kind)
        self.out.send(message)
        self.passthrough.send(given)


class _Sensor(dai.node.ThreadedHostNode):
    """In the place of dai.node.Camera: gives what the camera sees, again and again, as it is asked."""

    def __init__(self, device: _Device) -> None:
        super().__init__()
        self.out, self.device = self.createOutput(), device

    def build(self) -> _Sensor:
        return self

    def requestOutput(self, size: tuple[int, int], kind: Any, how: Any) -> Any:  # noqa: N802
        self.device.camera.asked_of_sensor += [size, kind, how]
        return self.out

    def run(self) -> None:
        sights, (size, kind, _) = self.device.camera.sights, self.device.camera.asked_of_sensor
        place = 0
        while self.isRunning():
            pixels = sights[place % len(sights)]
            assert pixels.shape[1::-1] == size
            frame = dai.ImgFrame()
            frame.setCvFrame(pixels, kind)
            frame.setSequenceNum(place)
            self.out.send(frame)
            place += 1
            time.sleep(0.005)


class _Vanished(Exception):
    """The camera is gone."""


class _Pipeline:
    """In the place of dai.Pipeline: a real one of this computer alone, in which the network has its stand-in."""

    def __init__(self, device: _Device) -> None:
        self._device, self._real = device, dai.Pipeline(createImplicitDevice=False)
        _ALIVE.append(self)

    def create(self, kind: Any) -> Any:
        stand_in = {dai.node.NeuralNetwork: _Network, dai.node.Camera: _Sensor}[kind]
        node = self._real.create(stand_in, self._device)
        _ALIVE.append(node)
        return node

    def start(self) -> None:
        if said := self._device.camera.refuses_start:
            raise RuntimeError(said)
        self._real.start()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Depthai:
    """depthai, with this camera attached to the machine, or none."""

    def __init__(self, *cameras: Recorded) -> None:
        self._cameras = cameras
        self.Device, self.Pipeline = self._device, _Pipeline
        self._device.getAllConnectedDevices = lambda: [camera.info() for camera in cameras]

    @property
    def _device(self) -> Any:
        return self.__dict__.setdefault("_opens", _Opens(self._cameras))

    def __getattr__(self, name: str) -> Any:
        return getattr(dai, name)


class _Opens:
    """dai.Device as it is called."""

    def __init__(self, cameras: tuple[Recorded, ...]) -> None:
        self._cameras = cameras

    def __call__(self, info: Any) -> _Device:
        found = [camera for camera in self._cameras if camera.identifier == info.deviceId]
        if not found:
            raise RuntimeError("Cannot find any device with given deviceInfo")
        return _Device(found[0], found[0].info())


def computing(model: Path, scale: float = 1, **more: Any) -> Recorded:
    """A camera for RVC2 that computes as onnxruntime does, from the frames that the model takes."""
    session = InferenceSession(model)
    (given_to,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]

    def answers(given: Any) -> Arrays:
        pixels = np.asarray(given).reshape(given_to.shape).astype(np.float32)
        found = session.run(None, {given_to.name: pixels})
        return {name: values * scale for name, values in zip(names, found, strict=True)}

    return Recorded(answers, **{"platform": "RVC2", "product": "OAK-D-LITE", "system": "", **more})


@contextmanager
def attached(*cameras: Recorded) -> Iterator[None]:
    """As long as it lasts, these cameras are what depthai finds."""
    with mock.patch.object(vendor, "load", lambda: Depthai(*cameras)):
        yield


def archive(path: Path, platform: str = "RVC4", frame: str | None = None) -> Path:
    """An NN Archive of a tiny network as Oakmill writes it: for RVC4 one byte in a DLC's place, which depthai passes on
    unread; one input of frames 8 x 6, and an output of scores and a map."""
    last = platform == "RVC4"
    shape, layout, usual = ([1, 6, 8, 3], "NHWC", "BGR888i") if last else ([1, 3, 6, 8], "NCHW", "RGB888p")
    document = {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": "tiny", "path": "tiny.dlc", "precision": "float16"},
            "inputs": [{
                "name": "image", "dtype": "uint8", "input_type": "image", "shape": shape, "layout": layout,
                "preprocessing": {"dai_type": usual if frame is None else frame},
            }],
            "outputs": [
                {"name": "scores", "dtype": "float32", "shape": [1, 4]},
                {"name": "map", "dtype": "float32", "shape": [1, 2, 3, 4]},
            ],
            "heads": [],
        },
    }  # fmt: skip
    folder = path.parent
    (folder / "config.json").write_text(json.dumps(document))
    (folder / "tiny.dlc").write_bytes(b"\0")
    with tarfile.open(path, "w:xz") as packed:
        for name in ("config.json", "tiny.dlc"):
            packed.add(folder / name, name)
    return path
