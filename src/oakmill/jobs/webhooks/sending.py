"""Sends one message to an address that somebody typed in: to public machines alone, unless the operator says more.

The name is resolved here, its addresses are looked at, and it is one of those that is connected to. No redirection is
followed, no proxy asked; time and size of the answer are bounded as a whole, however slowly it drips.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpcore

from oakmill import __version__
from oakmill.outside import addresses_of, is_public, is_within
from oakmill.settings import Settings

GONE = 410
"""The answer of a receiver that wants to hear no more."""
LARGEST_ANSWER = 64 << 10
KEPT = 1000
"""So much of an answer is kept, in bytes, to be shown."""
_ADDRESSES = 4


@dataclass(frozen=True)
class Outcome:
    """What came of sending a message: the answer's code and beginning; `error` in words where it did not arrive."""

    code: int | None
    error: str
    answer: str
    seconds: float

    @property
    def is_final(self) -> bool:
        """Whether it is of no use to send it again."""
        return not self.error or self.code == GONE


class NotAllowed(httpcore.ConnectError):
    """The address leads to a machine that webhooks may not go to."""


def send(url: str, body: bytes, headers: Mapping[str, str], settings: Settings) -> Outcome:
    """Send a message, and say what came of it; nothing is raised for what the other side does."""
    began = time.monotonic()
    code, answer, error = None, b"", ""
    try:
        code, answer = _posted(url, body, headers, settings)
        error = "" if 200 <= code < 300 else f"the receiver answers {code}"
    except httpcore.TimeoutException:
        error = f"there was no answer within {settings.webhook_seconds:g} s"
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as problem:
        error = str(problem) or type(problem).__name__
    return Outcome(code, error[:KEPT], answer.decode(errors="replace").replace("\0", "�"), time.monotonic() - began)


def _posted(url: str, body: bytes, headers: Mapping[str, str], settings: Settings) -> tuple[int, bytes]:
    until = time.monotonic() + settings.webhook_seconds
    told = {"User-Agent": f"oakmill/{__version__}", "Content-Type": "application/json", **headers}
    guarded = _Guarded(settings.webhook_networks, until, encrypted=url.startswith("https:"))
    with (
        httpcore.ConnectionPool(network_backend=guarded, ssl_context=_trust()) as pool,
        pool.stream("POST", url, headers=[*told.items()], content=body) as response,
    ):
        return response.status, _beginning(response.iter_stream())


def _beginning(pieces: Iterable[bytes]) -> bytes:
    found = b""
    for piece in pieces:
        found += piece
        if len(found) >= KEPT:
            break
    return found[:KEPT]


@cache
def _trust() -> ssl.SSLContext:
    """The system's own certificates, among which a company has its own; SSL_CERT_FILE names others."""
    return ssl.create_default_context()


class _Guarded(httpcore.NetworkBackend):
    """Connects to what was looked at."""

    def __init__(self, networks: Iterable[str], until: float, *, encrypted: bool) -> None:
        self._networks, self._until, self._encrypted = tuple(networks), until, encrypted

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        """A connection to the first of the host's addresses that takes one."""
        refused: httpcore.ConnectError | None = None
        for address in self._allowed(host, port):
            try:
                stream = httpcore.SyncBackend().connect_tcp(address, port, _left(self._until))
                return _Bounded(stream, self._until)
            except httpcore.ConnectError as error:
                refused = error
        raise refused or httpcore.ConnectError(f"there is no host {host}")

    def _allowed(self, host: str, port: int) -> list[str]:
        try:
            found = addresses_of(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"there is no host {host}: {error}") from error
        for address in found:
            if is_within(address, self._networks):
                continue
            if not is_public(address):
                raise NotAllowed(f"{host} leads to {address}, which is in no network that webhooks may go to")
            if not self._encrypted:
                raise NotAllowed(f"{host} is a machine of the public network, to which only https goes")
        return found[:_ADDRESSES]


class _Bounded(httpcore.NetworkStream):
    """A connection with so much time for all of it, and so much room for what comes."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream, self._until, self._room = stream, until, LARGEST_ANSWER

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes next, as far as there is room; a piece that just fits is no fault of who wants no further one."""
        if self._room <= 0:
            raise httpcore.ReadError(f"the answer is larger than {LARGEST_ANSWER >> 10} kB")
        found = self._stream.read(min(max_bytes, self._room), _left(self._until))
        self._room -= len(found)
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        self._stream.write(buffer, _left(self._until))

    def close(self) -> None:
        """Hang up."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted."""
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, _left(self._until)), self._until)

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows of itself."""
        return self._stream.get_extra_info(info)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left
