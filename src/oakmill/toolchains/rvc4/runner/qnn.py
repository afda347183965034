"""QNN's C interface, as much of it as opens a DLC and runs its graph: structures, function tables, errors.

A library hands out one table of function pointers; a function's place in it is part of the interface, which only
ever grows at the end. Sources: Qualcomm's public reference of QNN's API (document 80-63442-10) for core API 2.x and
system API 1.x, on the AMD64 ABI.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from ctypes import POINTER, Structure, c_char_p, c_float, c_int32, c_uint8, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

from frame import Refused

BACKEND_TABLE = {
    "backendCreate": 1,
    "backendGetBuildId": 4,
    "contextCreate": 9,
    "graphSetConfig": 17,
    "graphFinalize": 19,
    "graphRetrieve": 20,
    "graphExecute": 21,
    "logCreate": 25,
    "deviceCreate": 40,
}
SYSTEM_TABLE = {
    "systemLogCreate": 5,
    "systemDlcCreateFromFile": 8,
    "systemDlcComposeGraphs": 10,
    "systemDlcFree": 12,
}

DTYPES = {
    0x0008: "int8",
    0x0016: "int16",
    0x0032: "int32",
    0x0064: "int64",
    0x0108: "uint8",
    0x0116: "uint16",
    0x0132: "uint32",
    0x0164: "uint64",
    0x0216: "float16",
    0x0232: "float32",
    0x0264: "float64",
    0x0308: "int8",
    0x0316: "int16",
    0x0332: "int32",
    0x0408: "uint8",
    0x0416: "uint16",
    0x0432: "uint32",
    0x0508: "bool",
}
"""numpy's names of QNN's types; fixed-point ones are stored as integers."""

SCALE_OFFSET, BITWIDTH_SCALE_OFFSET = 0, 2
_DEFINED = 1
_LOG_ERROR = 1
_MOST_FUNCTIONS = 256
_LINE_BYTES = 4096
_SPARE = 16

_LogCallback = ctypes.CFUNCTYPE(None, c_char_p, c_uint32, c_uint64, c_void_p)


class QnnError(Refused):
    """QNN refused: `step` is the function that did, the message what the library logged."""

    def __init__(self, step: str, message: str) -> None:
        super().__init__("qnn", message, step=step)


class LibraryError(Refused):
    """A library cannot be loaded, or is not of an interface that is known here."""

    def __init__(self, message: str) -> None:
        super().__init__("library", message)


class ScaleOffset(Structure):
    """real = scale * (stored + offset)"""

    _fields_ = [("scale", c_float), ("offset", c_int32)]


class _BitwidthScaleOffset(Structure):
    _fields_ = [("bitwidth", c_uint32), ("scale", c_float), ("offset", c_int32)]


class _Encoding(ctypes.Union):
    _fields_ = [("plain", ScaleOffset), ("narrow", _BitwidthScaleOffset), ("all", c_uint64 * 4)]


class _Quantization(Structure):
    _fields_ = [("definition", c_uint32), ("encoding", c_uint32), ("value", _Encoding)]


class _Buffer(Structure):
    _fields_ = [("data", c_void_p), ("size", c_uint32)]


class Tensor(Structure):
    """An input or output; versions 1 and 2 are alike in what is used here."""

    _fields_ = [
        ("version", c_uint32),
        ("gap", c_uint32),  # the fields from here on lie in a structure of their own, which begins at 8
        ("id", c_uint32),
        ("name", c_char_p),
        ("type", c_uint32),
        ("format", c_uint32),
        ("dtype", c_uint32),
        ("quantization", _Quantization),
        ("rank", c_uint32),
        ("dimensions", POINTER(c_uint32)),
        ("memory", c_uint32),
        ("buffer", _Buffer),
        ("is_dynamic", c_void_p),
        ("sparse", c_uint32 * 3),
        ("produced", c_uint8),
    ]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.dimensions[: self.rank])

    @property
    def scale_offset(self) -> ScaleOffset | None:
        """How it is quantized: one scale and offset for all of it; None when it is not, or otherwise."""
        if self.quantization.definition != _DEFINED:
            return None
        if self.quantization.encoding == SCALE_OFFSET:
            return ScaleOffset(self.quantization.value.plain.scale, self.quantization.value.plain.offset)
        if self.quantization.encoding == BITWIDTH_SCALE_OFFSET:
            return ScaleOffset(self.quantization.value.narrow.scale, self.quantization.value.narrow.offset)
        return None


class GraphInfo(Structure):
    """A composed graph as version 1 of its description, whose fields later versions begin with."""

    _fields_ = [
        ("version", c_uint32),
        ("name", c_char_p),
        ("input_count", c_uint32),
        ("inputs", POINTER(Tensor)),
        ("output_count", c_uint32),
        ("outputs", POINTER(Tensor)),
    ]


class Config(Structure):
    """A device's or graph's configuration: option 0 is one that the backend defines."""

    _fields_ = [("option", c_uint32), ("custom", c_void_p)]


class DeviceOption(Structure):
    """HTP's choice of a chip: option 0. Its value lies at 4 up to HTP API 5.46, and at 8 from 5.47 on: set both."""

    _fields_ = [("option", c_uint32), ("value", c_uint32), ("later_value", c_uint32), ("rest", c_uint32 * 13)]


class GraphOption(Structure):
    """HTP's option of a graph: 2 is the precision of its floats, where 1 is float16."""

    _fields_ = [("option", c_uint32), ("value", c_uint64), ("rest", c_uint64 * 7)]


class _SymbolInfo(Structure):
    _fields_ = [("file", c_char_p), ("base", c_void_p), ("symbol", c_char_p), ("address", c_void_p)]


class Library:
    """A library's function table.

    Raises:
        LibraryError: it cannot be loaded, or its interface is another one.
    """

    def __init__(self, path: Path, getter: str, table: Mapping[str, int], header: int, major: int) -> None:
        self.path = path
        try:
            self._getter = getattr(ctypes.CDLL(str(path)), getter)
        except (OSError, AttributeError) as error:
            raise LibraryError(f"{path.name} cannot be loaded: {error}") from None
        self._getter.restype = c_uint64
        providers, count = POINTER(c_void_p)(), c_uint32()
        if self._getter(ctypes.byref(providers), ctypes.byref(count)) or not count.value:
            raise LibraryError(f"{path.name} hands out no interface")
        self.address = int(providers[0] or 0)
        self._functions, self._table = self.address + header, table
        version = tuple((c_uint32 * 3).from_address(self.address + 16))
        self._check(version, major)

    def _check(self, version: tuple[int, ...], major: int) -> None:
        words = ".".join(map(str, version))
        if version[0] != major:
            raise LibraryError(f"{self.path.name} has API {words}; {major}.x is known")
        if self.function_count() <= max(self._table.values()):
            raise LibraryError(f"{self.path.name}, API {words}, lacks functions that open a DLC")

    def function_count(self) -> int:
        """How many functions its table has: the words that point into the library itself."""
        ours = _base(ctypes.cast(self._getter, c_void_p).value or 0)
        words = (c_uint64 * _MOST_FUNCTIONS).from_address(self._functions)
        return next((place for place, word in enumerate(words) if _base(word) != ours), _MOST_FUNCTIONS)

    def function(self, name: str) -> int:
        """The address of a function."""
        return int(c_uint64.from_address(self._functions + 8 * self._table[name]).value)


def _base(address: int) -> int:
    """Where the library that an address belongs to is loaded; 0 for any other memory."""
    info = _SymbolInfo()
    look = ctypes.CDLL(None).dladdr
    return int(info.base or 0) if address and look(c_void_p(address), ctypes.byref(info)) else 0


def by_value(backend: Library) -> Structure:
    """The backend's whole interface as a structure, as composing takes it.

    It grows with the API, and what stands at its end may be empty, so it may come out short: see `Results`.
    """
    words = 5 + backend.function_count()

    class Interface(Structure):
        _fields_ = [("words", c_uint64 * words)]

    return Interface.from_address(backend.address)


class Results:
    """Room for what composing gives back, wherever it puts it.

    It takes the interface by value, and then two places for its results. A library whose interface is longer than
    what was passed looks for these a few words further on; so a row of places is passed, and two neighbours in it
    are filled. Passing too few words made QAIRT 2.50 crash: its last three functions are empty.
    """

    def __init__(self) -> None:
        self._places = [c_uint64() for _ in range(_SPARE)]

    def arguments(self) -> list[Any]:
        """The row of places."""
        return [ctypes.byref(place) for place in self._places]

    @property
    def address_and_count(self) -> tuple[int, int]:
        """Where the results lie, and how many there are."""
        values = [place.value for place in self._places]
        first = next((place for place, value in enumerate(values[:-1]) if value), None)
        return (0, 0) if first is None else (values[first], values[first + 1] & 0xFFFFFFFF)


class Caller:
    """Calls functions of libraries by name, and turns a status into an error with what was logged meanwhile."""

    def __init__(self, *libraries: Library) -> None:
        self._libraries = libraries
        self._lines: list[str] = []
        self._libc = ctypes.CDLL(None)
        self._callback = _LogCallback(self._take)  # kept alive as long as the libraries may call it
        self.log_callback = ctypes.cast(self._callback, c_void_p)

    def _take(self, pattern: bytes, level: int, time: int, arguments: int) -> None:
        buffer = ctypes.create_string_buffer(_LINE_BYTES)
        self._libc.vsnprintf(buffer, c_uint64(_LINE_BYTES), c_char_p(pattern), c_void_p(arguments))
        line = buffer.value.decode(errors="replace").strip()
        print(f"[{level}] {line}", flush=True)
        if level <= _LOG_ERROR:
            self._lines.append(line)

    def __call__(self, name: str, *arguments: Any) -> None:
        """Call a function; arguments are ctypes' own objects. Raises QnnError when it reports anything but success."""
        self._lines.clear()
        library = next(library for library in self._libraries if name in library._table)
        status = _prototype(arguments)(library.function(name))(*arguments)
        if status:
            said = "; ".join(dict.fromkeys(self._lines)) or "nothing was logged"
            raise QnnError(name, f"{said} (status {status & 0xFFFF})")


def _prototype(arguments: tuple[Any, ...]) -> Callable[[int], Any]:
    simple = (ctypes._SimpleCData, Structure)
    kinds = [type(value) if isinstance(value, simple) else c_void_p for value in arguments]
    return ctypes.CFUNCTYPE(c_uint64, *kinds)
