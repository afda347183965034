from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.web.conftest import Served, Watch
from tests.web.furnish import network
from tests.web.working import source, unsupported


def test_what_differs_is_shown_and_what_is_equal_on_request(page: Page, pair: list[dict[str, Any]]) -> None:
    page.goto(f"/compare?with={pair[0]['result_id']}&with={pair[1]['result_id']}")
    expect(page.locator("tr.different", has_text="number_of_shaves")).to_contain_text("+3")
    expect(page.locator("tr.different", has_text="platform")).to_have_count(0)
    equal = page.locator("tr.equal", has_text="platform or format")
    expect(equal).to_be_hidden()
    page.get_by_label("Differences only").uncheck()
    expect(equal).to_be_visible()


def test_instances_are_added_moved_to_the_front_and_taken_away(page: Page, pair: list[dict[str, Any]]) -> None:
    page.goto(f"/instances/{pair[0]['result_id']}?tab=compare")
    page.locator("tr", has_text="5 shaves").get_by_role("link", name="Compare").click()
    expect(page.locator("thead")).to_contain_text("2 shaves")
    page.get_by_role("link", name="Make first").click()
    expect(page.locator("thead th").nth(1)).to_contain_text("5 shaves")
    page.get_by_role("link", name="Take 2 shaves away").click()
    expect(page.locator("main")).to_contain_text("Choose two or more")
    choice = page.get_by_label("Instance to add")
    choice.select_option(value=pair[0]["result_id"])
    page.get_by_role("button", name="Add").click()
    expect(page.locator("thead th")).to_have_count(3)


def test_three_stand_side_by_side_with_charts(page: Page, pair: list[dict[str, Any]]) -> None:
    """Only two could be compared, so of a model in five formats nobody saw the whole choice at once."""
    page.goto(f"/instances/{pair[0]['result_id']}?tab=compare")
    for box in page.locator("tbody input[type=checkbox]").all():
        box.check()
    page.get_by_role("button", name="Compare the chosen ones").click()
    expect(page.locator("thead th")).to_have_count(4)
    sizes = page.locator("figure", has_text="Size").locator("li")
    expect(sizes).to_have_count(3)
    expect(page.locator("figure", has_text="SNR").locator("li")).to_have_count(2)


def test_more_than_fit_and_none_that_is_there_are_told(page: Page, watch: Watch) -> None:
    watch.expected = {404, 422}
    page.goto("/compare?" + "&".join(f"with=aimi_{number}" for number in range(13)))
    expect(page.locator("main")).to_contain_text("12 at most")
    page.goto("/compare?with=nosuch")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Nothing is here")


def test_operators_of_two_sources_are_counted(page: Page, hub: Served) -> None:
    first, second = source(hub, "One", network(20)), source(hub, "Other", unsupported())
    page.goto(f"/compare?a={first}&b={second}")
    expect(page.locator("tr.different", has_text="all nodes")).to_contain_text("-2")
    page.get_by_label("What only some have").check()
    expect(page.locator("main")).to_contain_text("MaxRoiPool")


def test_without_two_there_is_a_choice(page: Page, pair: list[dict[str, Any]]) -> None:
    page.goto("/compare")
    expect(page.locator("main")).to_contain_text("Choose two or more")
