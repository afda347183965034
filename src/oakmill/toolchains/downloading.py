"""Downloads a large file over HTTP: goes on where it was cut, unless it has changed, and follows to no other host."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from oakmill import __version__
from oakmill.errors import ToolchainMissing
from oakmill.files import atomic_write
from oakmill.processes.events import ToolEvent, Watcher

MAX_BYTES = 16 << 30
PAUSES = (0.5, 2.0, 5.0)
"""Seconds before each further try; a try that brought something starts them anew."""

_HOPS = 5
_SILENCE = httpx.Timeout(60, connect=20)
_TELL_SECONDS = 0.5
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,120})", re.IGNORECASE)


class DownloadFailed(ToolchainMissing):
    """A vendor's archive could not be downloaded."""


class _Again(Exception):
    """This try failed in a way that another may not."""


@dataclass(frozen=True)
class _Origin:
    """What the first bytes of a part came from; the rest is asked for from the same file only."""

    url: str = ""
    mark: str = ""
    total: int = 0


@dataclass(frozen=True)
class Download:
    """One archive on its way: from `url` to the file `part`, which keeps what came when it is cut.

    `magic` are the bytes that it begins with; `remedy` says what else a person can do. It may
    redirect to `hosts` besides its own. What came lies in `part`, and
    beside it, in a file with .json at the end, where it came from.
    """

    url: str
    part: Path
    magic: bytes
    remedy: str
    watch: Watcher
    hosts: tuple[str, ...] = ()

    def fetch(self) -> None:
        """Bring the whole file to `part`.

        Raises:
            DownloadFailed: it cannot be had, or what comes is no such archive; what came of one stays.
            OSError: it cannot be written.
        """
        pauses = iter(PAUSES)
        while True:
            before = self._here()
            try:
                self._once()
            except _Again as error:
                if self._here() > before:
                    pauses = iter(PAUSES)
                pause = next(pauses, None)
                if pause is None:
                    raise self._given_up(error) from error
                self.watch(ToolEvent(line=f"The download stopped ({error}); trying again in {pause:g} s ..."))
                time.sleep(pause)
                continue
            return

    def forget(self) -> None:
        """Remove what came."""
        self.part.unlink(missing_ok=True)
        self._beside.unlink(missing_ok=True)

    @property
    def _beside(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    def _here(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _failed(self, what: str, remedy: str = "") -> DownloadFailed:
        return DownloadFailed(f"{told(self.url)} {what}.", subject=told(self.url), remedy=remedy or self.remedy)

    def _given_up(self, error: _Again) -> DownloadFailed:
        if not self._here():
            return self._failed(f"could not be downloaded: {error}")
        return self._failed(
            f"could not be downloaded whole: {error}. {self._here() / 1e6:.0f} MB of it are here",
            f"Give the same command again: it goes on from there. {self.remedy}",
        )

    def _origin(self) -> _Origin:
        """Where the part came from; nothing where it cannot be gone on with."""
        try:
            found = _Origin(**json.loads(self._beside.read_text()))
        except (OSError, ValueError, TypeError):
            return _Origin()
        return found if found.url == told(self.url) and found.mark and self._here() else _Origin()

    def _once(self) -> None:
        origin = self._origin()
        if origin.total and self._here() == origin.total:
            return
        asked = {"Range": f"bytes={self._here()}-", "If-Range": origin.mark} if origin.mark else {}
        with self._answer(asked) as answer:
            goes_on = answer.status_code == httpx.codes.PARTIAL_CONTENT
            if goes_on and not self._is_rest_of(origin, answer):
                self.forget()
                raise _Again("the file has changed between two pieces")
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                self.forget()
                raise _Again("the file has become shorter")
            if not goes_on:
                origin = self._begin(answer, anew=bool(asked))
            self._save(answer, origin)

    def _is_rest_of(self, origin: _Origin, answer: httpx.Response) -> bool:
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        begins_there = found is not None and int(found[1]) == self._here()
        same_length = found is not None and origin.total in (0, int(found[2]))
        return begins_there and same_length and (_mark(answer) or origin.mark) == origin.mark

    def _begin(self, answer: httpx.Response, *, anew: bool) -> _Origin:
        """Make room for the file from its first byte on."""
        announced = answer.headers.get("Content-Length", "")
        origin = _Origin(told(self.url), _mark(answer), int(announced) if announced.isdigit() else 0)
        self.forget()
        if anew:
            self.watch(
                ToolEvent(line="The file has changed since it was cut, or cannot be gone on with: from the start")
            )
        if origin.total > MAX_BYTES:
            raise self._failed(f"is {origin.total / 1e9:.0f} GB long, which no such archive is")
        free = shutil.disk_usage(self.part.parent).free
        if origin.total > free:
            raise self._failed(
                f"is {origin.total / 1e6:.0f} MB long, and {free / 1e6:.0f} MB are free in {self.part.parent}",
                "Free some space there, or set OAKMILL_HOME to a folder with more.",
            )
        size = f"{origin.total / 1e6:.0f} MB" if origin.total else "of a length that the server does not tell"
        self.watch(ToolEvent(line=f"Downloading {told(self.url)}, {size}"))
        atomic_write(self._beside, json.dumps(asdict(origin)))
        return origin

    def _save(self, answer: httpx.Response, origin: _Origin) -> None:
        size, told = self._here(), 0.0
        try:
            with self.part.open("ab") as file:
                for data in answer.iter_raw():
                    if size == 0:
                        self._require_archive(data, answer)
                    size += len(data)
                    if size > (origin.total or MAX_BYTES):
                        raise self._failed(f"is longer than the {origin.total or MAX_BYTES} bytes that were announced")
                    file.write(data)
                    if time.monotonic() >= told:
                        told = time.monotonic() + _TELL_SECONDS
                        self._tell(size, origin.total)
        except httpx.TransportError as error:
            raise _Again(f"{type(error).__name__}: {error}") from error
        if size < origin.total or size == 0:
            raise _Again(f"it ends after {size} of {origin.total} bytes")
        self._tell(size, origin.total)

    def _tell(self, size: int, total: int) -> None:
        self.watch(ToolEvent(what="downloading", done=size // 1_000_000, total=total // 1_000_000, unit="MB"))

    def _require_archive(self, first: bytes, answer: httpx.Response) -> None:
        if first.startswith(self.magic[: len(first)]):
            return
        kind = answer.headers.get("Content-Type", "something of no stated kind").partition(";")[0]
        title = _TITLE.search(first)
        named = f", {title[1].decode(errors='replace').strip()!r}" if title else ""
        page = " The server may ask for a sign-in." if "html" in kind else ""
        raise self._failed(f"gives no archive but {kind}{named}.{page}".rstrip("."))

    @contextmanager
    def _answer(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """The server's answer, over redirections within its host."""
        asked = {"User-Agent": f"oakmill/{__version__}", "Accept-Encoding": "identity", **headers}
        url = httpx.URL(self.url)
        with httpx.Client(timeout=_SILENCE) as client:
            for _ in range(_HOPS):
                try:
                    request = client.build_request("GET", url, headers=asked)
                    answer = client.send(request, stream=True)
                except (httpx.TransportError, httpx.InvalidURL) as error:
                    raise _Again(f"{type(error).__name__}: {error}") from error
                with closing(answer):
                    if not answer.has_redirect_location:
                        self._require_found(answer)
                        yield answer
                        return
                    url = self._next(url, answer)
        raise self._failed(f"leads on more than {_HOPS} times")

    def _next(self, url: httpx.URL, answer: httpx.Response) -> httpx.URL:
        there = url.join(answer.headers["Location"])
        where = f"redirects to {there.scheme}://{there.netloc.decode()}, which is refused"
        if there.scheme not in (url.scheme, "https"):
            raise self._failed(where)
        if there.host not in (httpx.URL(self.url).host, *self.hosts):
            allow = (
                f"If you know that host to be the vendor's: OAKMILL_ARCHIVE_HOSTS='[\"{there.host}\"]'. {self.remedy}"
            )
            raise self._failed(f"{where}: it is another host", allow)
        return there

    def _require_found(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if answer.is_success or status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        words = f"{status} {answer.reason_phrase}"
        if status in _TRY_AGAIN:
            raise _Again(f"the server answers {words}")
        raise self._failed(f"could not be downloaded: the server answers {words}")


def told(url: str) -> str:
    """An address as it may be shown and kept: without a user's name and password, and without a signed query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _mark(answer: httpx.Response) -> str:
    """What tells this state of the file from others, where the server gives such: a strong ETag, or a date."""
    tag: str = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else str(answer.headers.get("Last-Modified", ""))
