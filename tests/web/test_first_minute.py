"""The first minute on a hub that is empty: what it is, an example to convert, docs and licences that lie on the hub."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from oakmill.web.views import manual
from tests.hub_servers import ServedHub
from tests.tools import link_toolchains
from tests.web.conftest import Served, watched_admin, watching

SLOW = 240_000
"""Milliseconds for what is trained, or looked at by an isolated worker: a bound, not a promise of speed."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub of nothing, started as ./run does."""
    home = tmp_path_factory.mktemp("empty") / "home"
    home.mkdir()
    link_toolchains(home)
    with ServedHub(home, variables={"OAKMILL_COMMAND": "./run"}) as served:
        yield Served(served.url, served.key, home=home)


@pytest.fixture(scope="module")
def admin(browser: Browser, empty: Served) -> Iterator[BrowserContext]:
    with watching(empty) as watch, watched_admin(browser, empty, watch) as opened:
        opened.set_default_timeout(SLOW)
        yield opened


@pytest.fixture
def page(admin: BrowserContext) -> Iterator[Page]:
    opened = admin.new_page()
    yield opened
    opened.close()


def test_who_comes_first_is_told_what_this_is(browser: Browser, empty: Served) -> None:
    """The page that asks for a key said no more than that it wants one."""
    context = browser.new_context(base_url=empty.url)
    page = context.new_page()
    page.goto("/models")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("A trained model goes in"))).to_be_visible()
    expect(page.locator("#sign-in-link")).to_have_text("./run keys sign-in")
    context.close()


def test_an_empty_hub_shows_what_it_does_and_loads_an_example(page: Page) -> None:
    """It said "No models yet", and who had no model at hand could try nothing."""
    page.goto("/models")
    expect(page.get_by_role("img", name=re.compile("A trained model goes in"))).to_be_visible()
    page.get_by_text("Or from the command line").click()
    expect(page.locator("#from-cli")).to_contain_text("./run upload yolo.onnx")
    page.get_by_role("button", name="Load an example").click()
    expect(page.locator(".model-card")).to_have_count(2, timeout=SLOW)
    page.get_by_text("Example digits").click()
    expect(page.locator(".prose")).to_contain_text(re.compile(r"It names 9\d\.\d% of 400 digits rightly"))


def test_the_example_is_converted_with_its_own_labelled_images(page: Page) -> None:
    page.goto("/models")
    page.get_by_text("Example balls").click()
    page.get_by_role("link", name="Convert").first.click()
    page.get_by_role("dialog").get_by_role("link", name="Convert for RVC4").click()
    expect(page.locator("#images").get_by_label(re.compile("^Example balls"))).to_be_checked()
    expect(page.locator("#head")).to_contain_text("3 classes", timeout=SLOW)
    expect(page.locator("#equal-cli")).to_contain_text("./run convert")
    expect(page.locator("#equal-cli")).to_contain_text("--quantization-data example-balls")
    page.goto("/datasets")
    page.get_by_role("link", name="Example balls").click()
    expect(page.locator("#report")).to_contain_text("Labels", timeout=SLOW)


def test_loaded_twice_it_is_there_once(page: Page, admin: BrowserContext, empty: Served) -> None:
    page.goto("/models")
    answer = page.request.post("/examples", headers={"Origin": empty.url})
    assert answer.ok
    expect(page.locator(".model-card")).to_have_count(2)


def test_docs_and_their_images_come_from_the_hub(page: Page) -> None:
    page.goto("/models")
    page.get_by_role("link", name="Docs", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("From a laptop to a hub")
    page.get_by_role("navigation", name="Docs").get_by_role("link", name="Convert in the browser").click()
    image = page.locator("article img").first
    image.scroll_into_view_if_needed()
    assert image.evaluate("image => image.complete && image.naturalWidth > 100")
    page.locator("article").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_every_link_between_the_docs_leads_somewhere() -> None:
    """A link to a file beside the docs, or to a heading that there is not, would lead nowhere on a hub."""
    pages = {item.path: str(manual.chapter(item.path)[1]) for items in manual.chapters().values() for item in items}
    assert len(pages) > 30
    dead = []
    for path, text in pages.items():
        for found in re.findall(r'(?:href|src)="(?!https?:)([^"]+)"', text):
            file, _, heading = found.partition("#")
            where = posixpath.normpath(posixpath.join(posixpath.dirname(path), file)) if file else path
            there = where in pages or (where.startswith("images/") and (manual.root() / where).is_file())
            if not there or (heading and f'id="{heading}"' not in pages[where]):
                dead.append((path, found))
    assert not dead


def test_licences_are_there_to_read(page: Page) -> None:
    page.goto("/licences")
    page.get_by_role("link", name="Apache License 2.0").click()
    expect(page.locator("pre")).to_contain_text("Apache License")
    page.goto("/licences")
    page.get_by_role("link", name="numpy", exact=True).first.click()
    expect(page.locator("pre")).to_contain_text("Redistribution")


@pytest.mark.parametrize(
    "path", ["/docs/../pyproject.toml", "/docs/nothing.md", "/docs/images/..%2f..%2fLICENSE", "/licences/text?name=no"]
)
def test_what_is_no_page_of_the_docs_is_not_served(page: Page, path: str, empty: Served) -> None:
    answer = page.request.get(path)
    assert answer.status == 404


def test_commands_stay_as_they_are_where_oakmill_is_on_the_path(stranger: Page, hub: Served) -> None:
    """Told by the other hub of these tests, which was not started by ./run."""
    stranger.goto("/session")
    expect(stranger.locator("#sign-in-link")).to_have_text("oakmill keys sign-in")


def test_the_picture_fits_a_phone(browser: Browser, empty: Served, tmp_path: Path) -> None:
    context = browser.new_context(base_url=empty.url, viewport={"width": 390, "height": 800}, color_scheme="dark")
    page = context.new_page()
    page.goto("/session")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
