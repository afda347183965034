"""What an NN Archive says of its model: the frames and numbers that go in, and the outputs; read by depthai itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oakmill.errors import DeviceError, NotAModel, WrongDevice

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by the names of inputs or outputs."""

_FORMATS = {
    "uint8": "U8F", "int8": "I8", "uint16": "U16F", "int32": "INT",
    "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip
"""depthai's names of number formats; it has no others."""
COLOURS = ("RGB", "BGR")


@dataclass(frozen=True)
class Port:
    """One input or output: `dtype` in numpy's words; `frame` is depthai's name of the frames that it takes, if any."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str = ""
    frame: str = ""

    @property
    def takes_frames(self) -> bool:
        """Whether it is fed as a camera feeds it: one frame of bytes."""
        known = self.frame.startswith((*COLOURS, "GRAY8")) and {"H", "W"} <= set(self.layout)
        return known and self.dtype == "uint8" and math.prod(self.shape) == math.prod(self._sizes.values())

    @property
    def _sizes(self) -> dict[str, int]:
        sizes = dict(zip(self.layout, self.shape, strict=True))
        return {letter: sizes.get(letter, 1) for letter in "HWC"}

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its frames."""
        return self._sizes["W"], self._sizes["H"]

    def pixels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """One frame [H, W, 3] in BGR or [H, W], of 0 to 255, out of an array in the input's own layout and colours."""
        axes = [self.layout.index(letter) for letter in "HWC" if letter in self.layout]
        others = [axis for axis in range(values.ndim) if axis not in axes]
        frame = values.transpose([*others, *axes]).reshape([self._sizes[letter] for letter in "HWC"])
        frame = frame[..., 0] if frame.shape[-1] == 1 else frame[..., ::-1] if self.frame.startswith("RGB") else frame
        return np.ascontiguousarray(frame.clip(0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Boundary:
    """What goes into a model and comes out of it, and the platform that it is for."""

    archive: Path
    platform: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def message(self, dai: Any, sample: Arrays) -> Any:
        """The message that feeds one sample: a frame, where one input takes frames; else all arrays under their names.

        Raises:
            DeviceError: depthai cannot carry an input's number format.
        """
        if len(self.inputs) == 1 and self.inputs[0].takes_frames:
            (port,) = self.inputs
            frame = dai.ImgFrame()
            frame.setCvFrame(port.pixels(sample[port.name]), getattr(dai.ImgFrame.Type, port.frame))
            return frame
        message = dai.NNData()
        for port in self.inputs:
            kind = getattr(dai.TensorInfo.DataType, _format(port))
            values = np.ascontiguousarray(sample[port.name].reshape(port.shape).astype(port.dtype, copy=False))
            message.addTensor(port.name, values, kind)
        return message

    def outputs_of(self, message: Any) -> dict[str, NDArray[Any]]:
        """The outputs by their names, in the archive's shapes; what was quantized comes as float32.

        Raises:
            DeviceError: they are not those that the archive names.
        """
        there = message.getAllLayerNames()
        missing = [port.name for port in self.outputs if port.name not in there]
        if missing:
            raise DeviceError(
                f"the camera gives the outputs {', '.join(there) or 'none'}, and not {', '.join(missing)}, which "
                f"{self.archive.name} names",
                subject=self.archive.name,
                remedy="`oakmill verify` says whether the archive's config.json is of its model",
            )
        return {port.name: _shaped(np.asarray(message.getTensor(port.name, True)), port) for port in self.outputs}


def read(dai: Any, archive: Path) -> Boundary:
    """What an NN Archive says of its model.

    Raises:
        NotAModel: depthai cannot read it as an NN Archive.
        WrongDevice: it holds a model for no camera.
    """
    try:
        opened = dai.NNArchive(archive)
        model, platforms = opened.getConfig().model, [item.name for item in opened.getSupportedPlatforms()]
    except RuntimeError as error:
        raise NotAModel(
            f"depthai cannot read {archive.name} as an NN Archive: {str(error).splitlines()[0]}", subject=str(archive),
            remedy="a bare .superblob, .blob or .dlc is packed by `oakmill archive`",
        ) from error  # fmt: skip
    if opened.getModelType().name not in ("BLOB", "SUPERBLOB", "DLC") or not platforms:
        raise WrongDevice(
            f"{archive.name} holds a model that no camera runs ({opened.getModelType().name})", subject=str(archive),
            remedy="convert it first: oakmill convert MODEL --to rvc4",
        )  # fmt: skip
    inputs = tuple(_input(item) for item in model.inputs)
    return Boundary(archive, platforms[0], inputs, tuple(_port(item) for item in model.outputs))


def _input(item: Any) -> Port:
    is_image = item.inputType.name == "IMAGE"
    return _port(item, (item.preprocessing.daiType or "") if is_image else "")


def _port(item: Any, frame: str = "") -> Port:
    return Port(item.name, tuple(item.shape or ()), item.dtype.name.lower(), str(item.layout or ""), frame)


def _format(port: Port) -> str:
    if port.dtype not in _FORMATS:
        raise DeviceError(f"depthai carries no {port.dtype}, which input {port.name!r} takes", subject=port.name)
    return _FORMATS[port.dtype]


def _shaped(values: NDArray[Any], port: Port) -> NDArray[Any]:
    """In the archive's shape, where that is the same but for sizes of 1."""
    if not port.shape or [size for size in values.shape if size > 1] == [size for size in port.shape if size > 1]:
        return values.reshape(port.shape or values.shape)
    raise DeviceError(
        f"the camera gives output {port.name!r} as {list(values.shape)}, where the archive says {list(port.shape)}",
        subject=port.name,
        remedy="`oakmill verify` says whether the archive's config.json is of its model",
    )
