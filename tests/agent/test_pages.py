"""The pages of a hub with cameras in a real browser: asking for a proof, seeing it go on, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.agent.conftest import Hub
from tests.hub_servers import PATIENCE
from tests.web.conftest import chromium, watched_admin, watching

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, hub: Hub) -> Iterator[Page]:
    with watching(hub) as watch, watched_admin(browser, hub, watch) as context:
        yield context.new_page()


def test_a_proof_is_asked_for_on_the_page_and_stands_there_when_it_is_done(page: Page, hub: Hub) -> None:
    tab = f"/instances/{hub.instance}?tab=camera"
    page.goto(tab)
    expect(page.locator("main")).to_contain_text("No agent of the team has a camera of RVC2")
    expect(page.locator("main")).to_contain_text(f"oakmill agent --hub {hub.url}")
    expect(page.get_by_role("button", name="Prove on a camera")).to_be_disabled()
    expect(page.get_by_role("button", name="Benchmark")).to_be_disabled()
    waiting = hub.measure(how={"seconds": 1, "warm_up": 0})
    page.goto(f"/jobs/{waiting}")
    expect(page.locator("#state")).to_contain_text("No agent of the team has a camera of RVC2")
    expect(page.locator("#state")).not_to_contain_text("No worker takes jobs")

    hub.agent(answer_seconds=0.01)
    hub.ended(waiting)
    page.goto("/workers")
    row = page.get_by_role("region", name="Agents").get_by_role("row").last
    expect(row).to_contain_text("RVC2")
    page.goto(tab)
    page.get_by_role("button", name="Prove on a camera").click()
    page.wait_for_url("**/jobs/*")
    shown = page.locator(".result")
    expect(shown).to_contain_text("Measured on OAK-D-LITE", timeout=1000 * PATIENCE)
    expect(shown).to_contain_text("FPS")
    expect(page.get_by_role("button", name="Make anew")).to_have_count(0)

    page.goto(tab)
    expect(page.locator("main")).to_contain_text("The file's own passport, made without a camera, stays as it was")
    expect(page.get_by_role("region", name="Runs on cameras").get_by_role("row")).not_to_have_count(0)
    expect(page.locator("aside")).to_contain_text("Proved")
    page.get_by_role("link", name="The camera's passport").first.click()
    expect(page.locator("body")).to_contain_text("OAK-D-LITE")
    page.goto("/conversions")
    expect(page.locator("main")).to_contain_text("proof on a camera")
    page.goto(f"/instances/{hub.source}/matrix")
    expect(page.locator("table.matrix")).to_contain_text(" FPS, ")
    page.goto("/models")
    page.get_by_role("link", name="Tiny").first.click()
    expect(page.locator("main")).to_contain_text(" FPS, ")
    page.goto(f"/compare?with={hub.instance}&with={hub.source}")
    expect(page.locator("main")).to_contain_text("on a camera")
