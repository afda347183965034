"""An archive laid out as Intel packs OpenVINO for Linux: of made-up libraries, or of a public package's real ones."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

ROOT = "l_openvino_toolkit_ubuntu20_2022.3.1.9227.cf2c7da5689_x86_64"
RUNTIME = f"{ROOT}/runtime"
LIBRARIES = f"{RUNTIME}/lib/intel64"
ELF = b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little")
"""The head of a library for x86-64, and no more of it."""


def parts_of_a_made_up_openvino() -> dict[str, bytes]:
    """Files of no OpenVINO, by their names in the archive; some are not needed."""
    needed = ("libopenvino.so.2022.3.1", "libopenvino_c.so.2022.3.1", "libopenvino_intel_myriad_plugin.so")
    return {
        **{f"{LIBRARIES}/{name}": ELF + name.encode() for name in needed},
        f"{LIBRARIES}/plugins.xml": b"<ie/>",
        f"{LIBRARIES}/usb-ma2x8x.mvcmd": b"not needed",
        f"{LIBRARIES}/libopenvino_intel_gpu_plugin.so": b"not needed",
        f"{RUNTIME}/3rdparty/tbb/lib/libtbb.so.2": b"made up",
        f"{RUNTIME}/include/ie/ie_core.hpp": b"not needed",
        f"{ROOT}/python/python3.9/openvino/__init__.py": b"not needed",
        f"{ROOT}/docs/licensing/LICENSE": b"made up",
    }


LINKS = {
    f"{LIBRARIES}/libopenvino.so.2231": "libopenvino.so.2022.3.1",
    f"{LIBRARIES}/libopenvino.so": "libopenvino.so.2231",
    f"{LIBRARIES}/libopenvino_c.so": "libopenvino_c.so.2022.3.1",
}


def tarred(
    files: Mapping[str, bytes], links: Mapping[str, str] | None = None, kinds: Mapping[str, bytes] | None = None
) -> bytes:
    """A .tgz of files and symbolic links, and of members of other kinds (a tarfile's type) by their names."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
        for name, kind in (kinds or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, next(iter(files))
            archive.addfile(info)
    return buffer.getvalue()


def packed_as_intel_does(libraries: Path, into: Path, *, without: tuple[str, ...] = ()) -> Path:
    """A .tgz of real libraries: OpenVINO's in its folder, TBB in its own; some left out, as a system may have them."""
    with tarfile.open(into, "w:gz", compresslevel=1) as archive:
        for path in sorted(libraries.glob("*")):
            is_library = path.name.startswith(("libopenvino", "libtbb")) and "gpu" not in path.name
            if path.name in without or not (is_library or path.name == "plugins.xml"):
                continue
            folder = f"{RUNTIME}/3rdparty/tbb/lib" if path.name.startswith("libtbb") else LIBRARIES
            archive.add(path, f"{folder}/{path.name}", recursive=False)
    return into
