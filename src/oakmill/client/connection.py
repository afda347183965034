"""Asks a hub over HTTP: patient where the connection breaks and asking again does no harm, and never more than that."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from oakmill import __version__
from oakmill.client.problems import error_of, no_hub, unreachable
from oakmill.errors import HubUnreachable, SpecError, TooManyRequests, Unavailable

API = "/api/v1"
TIMEOUT = httpx.Timeout(60, connect=10)
LOOKING = httpx.Timeout(300, connect=10)
"""For requests in which the hub looks at files."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 3.0
_FOR_STRANGERS = 1.0

T = TypeVar("T")


@dataclass
class Patience:
    """How long a hub that does not answer is waited for, from the last sign of life; restarting takes it seconds."""

    seconds: float
    _since: float | None = None
    _pause: float = _FIRST_PAUSE

    def rest(self, error: Exception) -> None:
        """Wait before the next try; the error itself where patience has ended."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since + self._pause > self.seconds:
            raise error
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def renew(self) -> None:
        """There was a sign of life."""
        self._since, self._pause = None, _FIRST_PAUSE


@dataclass
class Connection:
    """A hub's address with a key. `patience` is how many seconds it is waited for when it does not answer."""

    url: str
    key: str | None = field(default=None, repr=False)
    patience: float = 60.0
    _has_answered: bool = False

    def __post_init__(self) -> None:
        self.url = address_of(self.url)
        headers = {"User-Agent": f"oakmill/{__version__}"}
        trusting = not _is_loopback(self.url)  # no proxy stands between a machine and itself
        self.http = httpx.Client(headers=headers, timeout=TIMEOUT, trust_env=trusting)

    @property
    def authorization(self) -> dict[str, str]:
        """The key as a header; for the hub's own address only."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def get(self, path: str, **query: Any) -> Any:
        """What the hub says; asked again while it does not answer.

        Raises:
            HubUnreachable: it does not answer, or is no hub.
            OakmillError: what the hub refuses it with, by name.
        """
        return self.ask("GET", path, params=_stated(query))

    def ask(self, method: str, path: str, *, again: bool | None = None, **request: Any) -> Any:
        """What the hub answers. `again` says that asking twice does no harm, which is so for GET and PATCH.

        Raises:
            HubUnreachable: it does not answer, or is no hub.
            OakmillError: what the hub refuses it with, by name.
        """
        harmless = method in {"GET", "PATCH"} if again is None else again
        return self.patiently(lambda: _content(self.send(method, path, **request), self.url), harmless=harmless)

    def patiently(self, act: Callable[[], T], *, harmless: bool = True) -> T:
        """Do it, again and again while the hub does not answer; at once give up where it may have been done.

        Raises:
            HubUnreachable, Unavailable: it does not answer for longer than there is patience.
        """
        patience = self.patient()
        while True:
            try:
                return act()
            except (HubUnreachable, Unavailable) as error:
                if not harmless and not _never_arrived(error):
                    raise
                patience.rest(error)

    def patient(self) -> Patience:
        """New patience; a hub that has never answered is hardly waited for, as its address may be wrong."""
        return Patience(self.patience if self._has_answered else min(self.patience, _FOR_STRANGERS))

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request, and its answer that is no refusal.

        Raises:
            HubUnreachable: the hub does not answer.
            OakmillError: what the hub refuses it with, by name.
        """
        headers = {**self.authorization, **request.pop("headers", {})}
        with self.reaching():
            answer = self.http.request(method, f"{self.url}{API}{path}", headers=headers, **request)
        self._has_answered = True
        return checked(answer, self.url)

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Name what breaks on the way.

        Raises:
            HubUnreachable: the connection could not be made, or broke.
        """
        try:
            yield
        except httpx.TransportError as error:
            raise unreachable(self.url, str(error) or type(error).__name__) from error
        except httpx.InvalidURL as error:
            raise SpecError(f"{self.url} is no address: {error}", subject=self.url) from error

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        """All items of a list, page after page.

        Raises:
            HubUnreachable: the hub does not answer.
            OakmillError: what the hub refuses it with, by name.
        """
        cursor = None
        while True:
            page = self.get(path, **query, cursor=cursor)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def close(self) -> None:
        """Let go of the connection."""
        self.http.close()


def checked(answer: httpx.Response, url: str) -> httpx.Response:
    """The answer, where it is no refusal.

    Raises:
        HubUnreachable: something else than a hub answers.
        OakmillError: what the hub refuses it with, by name.
    """
    if answer.is_success:
        return answer
    if answer.is_redirect:
        raise no_hub(url)
    answer.read()
    raise error_of(answer)


def address_of(text: str) -> str:
    """A hub's address, from what people type: without a scheme it is http on this machine, else https.

    Raises:
        SpecError: it is no address.
    """
    text = text.strip()
    if "://" not in text:
        text = f"{'http' if _is_loopback(f'http://{text}') else 'https'}://{text}"
    text = text.rstrip("/").removesuffix(API)
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and not parts.query
    except ValueError:
        valid = False
    if not valid:
        raise SpecError(f"{text!r} is no hub's address.", subject=text, remedy="Write http://host:8411")
    return text


def _content(answer: httpx.Response, url: str) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        raise no_hub(url) from None


def _stated(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _never_arrived(error: BaseException) -> bool:
    """Whether nothing was certainly done: there was no connection to go through, or it was refused at the door."""
    refused = isinstance(error, TooManyRequests)
    return refused or isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout)


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
