"""Opens a DLC, composes its graph on the HTP backend, and runs it on that backend's emulation of the processor."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from ctypes import c_char_p, c_uint32, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
from frame import Refused
from numpy.typing import NDArray

from . import qnn

_FIRST_VERSION = 1
_LOG_LEVEL = 1  # errors
_CHIP, _PRECISION, _FLOAT16 = 0, 2, 1
_RAW_MEMORY = 0

Array = NDArray[Any]


class GraphError(Refused):
    """The file's graph is not one that can be run, or what it was to be run on does not fit it."""

    def __init__(self, message: str) -> None:
        super().__init__("graph", message)


class Htp:
    """The HTP backend of a folder of libraries, set up for one chip.

    Raises:
        qnn.LibraryError: the libraries cannot be used.
        qnn.QnnError: the backend does not know the chip.
    """

    def __init__(self, libraries: Path, soc_model: int) -> None:
        backend = qnn.Library(libraries / "libQnnHtp.so", "QnnInterface_getProviders", qnn.BACKEND_TABLE, 40, 2)
        system = qnn.Library(libraries / "libQnnSystem.so", "QnnSystemInterface_getProviders", qnn.SYSTEM_TABLE, 32, 1)
        self._interface = qnn.by_value(backend)
        self.call = qnn.Caller(backend, system)
        self._log, self._system_log = c_void_p(), c_void_p()
        self.call("logCreate", self.call.log_callback, c_uint32(_LOG_LEVEL), ctypes.byref(self._log))
        self.call("systemLogCreate", self.call.log_callback, c_uint32(_LOG_LEVEL), ctypes.byref(self._system_log))
        self._backend, self._context = c_void_p(), c_void_p()
        self.call("backendCreate", self._log, c_void_p(), ctypes.byref(self._backend))
        device = self._device(soc_model)
        self.call("contextCreate", self._backend, device, c_void_p(), ctypes.byref(self._context))

    def _device(self, soc_model: int) -> c_void_p:
        device = c_void_p()
        option = qnn.DeviceOption(_CHIP, soc_model, soc_model)
        config = qnn.Config(0, ctypes.addressof(option))
        configs = (c_void_p * 2)(ctypes.addressof(config), None)
        self.call("deviceCreate", self._log, c_void_p(ctypes.addressof(configs)), ctypes.byref(device))
        return device

    @property
    def build(self) -> str:
        """The exact version of QAIRT: v2.51.0.260929181845."""
        text = c_char_p()
        self.call("backendGetBuildId", ctypes.byref(text))
        return (text.value or b"").decode(errors="replace")

    def open(self, dlc: Path) -> Graph:
        """Compose the one graph of a DLC.

        Raises:
            qnn.QnnError: the library cannot open the file, or the processor cannot have its graph.
            GraphError: it has another number of graphs.
        """
        handle, results = c_void_p(), qnn.Results()
        name = c_char_p(str(dlc).encode())
        self.call("systemDlcCreateFromFile", self._system_log, name, ctypes.byref(handle))
        self.call(
            "systemDlcComposeGraphs",
            handle,
            c_void_p(),
            c_uint32(0),
            self._backend,
            self._context,
            self._interface,
            c_uint32(_FIRST_VERSION),
            *results.arguments(),
        )
        address, count = results.address_and_count
        if count != 1:
            raise GraphError(f"{dlc.name} has {count} graphs, and one is run on a device")
        return Graph(self, self._context, qnn.GraphInfo.from_address(address))


class Graph:
    """A graph that was composed from a DLC; it keeps its backend alive."""

    def __init__(self, htp: Htp, context: c_void_p, info: qnn.GraphInfo) -> None:
        self._htp = htp
        self._info = info
        self._handle = c_void_p()
        self.inputs = [info.inputs[place] for place in range(info.input_count)]
        self.outputs = [info.outputs[place] for place in range(info.output_count)]
        htp.call("graphRetrieve", context, c_char_p(info.name), ctypes.byref(self._handle))

    def ports(self) -> dict[str, Any]:
        """What the file states of the graph's boundary, as plain data."""
        return {"inputs": [_port(tensor) for tensor in self.inputs], "outputs": [_port(one) for one in self.outputs]}

    def prepare(self, half: bool) -> None:
        """Compile the graph for the processor; `half` computes its floats in float16."""
        if half:
            option = qnn.GraphOption(_PRECISION, _FLOAT16)
            config = qnn.Config(0, ctypes.addressof(option))
            configs = (c_void_p * 2)(ctypes.addressof(config), None)
            self._htp.call("graphSetConfig", self._handle, c_void_p(ctypes.addressof(configs)))
        self._htp.call("graphFinalize", self._handle, c_void_p(), c_void_p())

    def execute(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run once: arrays in the file's own types by input name, and so the outputs.

        Raises:
            GraphError: the arrays are not those that the graph takes.
            qnn.QnnError: the run failed.
        """
        names = [_name(tensor) for tensor in self.inputs]
        if feeds.keys() != set(names):
            raise GraphError(f"the graph's inputs are {', '.join(names)}, given are {', '.join(feeds)}")
        bound = [_bind(tensor, _fitting(tensor, feeds[_name(tensor)])) for tensor in self.inputs]
        results = {_name(tensor): _bind(tensor, np.zeros(tensor.shape, _dtype(tensor))) for tensor in self.outputs}
        self._htp.call(
            "graphExecute",
            self._handle,
            ctypes.cast(self._info.inputs, c_void_p),
            c_uint32(len(bound)),
            ctypes.cast(self._info.outputs, c_void_p),
            c_uint32(len(results)),
            c_void_p(),
            c_void_p(),
        )
        return results


def _name(tensor: qnn.Tensor) -> str:
    return (tensor.name or b"").decode(errors="replace")


def _dtype(tensor: qnn.Tensor) -> np.dtype[Any]:
    try:
        return np.dtype(qnn.DTYPES[tensor.dtype])
    except KeyError:
        raise GraphError(f"{_name(tensor)!r} is of a type that is not known here: {tensor.dtype:#06x}") from None


def _port(tensor: qnn.Tensor) -> dict[str, Any]:
    scaling = tensor.scale_offset
    return {
        "name": _name(tensor),
        "shape": list(tensor.shape),
        "dtype": _dtype(tensor).name,
        "scale": scaling.scale if scaling else None,
        "offset": scaling.offset if scaling else None,
    }


def _fitting(tensor: qnn.Tensor, values: Array) -> Array:
    """The values as a block of the input's shape; nothing is converted but the number of dimensions."""
    expected = _dtype(tensor)
    if values.dtype != expected or values.size != math.prod(tensor.shape):
        given = f"{values.dtype} {list(values.shape)}"
        raise GraphError(f"the input {_name(tensor)!r} takes {expected} {list(tensor.shape)}, given is {given}")
    return np.ascontiguousarray(values).reshape(tensor.shape)


def _bind(tensor: qnn.Tensor, values: Array) -> Array:
    """Let a tensor read or write this array, which must outlive the run."""
    tensor.memory = _RAW_MEMORY
    tensor.buffer.data = values.ctypes.data
    tensor.buffer.size = values.nbytes
    return values
