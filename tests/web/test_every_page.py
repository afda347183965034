"""Every page in both themes and in a narrow window: nothing for a screen reader to stumble over, nothing cut off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.conftest import PROJECT
from tests.web.conftest import Served, Watch
from tests.web.screenshots import signed_in
from tests.web.test_datasets import SLOW, add_set, pictures

AXE = PROJECT / "node_modules" / "axe-core" / "axe.min.js"
PAGES = (
    "/models", "/models?text=nosuchword", "/models/new", "/models/default/warehouse-detector", "/models/{long}",
    "/models/{full}/edit", "/models/{full}/delete", "/models/{full}/upload", "/instances/{source}",
    "/instances/{source}/convert", "/instances/{source}/convert/rvc2", "/instances/{archive}/convert/rvc3",
    "/instances/{source}/convert/rvc4", "/instances/{source}/graph?wait=true", "/instances/{source}/colours",
    "/conversions", "/conversions?status=failed", "/jobs/{waiting}", "/jobs/{failed}", "/jobs/{succeeded}",
    "/instances/{result}", "/instances/{result}?tab=camera", "/instances/{result}?tab=recipe",
    "/instances/{result}?tab=parameters", "/instances/{result}?tab=lineage", "/instances/{result}?tab=compare",
    "/models/default/compared", "/compare?with={result}&with={source}",
    "/compare?with={result}&with={other}&with={source}", "/compare", "/datasets", "/datasets/{set}",
    "/datasets/named/random", "/toolchains", "/keys", "/troubleshooting", "/session", "/nowhere", "/quick",
    "/quick/{source}", "/instances/{source}/batch", "/instances/{source}/matrix", "/instances/{compared}/matrix",
    "/workers", "/trash", "/storage", "/storage?results=1",
    "/webhooks", "/device", "/bundles/new",
)  # fmt: skip
FAULTS = """async (rules) => {
  const quick = { resultTypes: ["violations"], iframes: false, preload: false };  // no rule asks for what is preloaded
  const found = await axe.run(document, { ...quick, ...rules });
  return found.violations.filter((item) => ["moderate", "serious", "critical"].includes(item.impact))
    .map((item) => [item.id, ...item.nodes.slice(0, 3).map((node) => node.target + " " + node.failureSummary)]);
}"""
CONTRAST = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""The rules whose verdict depends on the theme."""
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def known(hub: Served, failed: dict[str, Any], pair: list[dict[str, Any]]) -> dict[str, str]:
    """Identifiers of what the pages are about, by word."""
    with hub.client() as client:
        waiting = client.post(f"/jobs/{failed['id']}/retry", json={}).raise_for_status().json()
    made = {"succeeded": pair[0]["id"], "result": str(pair[0]["result_id"]), "other": str(pair[1]["result_id"])}
    made["compared"] = pair[0]["source_id"]
    found = {**hub.ids, **made, "failed": failed["id"], "waiting": waiting["id"]}
    return {**found, "set": add_set(hub, "Every page", pictures(8, seed=5))}


def opened(page: Page, path: str) -> None:
    page.goto(path, timeout=SLOW)
    if path.startswith("/datasets/aid"):
        expect(page.locator(".findings").first).to_be_visible(timeout=SLOW)


@pytest.fixture
def auditor(browser: Browser, hub: Served, watch: Watch) -> Iterator[BrowserContext]:
    """A window into which axe may be put, past the policy of the pages."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci)")
    watch.expected = {404}
    context = signed_in(browser, hub.url, hub.key, bypass_csp=True, reduced_motion="reduce")
    watch.over(context)
    yield context
    context.close()


@pytest.mark.timeout(900)
def test_every_page_in_both_themes_and_on_a_phone(auditor: BrowserContext, known: dict[str, str]) -> None:
    """Each page is opened once. The cookie of the theme that it is switched to is that of the next page."""
    page, axe = auditor.new_page(), AXE.read_text()
    wide: Any = page.viewport_size
    theme, faults, too_wide = "light", [], {}
    for path in PAGES:
        opened(page, path.format_map(known))
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        page.evaluate(axe)
        faults += [f"{path} {theme}: {fault}" for fault in page.evaluate(FAULTS, {})]
        theme = "dark" if theme == "light" else "light"
        page.locator("[data-theme-switch]").first.click()
        faults += [f"{path} {theme}: {fault}" for fault in page.evaluate(FAULTS, CONTRAST)]
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        if (width := page.evaluate("document.documentElement.scrollWidth")) > PHONE["width"]:
            too_wide[path] = width
        page.set_viewport_size(wide)
    assert not faults, "\n".join(faults)
    assert not too_wide


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
