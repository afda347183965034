"""Fetches files over HTTP: limited in size and time, tried again where that helps, complete or not there at all."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from functools import cache
from pathlib import Path
from threading import Event
from typing import IO, Any
from urllib.parse import urlsplit

from oakmill import __version__
from oakmill.errors import SourceError
from oakmill.files import aside

CHUNK = 1 << 16
SILENCE_SECONDS = 30.0  # without a byte
TELL_SECONDS = 0.5
PAUSES = (0.5, 2.0, 5.0)  # seconds before each further try
GONE = frozenset({403, 404, 410})  # S3 says 403 for what is not there to callers that may not list
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class FetchFailed(SourceError):
    """A file could not be fetched from the network."""


class NotThere(FetchFailed):
    """The server answers, but does not have the file."""


class _Again(Exception):
    """This try failed in a way that another may not."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http and https only, and never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        target = urlsplit(newurl).scheme
        if target not in ("http", "https") or (req.type == "https" and target == "http"):
            raise FetchFailed(f"{req.full_url} redirects to {newurl}, which is not followed", subject=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


@cache  # certificates are read once, not for each image
def _opener() -> urllib.request.OpenerDirector:
    """An opener of http and https alone; urllib's usual one opens file: and ftp: too."""
    director = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),  # HTTPS_PROXY and its like
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        director.add_handler(handler)
    director.addheaders = [("User-Agent", f"oakmill/{__version__}")]
    return director


@dataclass(frozen=True)
class Limits:
    """What one file may take: bytes, and seconds in one try; setting `stop` from another thread ends all tries.

    `tell` hears how many bytes of how many have come, 0 where the server does not say, about twice a second.
    """

    bytes: int
    seconds: float
    stop: Event = field(default_factory=Event)
    tell: Callable[[int, int], None] | None = None


def fetch(url: str, target: Path, limits: Limits) -> str:
    """Fetch a file to `target`, by way of a temporary name beside it; returns its sha256.

    Args:
        url: http or https.
        target: where it goes; its folder exists.
        limits: a longer file is refused, a slower one tried again.

    Raises:
        NotThere: the server does not have it.
        FetchFailed: it cannot be reached, or sends what is not wanted.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise FetchFailed(f"{url} is no http or https address", subject=url)
    with aside(target.parent) as place:
        digest = _tries(url, place / target.name, limits)
        (place / target.name).replace(target)
    return digest


def _tries(url: str, part: Path, limits: Limits) -> str:
    for pause in (*PAUSES, None):
        try:
            return _once(url, part, limits)
        except _Again as error:
            if pause is None or limits.stop.wait(pause):
                raise FetchFailed(f"{url} could not be fetched: {error}", subject=url) from error
    raise AssertionError  # the last try returns or raises


def _once(url: str, part: Path, limits: Limits) -> str:
    try:
        with _opener().open(url, timeout=SILENCE_SECONDS) as response:
            return _save(response, url, part, limits)
    except urllib.error.HTTPError as error:
        with error:
            _refuse(error, url)
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            message = f"{url} could not be fetched: its certificate is not trusted here: {error.reason}"
            remedy = "Behind a proxy, set SSL_CERT_FILE to its bundle."
            raise FetchFailed(message, subject=url, remedy=remedy) from error
        raise _Again(str(error.reason)) from error
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError, ValueError) as error:
        raise _Again(f"{type(error).__name__}: {error}") from error
    raise AssertionError  # _refuse raises


def _refuse(error: urllib.error.HTTPError, url: str) -> None:
    if error.code in _TRY_AGAIN:
        raise _Again(f"the server answers {error.code} {error.reason}") from error
    kind = NotThere if error.code in GONE else FetchFailed
    raise kind(f"{url} could not be fetched: the server answers {error.code} {error.reason}", subject=url) from error


def _save(response: Any, url: str, part: Path, limits: Limits) -> str:
    digest, size, deadline = hashlib.sha256(), 0, time.monotonic() + limits.seconds
    announced, told = response.headers.get("Content-Length", ""), 0.0
    with part.open("wb") as file:
        while data := response.read1(CHUNK):
            size += len(data)
            if size > limits.bytes:
                raise FetchFailed(f"{url} is longer than {limits.bytes >> 20} MB, and was refused", subject=url)
            if time.monotonic() > deadline or limits.stop.is_set():
                raise _Again("it takes too long")
            digest.update(data)
            file.write(data)
            if limits.tell and time.monotonic() >= told:
                limits.tell(size, int(announced) if announced.isdigit() else 0)
                told = time.monotonic() + TELL_SECONDS
    if announced.isdigit() and int(announced) != size:
        raise _Again(f"it ends after {size} of {announced} bytes")
    return digest.hexdigest()
