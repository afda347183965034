from __future__ import annotations

from playwright.sync_api import Page, expect

from oakmill.conversion.failures import rules


def test_every_rule_has_an_anchor(page: Page) -> None:
    page.goto("/troubleshooting")
    found = page.locator("article").evaluate_all("items => items.map(item => item.id)")
    assert found == [rule.id for rule in rules()]
    assert "{" not in page.locator("#entries").inner_text()


def test_it_narrows_while_one_types(page: Page) -> None:
    page.goto("/troubleshooting")
    page.get_by_label("Search").press_sequentially("open dimensions")
    expect(page.locator("article:visible")).not_to_have_count(len(rules()))
    expect(page.locator("#dynamic-shape")).to_be_visible()
    page.get_by_label("Search").press("Enter")
    expect(page).to_have_url("http://" + page.url.split("/")[2] + "/troubleshooting?text=open+dimensions")
    expect(page.locator("#dynamic-shape")).to_be_visible()


def test_a_platform_leaves_out_what_is_others(page: Page) -> None:
    page.goto("/troubleshooting")
    page.get_by_label("Platform").select_option("RVC3")
    expect(page.locator("#unsupported-op-rvc2")).to_have_count(0)
    expect(page.locator("#dynamic-shape")).to_be_visible()


def test_strangers_read_it_too(stranger: Page) -> None:
    stranger.goto("/troubleshooting")
    expect(stranger.locator("article").first).to_be_visible()
