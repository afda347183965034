"""A vendor's download service on this machine, for tests: a real HTTP server with one file, and faults of many kinds.

The SDK in it is made up: a folder laid out like Qualcomm's, whose programs do nothing and whose libraries are empty.
"""

from __future__ import annotations

import io
import re
import stat
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from oakmill.toolchains.rvc4.sdk import HOST, LIBRARIES

VERSION = "2.41.0.251128"
ROOT = f"qairt/{VERSION}"


def parts_of_a_made_up_sdk(stated: str = "2.41.0", python: str = "36") -> dict[str, bytes]:
    """The files of no real SDK, by their names in the archive; some of them are not needed on this kind of machine."""
    tools = ("snpe-onnx-to-dlc", "snpe-dlc-quant", "snpe-dlc-graph-prepare", "snpe-dlc-info")
    return {
        **{f"{ROOT}/bin/{HOST}/{name}": b"#!/bin/sh\nexit 1\n" for name in tools},
        **{f"{ROOT}/lib/{HOST}/{name}": b"made up " * 200 for name in LIBRARIES},
        f"{ROOT}/lib/python/qti/__init__.py": b"",
        f"{ROOT}/lib/python/qti/windows-x86_64/big.pyd": b"not needed",
        f"{ROOT}/lib/python/qti/linux-x86_64/libPyIrGraph{python}.so": b"",
        f"{ROOT}/lib/aarch64-android/libQnnHtp.so": b"not needed",
        f"{ROOT}/bin/check-python-dependency": b"",
        f"{ROOT}/docs/index.html": b"not needed",
        f"{ROOT}/LICENSE.pdf": b"made up",
        f"{ROOT}/sdk.yaml": f"name: made-up\nversion: {stated}\n".encode(),
    }


def zipped(files: Mapping[str, bytes], links: Mapping[str, str] | None = None, *, packed: bool = True) -> bytes:
    """A zip of files and links, as Linux writes it; with neither, of nothing."""
    buffer = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive,
    ):
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data, compress_type=archive.compression)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return buffer.getvalue()


@dataclass
class Service:
    """What the server has, how it fails, and what it was asked for.

    `cuts` are how many bytes the answers after one another give before the connection is closed; `answer` a status to
    answer with alone, `redirect` where to lead. Without `ranges`, it always gives the file from its beginning.
    `announced` is a length that is none of the file's; `after` what the file and its tag are after each answer. At the
    first `cuts` bytes it waits for `holds`, where that is given, before it closes the connection.
    """

    data: bytes = b""
    tag: str = '"one"'
    kind: str = "application/zip"
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirect: str = ""
    announced: int | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    after: list[tuple[bytes, str]] = field(default_factory=list)
    knows_if_range: bool = True
    holds: threading.Event | None = None
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    service: Service

    def do_GET(self) -> None:
        service = self.service
        service.asked.append((self.path, self.headers.get("Range", "")))
        if service.statuses:
            self._plain(service.statuses.pop(0))
        elif service.redirect and "moved" not in self.path:
            self._plain(302, {"Location": service.redirect})
        else:
            self._give()

    def _plain(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _give(self) -> None:
        service, data = self.service, self.service.data
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        goes_on = (
            wanted
            and service.ranges
            and (not service.knows_if_range or self.headers.get("If-Range") in (None, service.tag))
        )
        start = int(wanted[1]) if wanted and goes_on else 0
        self.send_response(206 if goes_on else 200)
        if goes_on:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Type", service.kind)
        self.send_header("Content-Length", str(service.announced or len(data) - start))
        if service.tag:
            self.send_header("ETag", service.tag)
        self.end_headers()
        cut = bool(service.cuts)
        until = start + service.cuts.pop(0) if cut else len(data)
        if service.after:
            service.data, service.tag = service.after.pop(0)
        self.wfile.write(data[start:until])
        if cut and service.holds:
            service.holds.wait(60)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    """The service on a port of loopback, for the time of the block."""
    handler = type("Handler", (_Handler,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
