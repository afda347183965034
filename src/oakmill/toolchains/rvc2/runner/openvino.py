"""OpenVINO 2022's inference engine through its C API: read a network, compile it for a device, run it.

Source of the API: OpenVINO 2022.2, inference-engine C API (ie_c_api.h). Every call that fails raises `EngineError`
with the text of the C++ exception behind it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from frame import Refused
from numpy.typing import NDArray

from .exceptions import ExceptionTap

PRECISIONS = {
    "FP32": 10,
    "FP16": 11,
    "I16": 30,
    "U8": 40,
    "I8": 50,
    "U16": 60,
    "I32": 70,
    "I64": 72,
    "U32": 74,
}
LAYOUTS = {"NCHW": 1, "NHWC": 2, "NCDHW": 3, "NDHWC": 4, "C": 96, "CHW": 128, "HW": 192, "NC": 193, "CN": 194}
_DTYPES = {10: "f4", 11: "f2", 30: "i2", 40: "u1", 50: "i1", 60: "u2", 70: "i4", 72: "i8", 74: "u4"}
_NAMES = {number: name for name, number in PRECISIONS.items()}
UNNAMED = "0"
"""The precision of a type that the C API has no number for: of the types in ONNX, bool."""
_MAX_RANK = 8

Array = NDArray[Any]


class EngineError(Refused):
    """OpenVINO refused: `step` is what was being done, the message is OpenVINO's own."""

    def __init__(self, step: str, status: int, message: str) -> None:
        super().__init__("engine", message or f"status {status}", step=step)

    def __reduce__(self) -> tuple[type[EngineError], tuple[str, int, str]]:
        return EngineError, (self.details["step"], 0, str(self))  # so that it comes whole out of a child process


class _Dimensions(ctypes.Structure):
    _fields_ = [("rank", ctypes.c_size_t), ("sizes", ctypes.c_size_t * _MAX_RANK)]


class _Config(ctypes.Structure):
    pass


_Config._fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p), ("next", ctypes.POINTER(_Config))]


def _tap_of(library: ctypes.CDLL) -> ExceptionTap | None:
    """What hears its exceptions; None for a build that reaches `__cxa_begin_catch` in another way."""
    try:
        return ExceptionTap(library)
    except LookupError:
        return None


class _Version(ctypes.Structure):
    _fields_ = [("build", ctypes.c_char_p)]


class Engine:
    """One loaded OpenVINO, with the plugins that lie beside its libraries.

    Raises:
        Refused: it cannot be loaded ("library"): a library that it needs is not here, or it is for other machines.
    """

    def __init__(self, libraries: Path, usb: Path) -> None:
        try:
            # The MyriadX plugin is linked against libusb, which is matched by its soname when it is loaded already.
            ctypes.CDLL(str(usb), mode=ctypes.RTLD_GLOBAL)
            self._api = ctypes.CDLL(str(libraries / "libopenvino_c.so"))
        except OSError as error:
            raise Refused("library", str(error)) from error
        self._tap = _tap_of(self._api)
        self._handle = ctypes.c_void_p()
        self.call("ie_core_create", b"", ctypes.byref(self._handle))

    @property
    def build(self) -> str:
        """The number of its build: "2022.2.0-7713-af16ea1d79a-releases/2022/2"."""
        tell = self._api.ie_c_api_version
        tell.restype = _Version
        return (tell().build or b"").decode(errors="replace")

    def call(self, function: str, *arguments: object) -> None:
        """Call one function of the C API; raises EngineError when it reports anything but success."""
        entry = getattr(self._api, function)
        if function.endswith("_free"):  # these return nothing
            entry.restype = None
        status = entry(*arguments)
        message = self._tap.take() if self._tap else ""
        if status:
            raise EngineError(function, status, message)

    def read(self, model: Path) -> Network:
        """Read an ONNX model, or an IR whose .bin lies beside its .xml (where the library has that frontend)."""
        handle = ctypes.c_void_p()
        self.call("ie_core_read_network", self._handle, str(model).encode(), None, ctypes.byref(handle))
        return Network(self, handle)

    def compile(self, network: Network, device: str, config: Mapping[str, str]) -> Executable:
        """Compile a network for MYRIAD or CPU with that device's configuration keys."""
        handle = ctypes.c_void_p()
        settings = _linked(config)
        self.call(
            "ie_core_load_network",
            self._handle,
            network.handle,
            device.encode(),
            ctypes.byref(settings) if settings is not None else None,
            ctypes.byref(handle),
        )
        return Executable(self, handle)


def _linked(config: Mapping[str, str]) -> _Config | None:
    head: _Config | None = None
    for name, value in config.items():
        head = _Config(name.encode(), value.encode(), ctypes.pointer(head) if head is not None else None)
    return head


class Network:
    """A network that was read, with the precision and layout that its inputs and outputs are to have."""

    def __init__(self, engine: Engine, handle: ctypes.c_void_p) -> None:
        self._engine = engine
        self.handle = handle

    @property
    def inputs(self) -> list[str]:
        """The inputs' names, in the model's order."""
        return self._names("input")

    @property
    def outputs(self) -> list[str]:
        """The outputs' names, in the model's order."""
        return self._names("output")

    def _names(self, kind: str) -> list[str]:
        count = ctypes.c_size_t()
        self._engine.call(f"ie_network_get_{kind}s_number", self.handle, ctypes.byref(count))
        names = []
        for index in range(count.value):
            name = ctypes.c_char_p()
            self._engine.call(f"ie_network_get_{kind}_name", self.handle, ctypes.c_size_t(index), ctypes.byref(name))
            names.append((name.value or b"").decode())
        return names

    def precision(self, kind: str, name: str) -> str:
        """The precision of an `input` or `output`: FP32, U8, I32 and so on."""
        number = ctypes.c_int()
        self._engine.call(f"ie_network_get_{kind}_precision", self.handle, name.encode(), ctypes.byref(number))
        return _NAMES.get(number.value, str(number.value))

    def set_precision(self, kind: str, name: str, precision: str) -> None:
        """Set the precision at the boundary; the compiler adds the conversion."""
        self._engine.call(
            f"ie_network_set_{kind}_precision",
            self.handle,
            name.encode(),
            ctypes.c_int(PRECISIONS[precision]),
        )

    def set_layout(self, kind: str, name: str, layout: str) -> None:
        """Set the memory layout at the boundary."""
        self._engine.call(f"ie_network_set_{kind}_layout", self.handle, name.encode(), ctypes.c_int(LAYOUTS[layout]))


class Executable:
    """A network compiled for a device."""

    def __init__(self, engine: Engine, handle: ctypes.c_void_p) -> None:
        self._engine = engine
        self._handle = handle
        self._request = ctypes.c_void_p()

    def export(self, path: Path) -> None:
        """Write the compiled network to a file, then free it."""
        self._engine.call("ie_core_export_network", self._handle, str(path).encode())
        self._engine.call("ie_exec_network_free", ctypes.byref(self._handle))

    def infer(self, feeds: Mapping[str, Array], outputs: list[str]) -> dict[str, Array]:
        """Run once: arrays in by input name, copies of the output arrays back by name."""
        if not self._request:
            self._engine.call("ie_exec_network_create_infer_request", self._handle, ctypes.byref(self._request))
        for name, values in feeds.items():
            target = self._tensor(name)
            target[...] = values.reshape(target.shape)
        self._engine.call("ie_infer_request_infer", self._request)
        return {name: self._tensor(name).copy() for name in outputs}

    def _tensor(self, name: str) -> Array:
        """The memory of an input or output as an array; valid until the request is freed."""
        blob, buffer = ctypes.c_void_p(), ctypes.c_void_p()
        sizes, precision = _Dimensions(), ctypes.c_int()
        self._engine.call("ie_infer_request_get_blob", self._request, name.encode(), ctypes.byref(blob))
        self._engine.call("ie_blob_get_dims", blob, ctypes.byref(sizes))
        self._engine.call("ie_blob_get_precision", blob, ctypes.byref(precision))
        self._engine.call("ie_blob_get_buffer", blob, ctypes.byref(buffer))
        shape = tuple(sizes.sizes[: sizes.rank])
        dtype = np.dtype(_DTYPES[precision.value])
        length = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        raw = memoryview((ctypes.c_ubyte * length).from_address(buffer.value or 0))
        return np.frombuffer(raw, dtype).reshape(shape)
