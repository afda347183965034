"""Aliases in a real browser: pointed to a version, moved, led back by one button, and what each move says."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.web.conftest import Served
from tests.web.furnish import made


def test_an_alias_is_pointed_moved_and_led_back(page: Page, hub: Served) -> None:
    with hub.client() as client:
        model = made(client, "/models", {"name": "Pointed at"})["id"]
        versions = [
            made(client, f"/models/{model}/versions", {"variant": "small", "version": number})["id"]
            for number in ("1.0.0", "1.1.0")
        ]
    page.goto("/models/default/pointed-at")
    aliases = page.get_by_role("region", name="Aliases", exact=True)
    for version, why in zip(versions, ("signed off", "sees forks at night"), strict=True):
        shelf = page.locator(f"[id='{version}']")
        shelf.get_by_text("Point an alias here").click()
        shelf.get_by_placeholder("prod").fill("prod")
        shelf.get_by_placeholder("Why, for the history").fill(why)
        shelf.get_by_role("button", name="Point it here").click()
        expect(aliases).to_contain_text(why)
    row = aliases.get_by_role("row").filter(has_text="default/pointed-at:small@prod")
    expect(row).to_contain_text("1.1.0")
    expect(page.locator(f"[id='{versions[1]}'] > summary")).to_contain_text("@prod")
    row.get_by_role("button", name="Back to 1.0.0").click()
    expect(row).to_contain_text("back to the one before")
    expect(page.locator(f"[id='{versions[0]}'] > summary")).to_contain_text("@prod")
    page.get_by_text("History, 3 moves").click()
    expect(page.get_by_text("from 1.1.0 to 1.0.0 by first admin: back to the one before")).to_be_visible()
    row.get_by_role("button", name="Take @prod of small away").click()
    expect(row).to_have_count(0)
    expect(page.get_by_text("History, 4 moves")).to_be_visible()
