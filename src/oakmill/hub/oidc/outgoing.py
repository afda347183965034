"""Asks a provider over HTTP, and lets it choose neither how long that takes, nor how much comes, nor where it leads.

No redirect is followed. A host that the operator did not name is asked only at a public address, and it is the address
that was looked at which is connected to, for a name may lead elsewhere a moment later.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import httpcore
import httpx

from oakmill import __version__
from oakmill.errors import ProviderUnreachable, Unavailable
from oakmill.outside import addresses_of, is_public

SECONDS = 10.0
MOST_BYTES = 1 << 20
AT_ONCE = 8
"""Threads of this process that may wait for providers; the others are for who does not."""
_PATIENCE = 2.0
_waiting = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class Outgoing:
    """The way to one provider. `hosts` may be asked at private addresses too; the operator named them."""

    issuer: str
    hosts: frozenset[str]

    def ask(self, url: str, *, form: bytes | None = None, headers: Mapping[str, str] | None = None) -> Said:
        """What the provider answers at an address, to GET, or to POST where there is a form.

        Raises:
            ProviderUnreachable: it does not answer in time, or not with a JSON object, or leads elsewhere.
            Unavailable: too many wait for it already.
        """
        if not _waiting.acquire(timeout=_PATIENCE):
            raise Unavailable("Too many are signing in at this moment.", remedy="Try again in a few seconds.")
        try:
            return self._said(url, self._answer(url, form, headers or {}))
        except httpcore.TimeoutException as error:
            raise self.too_slow() from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise self.unreachable(f"{url}: {error or type(error).__name__}") from error
        except (httpcore.UnsupportedProtocol, UnicodeError, ValueError) as error:
            raise self.unreachable(f"{url[:200]} is no address that can be asked") from error
        finally:
            _waiting.release()

    def _answer(self, url: str, form: bytes | None, headers: Mapping[str, str]) -> httpcore.Response:
        method = "GET" if form is None else "POST"
        fixed = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": f"oakmill/{__version__}"}
        backend = _Bounded(self)
        with httpcore.ConnectionPool(ssl_context=_tls(), network_backend=backend, max_connections=1) as pool:
            return pool.request(method, url, headers=[*(fixed | dict(headers)).items()], content=form)

    def _said(self, url: str, answer: httpcore.Response) -> Said:
        if 300 <= answer.status < 400:
            raise self.unreachable(f"{url} redirects, which is not followed")
        try:
            body = json.loads(answer.content)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise self.unreachable(f"{url} answers {answer.status}, and no JSON object")
        return Said(answer.status, body)

    def too_slow(self) -> ProviderUnreachable:
        """The error for a provider that takes too long."""
        return self.unreachable(f"no whole answer came within {SECONDS:.0f} seconds")

    def unreachable(self, why: str) -> ProviderUnreachable:
        """The error for a provider that cannot be asked, or answers what is none of its own."""
        return ProviderUnreachable(
            f"The sign-in provider {self.issuer} cannot be asked: {why}.",
            subject=self.issuer,
            remedy="Try again soon, or sign in with a key, which works meanwhile. If it stays so, ask the operator of "
            "this hub.",
        )


@dataclass(frozen=True)
class Said:
    """An answer: its status, and the JSON object in it."""

    status: int
    body: dict[str, Any]


class _Bounded(httpcore.SyncBackend):
    """Connects for one request, within its time, to addresses that may be asked."""

    def __init__(self, to: Outgoing) -> None:
        self._to, self._rest = to, _Rest(to)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's addresses that answers."""
        failure: Exception | None = None
        for address in self._addresses(host, port):
            try:
                left = self._rest.seconds()
                return _Stream(super().connect_tcp(address, port, left, local_address, socket_options), self._rest)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise self._to.unreachable(f"{host}:{port}: {failure or 'it has no address'}")

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = addresses_of(host, port)
        except OSError as error:
            raise self._to.unreachable(f"there is no host {host}: {error}") from error
        public = all(map(is_public, addresses))
        if not public and host.lower() not in self._to.hosts:
            raise self._to.unreachable(
                f"{host} is a machine of a private network, which the setting OAKMILL_OIDC_HOSTS does not name"
            )
        return addresses


@dataclass
class _Rest:
    """What time and how many bytes a request has left."""

    to: Outgoing
    until: float = field(default_factory=lambda: time.monotonic() + SECONDS)
    bytes: int = MOST_BYTES

    def seconds(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise self.to.too_slow()
        return left

    def spend(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise self.to.unreachable(f"its answer is larger than {MOST_BYTES >> 20} MB")


class _Stream(httpcore.NetworkStream):
    """A connection that ends when a request's time or bytes do, however slowly they come."""

    def __init__(self, stream: httpcore.NetworkStream, rest: _Rest) -> None:
        self._stream, self._rest = stream, rest

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The bytes that come next."""
        found = self._stream.read(max_bytes, self._rest.seconds())
        self._rest.spend(len(found))
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send it all."""
        self._stream.write(buffer, self._rest.seconds())

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):
            self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection, within TLS."""
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._rest.seconds()), self._rest)

    def get_extra_info(self, info: str) -> Any:
        """What the connection below tells of itself."""
        return self._stream.get_extra_info(info)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()
