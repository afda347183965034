"""Recovers the text of the C++ exceptions that OpenVINO's C API reduces to a status number.

Every function of the C API ends in `catch (...)`, and a catch begins with a call of `__cxa_begin_catch`. The
library reaches that function through a slot of its own table of imported functions. `ExceptionTap` puts a function
of ours into that slot, which calls the real one and then reads `what()` of the exception in flight. No compiler
and no preloaded library is needed.

Sources: System V ABI, AMD64 supplement (dynamic section, relocations); Itanium C++ ABI (exception header, vtables).
"""

from __future__ import annotations

import ctypes
import mmap
import threading

_DT_STRTAB, _DT_SYMTAB, _DT_JMPREL, _DT_PLTRELSZ = 5, 6, 23, 2
_RTLD_DI_LINKMAP = 2
_SYMBOL_SIZE, _RELOCATION_SIZE = 24, 24  # Elf64_Sym, Elf64_Rela
_UNWIND_HEADER_SIZE = 32  # sizeof(_Unwind_Exception); the thrown object follows it
_VTABLE_DO_CATCH, _VTABLE_WHAT = 4, 2  # std::type_info::__do_catch, std::exception::what

_BeginCatch = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
_CurrentType = ctypes.CFUNCTYPE(ctypes.c_void_p)
_DoCatch = ctypes.CFUNCTYPE(
    ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint
)
_What = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)


class _LinkMap(ctypes.Structure):
    _fields_ = [("base", ctypes.c_uint64), ("name", ctypes.c_char_p), ("dynamic", ctypes.c_uint64)]


class ExceptionTap:
    """Listens to the exceptions that a loaded library catches; `take()` gives the last text of this thread."""

    def __init__(self, library: ctypes.CDLL) -> None:
        runtime = ctypes.CDLL("libstdc++.so.6")
        self._real = _BeginCatch(("__cxa_begin_catch", runtime))
        self._current_type = _CurrentType(("__cxa_current_exception_type", runtime))
        self._std_exception = ctypes.addressof(ctypes.c_char.in_dll(runtime, "_ZTISt9exception"))
        self._do_catch = _DoCatch(_method(self._std_exception, _VTABLE_DO_CATCH))
        self._last = threading.local()
        self._hook = _BeginCatch(self._begin_catch)  # kept alive as long as the library may call it
        _overwrite(_import_slot(library, b"__cxa_begin_catch"), _address(self._hook))

    def take(self) -> str:
        """The text of the last exception caught on this thread, then forget it; empty when there was none."""
        text: str = getattr(self._last, "text", "")
        self._last.text = ""
        return text

    def _begin_catch(self, header: int) -> int | None:
        caught: int | None = self._real(header)
        thrown = ctypes.c_void_p(header + _UNWIND_HEADER_SIZE)
        kind = self._current_type()
        if kind and self._do_catch(self._std_exception, kind, ctypes.byref(thrown), 1) and thrown.value:
            text = _What(_method(thrown.value, _VTABLE_WHAT))(thrown.value)
            self._last.text = (text or b"").decode(errors="replace")
        return caught


def _address(function: object) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0  # type: ignore[arg-type]


def _word(address: int) -> int:
    return int(ctypes.c_uint64.from_address(address).value)


def _method(instance: int, index: int) -> int:
    """The address of a virtual method: the object's first word points to its table of methods."""
    return _word(_word(instance) + 8 * index)


def _import_slot(library: ctypes.CDLL, symbol: bytes) -> int:
    """The address of the slot through which a loaded library calls an imported function.

    Raises:
        LookupError: the library does not import it.
    """
    link = ctypes.POINTER(_LinkMap)()
    ctypes.CDLL(None).dlinfo(ctypes.c_void_p(library._handle), _RTLD_DI_LINKMAP, ctypes.byref(link))
    base, table = int(link.contents.base), _dynamic_section(link.contents.dynamic)
    for at in range(table[_DT_JMPREL], table[_DT_JMPREL] + table[_DT_PLTRELSZ], _RELOCATION_SIZE):
        symbol_at = table[_DT_SYMTAB] + _SYMBOL_SIZE * (_word(at + 8) >> 32)
        name_at = table[_DT_STRTAB] + ctypes.c_uint32.from_address(symbol_at).value
        if ctypes.string_at(name_at) == symbol:
            return base + _word(at)
    raise LookupError(f"{link.contents.name!r} does not import {symbol!r}")


def _dynamic_section(at: int) -> dict[int, int]:
    entries = {}
    while tag := _word(at):
        entries[tag] = _word(at + 8)
        at += 16
    return entries


def _overwrite(slot: int, value: int) -> None:
    """Write one word into memory that the loader has made read-only."""
    page = slot & -mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(page), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE):
        raise OSError(ctypes.get_errno(), "mprotect")
    ctypes.c_uint64.from_address(slot).value = value
