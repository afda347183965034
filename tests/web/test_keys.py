"""Keys in a real browser: made and shown once, used, revoked; and the audit log with its filters."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.web.conftest import Served, Watch
from tests.web.screenshots import signed_in


def make(page: Page, name: str, scope: str = "read") -> str:
    """A key, made on the page; the key itself."""
    page.goto("/keys")
    page.fill("#name", name)
    page.check(f"input[name=scope][value={scope}]")
    page.get_by_role("button", name="Make the key").click()
    return page.locator("#made").inner_text()


def works(hub: Served, key: str) -> int:
    return httpx.get(
        f"{hub.url}/api/v1/teams/me", headers={"Authorization": f"Bearer {key}"}, trust_env=False
    ).status_code


def test_a_key_is_shown_once_and_works(page: Page, hub: Served) -> None:
    key = make(page, "ci runner")
    assert re.fullmatch(r"oak_\w{40}", key)
    assert works(hub, key) == 200
    page.goto("/keys")
    expect(page.get_by_text(key)).to_have_count(0)
    expect(page.locator("tr", has_text="ci runner").first).to_contain_text(key[:10])


def test_a_reload_makes_no_other_key(page: Page) -> None:
    """The page that showed a new key was the answer to its form: reloaded, it made one more each time."""
    make(page, "reloaded")
    page.reload()
    expect(page.locator("section[aria-labelledby=all] tr", has_text="reloaded")).to_have_count(1)
    expect(page.locator("#made")).to_have_count(0)


def test_a_key_is_revoked_after_a_question(page: Page, hub: Served) -> None:
    key = make(page, "short lived")
    row = page.locator("tr", has_text="short lived")
    row.get_by_role("button", name="Revoke", exact=True).click()
    row.get_by_role("button", name="Revoke it").click()
    expect(page.locator("tr", has_text="short lived").first).to_contain_text("Revoked")
    assert works(hub, key) == 401


def test_a_key_for_one_model_says_so(page: Page) -> None:
    page.goto("/keys")
    page.fill("#name", "narrow")
    page.select_option("#model_id", label="Plate reader")
    page.select_option("#expires", "7")
    page.get_by_role("button", name="Make the key").click()
    row = page.locator("tr", has_text="narrow").first
    expect(row).to_contain_text("Plate reader")
    expect(row).to_contain_text(re.compile("in 7 days|in 1 week|next week"))


def test_a_name_that_cannot_be_is_told_at_its_field(page: Page, watch: Watch) -> None:
    watch.expected = {422}
    page.goto("/keys")
    page.fill("#name", "a/b")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#name")).to_have_value("a/b")


def test_the_audit_log_is_filtered_by_its_address(page: Page) -> None:
    make(page, "for the log")
    page.goto("/keys")
    page.select_option("select[name=of]", "key")
    page.wait_for_url(re.compile("of=key"))
    actions = page.locator("section[aria-labelledby=audit] code").all_inner_texts()
    assert actions
    assert all(action.startswith("key.") for action in actions)
    page.goto("/keys?subject=nothing-is-called-so")
    expect(page.get_by_text("Nothing to show")).to_be_visible()


def test_who_is_no_admin_sees_their_own_key_only(page: Page, hub: Served, browser: Browser) -> None:
    key = make(page, "a reader")
    context = signed_in(browser, hub.url, key)
    try:
        other = context.new_page()
        other.goto("/keys")
        expect(other.get_by_text("a reader")).to_be_visible()
        expect(other.get_by_text("Audit log")).to_have_count(0)
        expect(other.get_by_role("button", name="Make the key")).to_have_count(0)
    finally:
        context.close()
