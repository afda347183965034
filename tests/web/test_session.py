"""Coming in with a real browser: by the link that a hub prints when it starts, and for how long one stays."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Browser, expect

from oakmill.hub import links, sessions
from oakmill.hub.sessions import COOKIE
from tests import in_process
from tests.web.conftest import Served
from tests.web.screenshots import signed_in


def new_link(hub: Served) -> str:
    """A link that signs in, as the hub's operator makes one."""
    finished = in_process.run("keys", "sign-in", "--url", hub.url, OAKMILL_HOME=str(hub.home))
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def test_the_link_of_the_start_signs_in_once(browser: Browser, hub: Served) -> None:
    """A new user had to find a key of 44 letters in the terminal's output, and to paste it."""
    assert re.search(rf"open {hub.url}/session#\S+", (hub.home / "log").read_text())
    link = new_link(hub)  # the hub began earlier than the ten minutes ago for which the printed one works
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    page.wait_for_url("**/models")
    expect(page.get_by_role("heading", name="Models", exact=True)).to_be_visible()
    cookie = next(item for item in context.cookies() if item["name"] == COOKIE)
    assert cookie["expires"] == pytest.approx(time.time() + sessions.SECONDS, abs=300)
    context.close()

    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    expect(page.get_by_role("alert")).to_contain_text("signs in once")
    assert "#" not in page.url
    context.close()


def test_a_session_lasts_from_its_last_use(browser: Browser, hub: Served) -> None:
    """It ended twelve hours after its beginning, in the middle of the work; the page had said "until you sign out"."""
    context = signed_in(browser, hub.url, hub.key)
    cookie = next(item for item in context.cookies() if item["name"] == COOKIE)
    secret = (hub.home / "hub" / "secret").read_bytes()
    said = links.read(secret, "session", cookie["value"])
    older = links.sign(secret, "session", {"key": said["key"], "id": said["id"]}, seconds=sessions.SECONDS - 2 * 86400)
    context.add_cookies([{"name": COOKIE, "value": older, "url": hub.url, "httpOnly": True}])
    page = context.new_page()
    page.goto(f"{hub.url}/models")
    renewed = next(item for item in context.cookies() if item["name"] == COOKIE)["value"]
    assert links.read(secret, "session", renewed)["until"] == pytest.approx(time.time() + sessions.SECONDS, abs=300)
    assert links.read(secret, "session", renewed)["id"] == said["id"]
    context.close()


def test_a_link_is_had_on_the_hubs_machine(browser: Browser, hub: Served) -> None:
    """Who had closed the terminal had to make a key, and paste it."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(new_link(hub))
    page.wait_for_url("**/models")
    context.close()


def test_copying_works_where_pages_have_no_clipboard(browser: Browser, hub: Served) -> None:
    """On plain HTTP, which is how most see a hub in their network, every Copy did nothing."""
    context = browser.new_context()
    context.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page = context.new_page()
    page.goto(f"{hub.url}/session")
    page.locator("[data-copy-of], [data-copy]").first.click()
    expect(page.get_by_role("status")).to_have_text("Copied")
    context.close()


def test_the_theme_follows_the_system_again(browser: Browser, hub: Served) -> None:
    """Once switched, it never did any more."""
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(f"{hub.url}/session")
    switch = page.locator("[data-theme-switch]")
    switch.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    switch.click()
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    context.close()
