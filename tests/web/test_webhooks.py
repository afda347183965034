"""Webhooks in a real browser: added, the secret shown once, tested, sent again, removed."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.receiver import receiving
from tests.web.conftest import Served, Watch


def test_a_webhook_is_added_tested_and_removed(page: Page, hub: Served) -> None:
    with receiving(500, 204) as receiver:
        page.goto("/keys")
        page.get_by_role("link", name="Webhooks").click()
        page.fill("#url", receiver.url)
        page.uncheck("input[value='job.cancelled']")
        page.get_by_role("button", name="Add it").click()
        secret = page.locator("#made").inner_text()
        page.reload()
        expect(page.locator("#made")).to_have_count(0)
        row = page.locator("section[aria-labelledby=all] tr", has_text=receiver.url)
        expect(row).to_have_count(1)
        expect(row).not_to_contain_text("job.cancelled")

        row.get_by_role("button", name="Test").click()
        message = page.locator("#last tr", has_text="webhook.test")
        expect(message).to_contain_text("the receiver answers 500")
        message.get_by_role("button", name="Send again").click()
        expect(page.locator("#last tr", has_text="webhook.test")).to_contain_text("Delivered")
        assert receiver.heard[0].id == receiver.heard[1].id
        assert receiver.heard[1].verified(secret)["type"] == "webhook.test"

        row.get_by_role("button", name="Remove", exact=True).click()
        row.get_by_role("button", name="Remove it").click()
        expect(page.get_by_text("No webhooks")).to_be_visible()


def test_an_address_that_it_cannot_go_to_is_told_at_its_field(page: Page, watch: Watch) -> None:
    watch.expected.add(422)
    page.goto("/webhooks")
    page.fill("#url", "https://user:word@ci.example.com/")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_contain_text("no address that a webhook can go to")
    expect(page.locator("#url")).to_have_value("https://user:word@ci.example.com/")


def test_who_rules_nothing_sees_no_webhooks(stranger: Page) -> None:
    stranger.goto("/webhooks")
    expect(stranger).to_have_url(re.compile(r"/session\?next=/webhooks"))
