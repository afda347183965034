"""Fetches what a configuration names by an address: from hosts and buckets that the operator allows, and no others."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import httpx

from oakmill.errors import SourceError, SpecError
from oakmill.files import aside
from oakmill.outside import addresses_of, is_public
from oakmill.settings import Settings

_ANY = "*"
_HOPS = 5
_SECONDS = 3600.0
_SILENCE = 30.0
_MOST_FILES = 20_000
_PLAIN = re.compile(r"[^\w.+-]+")


class FetchRefused(SpecError):
    """The operator does not allow that this is fetched."""


class FetchFailed(SourceError):
    """What a configuration names could not be fetched."""


def fetch(key: str, address: str, settings: Settings) -> Path:
    """The file at an http or https address, or the file or folder (with "/" at the end) in an S3 bucket.

    It is fetched anew each time, into the cache's folder.

    Raises:
        FetchRefused: it may not be fetched, or lies at a private address that the operator did not name.
        FetchFailed: it is not there, or does not come whole.
    """
    parts = urlsplit(address)
    wanted = f"s3://{parts.netloc}" if parts.scheme == "s3" else parts.hostname or ""
    _require_allowed(key, address, parts.scheme, wanted, settings)
    budget = _Budget(address, settings.source_max_mb << 20)
    folder = settings.cache / "fetched" / hashlib.sha256(address.encode()).hexdigest()[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with aside(folder.parent) as place:
        name = _named(parts.path)
        if parts.scheme == "s3":
            _from_bucket(parts.netloc, parts.path.lstrip("/"), place / name, settings, budget)
        else:
            _save(_over_http(address, settings, budget), place / name)
        shutil.rmtree(folder, ignore_errors=True)
        place.rename(folder)
        place.mkdir()  # `aside` removes it
    return folder / name


def _named(path: str) -> str:
    return _PLAIN.sub("_", PurePosixPath(path).name).lstrip(".") or "fetched"


def _require_allowed(key: str, address: str, scheme: str, wanted: str, settings: Settings) -> None:
    listed = {item.lower().rstrip("/") for item in settings.fetch_from}
    any_host = _ANY in listed and scheme in ("http", "https")
    if scheme not in ("http", "https", "s3") or not wanted or not (any_host or wanted.lower() in listed):
        raise FetchRefused(
            f"the key {key!r} names {address[:200]!r}: nothing is fetched from there",
            subject=key,
            remedy="fetch it yourself, and name the file; or allow it by the setting OAKMILL_FETCH_FROM, a list of "
            "hosts and of buckets (s3://NAME)",
        )


@dataclass
class _Budget:
    """How much may still come, in bytes, and until when."""

    address: str
    rest: int
    files: int = _MOST_FILES

    def __post_init__(self) -> None:
        self.until = time.monotonic() + _SECONDS

    def spent(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces, as long as there is room and time for them."""
        for piece in pieces:
            self.rest -= len(piece)
            if self.rest < 0 or time.monotonic() > self.until:
                what = "larger than the setting source_max_mb" if self.rest < 0 else "not here within an hour"
                raise FetchFailed(f"{self.address} is {what}", subject=self.address)
            yield piece


def _save(pieces: Iterable[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        for piece in pieces:
            file.write(piece)


def _over_http(address: str, settings: Settings, budget: _Budget) -> Iterator[bytes]:
    """The bytes at an address, over redirections each of which is checked as the first one is."""
    url = httpx.URL(address)
    with httpx.Client(trust_env=False, timeout=_SILENCE) as client:
        for _ in range(_HOPS):
            try:
                with client.stream("GET", **_pinned(url, settings)) as answer:
                    if not answer.is_redirect:
                        _require_found(answer, address)
                        yield from budget.spent(answer.iter_bytes())
                        return
                    before, url = url, url.join(answer.headers["location"])
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise FetchFailed(f"{address} could not be fetched: {error}", subject=address) from error
            if url.scheme not in ("http", "https") or (before.scheme, url.scheme) == ("https", "http"):
                raise FetchRefused(f"{address} leads to {url}, which is not followed", subject=address)
            _require_allowed("location", str(url), url.scheme, url.host, settings)
    raise FetchFailed(f"{address} leads on more than {_HOPS} times", subject=address)


def _require_found(answer: httpx.Response, address: str) -> None:
    if not answer.is_success:
        raise FetchFailed(
            f"{address} could not be fetched: the server answers {answer.status_code} {answer.reason_phrase}",
            subject=address,
        )


def _pinned(url: httpx.URL, settings: Settings) -> dict[str, Any]:
    """A request to the very machine that was looked at: its name may lead elsewhere a moment later.

    Raises:
        FetchRefused: it is a private one, which the operator did not name.
        FetchFailed: there is no such host.
    """
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    try:
        addresses = addresses_of(url.host, port)
    except OSError as error:
        raise FetchFailed(f"there is no host {url.host}: {error}", subject=str(url)) from error
    named = url.host.lower() in {item.lower() for item in settings.fetch_from}
    if not named and not all(map(is_public, addresses)):
        raise FetchRefused(
            f"{url.host} is a machine of a private network, from which nothing is fetched",
            subject=str(url),
            remedy="name the host itself in the setting OAKMILL_FETCH_FROM, where it may be asked",
        )
    return {
        "url": url.copy_with(host=addresses[0]),
        "headers": {"Host": url.netloc.decode()},
        "extensions": {"sni_hostname": url.host},
    }


def _from_bucket(bucket: str, key: str, target: Path, settings: Settings, budget: _Budget) -> None:
    """An object, or all below a key that ends with "/"; the store's options or AWS' own variables say how."""
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    options: Any = settings.store_options
    plain = options.get("endpoint", "").startswith("http://")
    try:
        store = from_url(f"s3://{bucket}", config=options, client_options={"allow_http": plain})
        keys = [key] if not key.endswith("/") else [item["path"] for part in obstore.list(store, key) for item in part]
        if len(keys) > budget.files or not keys:
            raise FetchFailed(f"{budget.address} holds {len(keys)} files", subject=budget.address)
        for name in keys:
            below = PurePosixPath(name).relative_to(key).parts if key.endswith("/") else ()
            _save(budget.spent(map(bytes, obstore.get(store, name).stream())), target.joinpath(*map(_named, below)))
    except (BaseError, FileNotFoundError) as error:  # what is not there is Python's own error
        said = str(error).splitlines()[0][:300]
        raise FetchFailed(f"{budget.address} could not be fetched: {said}", subject=budget.address) from error
