from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.web.conftest import Served
from tests.web.furnish import network
from tests.web.working import source, unsupported


def test_what_differs_comes_first_and_what_is_equal_is_folded(page: Page, pair: list[dict[str, Any]]) -> None:
    page.goto(f"/compare?a={pair[0]['result_id']}&b={pair[1]['result_id']}")
    row = page.locator("tr.different", has_text="number_of_shaves")
    expect(row).to_contain_text("+3")
    expect(page.locator("tr.different", has_text="platform")).to_have_count(0)
    folded = page.locator("details", has_text="equal row").first
    expect(folded.locator("dl")).to_be_hidden()
    folded.locator("summary").click()
    expect(folded.locator("dl")).to_be_visible()


def test_sides_are_chosen_and_swapped(page: Page, pair: list[dict[str, Any]]) -> None:
    page.goto(f"/instances/{pair[0]['result_id']}?tab=compare")
    page.locator("tr", has_text="5 shaves").get_by_role("link", name="Compare").click()
    expect(page.locator("thead")).to_contain_text("2 shaves")
    page.get_by_role("link", name="Swap").click()
    expect(page.locator("thead th").nth(1)).to_contain_text("5 shaves")


def test_operators_of_two_sources_are_counted(page: Page, hub: Served) -> None:
    first, second = source(hub, "One", network(20)), source(hub, "Other", unsupported())
    page.goto(f"/compare?a={first}&b={second}")
    expect(page.locator("tr.different", has_text="all nodes")).to_contain_text("-2")
    expect(page.locator("main")).to_contain_text("MaxRoiPool")


def test_without_two_there_is_a_choice(page: Page, pair: list[dict[str, Any]]) -> None:
    page.goto("/compare")
    expect(page.locator("main")).to_contain_text("Choose two")
