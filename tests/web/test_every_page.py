"""Every page in both themes and in a narrow window: nothing for a screen reader to stumble over, nothing cut off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.conftest import PROJECT
from tests.web.conftest import Served, Watch
from tests.web.furnish import network
from tests.web.screenshots import signed_in
from tests.web.test_datasets import SLOW, add_set, pictures
from tests.web.working import asked, ran, source, unsupported

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
PAGES = (
    "/models", "/models?text=nosuchword", "/models/new", "/models/default/warehouse-detector", "/models/{long}",
    "/models/{full}/edit", "/models/{full}/delete", "/models/{full}/upload", "/instances/{source}",
    "/instances/{source}/convert", "/instances/{source}/convert/rvc2", "/instances/{archive}/convert/rvc3",
    "/instances/{source}/convert/rvc4", "/instances/{source}/graph?wait=true", "/instances/{source}/colours",
    "/conversions", "/conversions?status=failed", "/jobs/{waiting}", "/jobs/{failed}", "/jobs/{succeeded}",
    "/instances/{result}", "/instances/{result}?tab=camera", "/instances/{result}?tab=recipe",
    "/instances/{result}?tab=parameters", "/instances/{result}?tab=lineage", "/instances/{result}?tab=compare",
    "/compare?a={result}&b={source}", "/compare", "/datasets", "/datasets/{set}", "/datasets/named/random",
    "/toolchains", "/keys", "/troubleshooting", "/session", "/nowhere",
)  # fmt: skip
FAULTS = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"], iframes: false });
  return found.violations.filter((item) => ["serious", "critical"].includes(item.impact))
    .map((item) => [item.id, ...item.nodes.slice(0, 3).map((node) => node.target + " " + node.failureSummary)]);
}"""


@pytest.fixture(scope="module")
def known(hub: Served) -> dict[str, str]:
    """Identifiers of what the pages are about, by word."""
    failed = ran(hub, hub.home, asked(hub, source(hub, "All that fails", unsupported())))
    made = ran(hub, hub.home, asked(hub, source(hub, "All that works", network(24)), name="works"))
    waiting = asked(hub, source(hub, "All that waits", network(68)), "rvc4")
    jobs = {"failed": failed["id"], "succeeded": made["id"], "waiting": waiting["id"], "result": str(made["result_id"])}
    return {**hub.ids, **jobs, "set": add_set(hub, "Every page", pictures(8, seed=5))}


def opened(page: Page, path: str) -> None:
    page.goto(path, timeout=SLOW)
    if path.startswith("/datasets/aid"):
        expect(page.locator(".findings").first).to_be_visible(timeout=SLOW)


@pytest.fixture
def auditor(browser: Browser, hub: Served, watch: Watch) -> Iterator[BrowserContext]:
    """A window into which axe may be put, past the policy of the pages."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci)")
    session = signed_in(browser, hub.url, hub.key)
    state: Any = session.storage_state()
    session.close()
    watch.expected = {404}
    context = browser.new_context(base_url=hub.url, bypass_csp=True, storage_state=state, reduced_motion="reduce")
    watch.over(context)
    yield context
    context.close()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(auditor: BrowserContext, hub: Served, known: dict[str, str], theme: Any) -> None:
    auditor.add_cookies([{"name": "theme", "value": theme, "url": hub.url}])
    page = auditor.new_page()
    axe = AXE.read_text()
    faults = []
    for path in PAGES:
        opened(page, path.format_map(known))
        if theme == "light":
            page.wait_for_timeout(300)  # once is enough to hear what a page asks for afterwards; some never cease
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        page.evaluate(axe)
        if found := page.evaluate(FAULTS):
            faults += [f"{path}: {fault}" for fault in found]
    assert not faults, "\n".join(faults)


@pytest.mark.timeout(600)
def test_no_page_is_wider_than_a_phone(page: Page, watch: Watch, known: dict[str, str]) -> None:
    watch.expected = {404}
    page.set_viewport_size({"width": 390, "height": 800})
    wide = {}
    for path in PAGES:
        opened(page, path.format_map(known))
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 390:
            wide[path] = width
    assert not wide


def test_the_theme_is_the_systems_until_one_is_chosen(browser: Browser, hub: Served, watch: Watch) -> None:
    context = browser.new_context(base_url=hub.url, color_scheme="dark", java_script_enabled=False)
    watch.over(context)
    page = context.new_page()
    page.goto("/session")
    dark = page.locator("body").evaluate("item => getComputedStyle(item).backgroundColor")
    context.add_cookies([{"name": "theme", "value": "light", "url": hub.url}])
    page.goto("/session")
    assert dark != page.locator("body").evaluate("item => getComputedStyle(item).backgroundColor")
    context.close()


def test_pages_travel_packed(page: Page) -> None:
    answer = page.goto("/models")
    assert answer is not None
    assert answer.header_value("content-encoding") == "gzip"
