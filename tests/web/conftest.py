"""A hub that serves its pages in a process of its own, and Debian's Chromium, whose every complaint fails a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright

from oakmill.web.render import STATIC
from tests.hub_servers import ServedHub
from tests.tools import link_toolchains
from tests.web.furnish import Hub, furnish, network
from tests.web.screenshots import CHROMIUM, QUIET, signed_in
from tests.web.working import asked, ran, source, unsupported

OPEN = {"OAKMILL_PUBLIC_WITHOUT_KEY": "true", "OAKMILL_WEBHOOK_NETWORKS": '["127.0.0.0/8"]'}


@dataclass
class Served(Hub):
    """The hub of these tests, with what is in it by word."""

    ids: dict[str, str] = field(default_factory=dict)
    home: Path = Path()


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub with models in it. No worker runs: pages are looked at while jobs wait."""
    home = tmp_path_factory.mktemp("hub") / "home"
    home.mkdir()
    link_toolchains(home)
    with ServedHub(home, variables=OPEN) as served:
        found = Served(served.url, served.key, home=home)
        with found.client() as client:
            found.ids.update(furnish(client))
        yield found


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser. While it is there an event loop runs in this thread, so it has to end with the tests of pages."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed (apt-get install chromium-headless-shell)")
    if not (STATIC / "vendor" / "htmx.min.js").exists():
        pytest.skip("the pages' libraries are not there (./run fetches them)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@dataclass
class Watch:
    """What went wrong in a browser's windows; a test that means something to go wrong says so."""

    host: str
    expected: set[int] = field(default_factory=set)
    expected_texts: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("request", self._request)
        context.on("response", self._response)
        context.on("weberror", lambda error: self.wrong.append(f"error: {error.error}"))

    def _console(self, message: ConsoleMessage) -> None:
        texts = self.expected_texts | {f"status of {status}" for status in self.expected}
        refused = any(text in message.text for text in texts)
        if message.type in ("error", "warning") and not refused:
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self.host:
            self.wrong.append(f"to another host: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.wrong.append(f"{response.status} {response.request.method} {response.url}")


@contextmanager
def watching(hub: Hub) -> Iterator[Watch]:
    """A watch over a hub's windows; at the end of the block nothing may have gone wrong."""
    found = Watch(urlsplit(hub.url).netloc)
    yield found
    assert not found.wrong, found.wrong


@contextmanager
def watched_admin(browser: Browser, hub: Hub, watch: Watch) -> Iterator[BrowserContext]:
    """A browser that is signed in as the hub's admin."""
    opened = signed_in(browser, hub.url, hub.key)
    watch.over(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def failed(hub: Served) -> dict[str, Any]:
    """A job that failed: RVC2 has no such operator."""
    return ran(hub, hub.home, asked(hub, source(hub, "Broken head", unsupported(), "broken.onnx")))


@pytest.fixture(scope="session")
def pair(hub: Served) -> list[dict[str, Any]]:
    """Two jobs that succeeded, of the same source: blobs for 2 and for 5 SHAVEs."""
    of = source(hub, "Compared", network(28))
    specs = {f"{count} shaves": {"blob": True, "number_of_shaves": count} for count in (2, 5)}
    return [ran(hub, hub.home, asked(hub, of, name=name, spec=spec)) for name, spec in specs.items()]


@pytest.fixture
def watch(hub: Served) -> Iterator[Watch]:
    with watching(hub) as found:
        yield found


@pytest.fixture
def context(browser: Browser, hub: Served, watch: Watch) -> Iterator[BrowserContext]:
    """A browser that is signed in as the hub's admin."""
    with watched_admin(browser, hub, watch) as opened:
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def stranger(browser: Browser, hub: Served, watch: Watch) -> Iterator[Page]:
    """A window of somebody without a key."""
    opened = browser.new_context(base_url=hub.url)
    watch.over(opened)
    yield opened.new_page()
    opened.close()
