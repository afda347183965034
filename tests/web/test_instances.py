from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from oakmill.hub.sessions import COOKIE
from tests.web.conftest import Served
from tests.web.screenshots import session
from tests.web.working import ran


@pytest.fixture
def converted(pair: list[dict[str, Any]]) -> dict[str, Any]:
    return pair[0]


def test_the_passport_says_what_was_measured_and_how(page: Page, converted: dict[str, Any]) -> None:
    page.goto(f"/instances/{converted['result_id']}")
    expect(page.locator("h1")).to_have_text("2 shaves")
    expect(page.locator(".check")).to_have_count(2)
    expect(page.locator(".check").first).to_contain_text("OpenVINO's CPU plugin in float32")
    expect(page.locator("svg.spread").first).to_have_attribute("aria-label", "distribution over 8 images")
    expect(page.locator("body")).to_contain_text("What is not proven")
    expect(page.locator(".costs")).to_contain_text("multiply-adds a run")
    expect(page.locator(".costs table").first).to_contain_text("SHAVEs")
    expect(page.locator("dl.facts")).to_contain_text("A run costs")


@pytest.mark.parametrize("piece", ["detected", "import/standing"])
def test_what_was_found_in_files_is_told_of_a_result_too(hub: Served, converted: dict[str, Any], piece: str) -> None:
    """A result's tensors stand with its parameters: the piece of a page that tells of a source's was an error then."""
    cookies = {COOKIE: session(hub.url, hub.key)}
    answer = httpx.get(f"{hub.url}/instances/{converted['result_id']}/{piece}", cookies=cookies, trust_env=False)
    assert answer.status_code == 200 and "Inputs" in answer.text


def test_every_tab_has_its_own_address(page: Page, converted: dict[str, Any]) -> None:
    page.goto(f"/instances/{converted['result_id']}")
    for tab, words in {
        "Run on a camera": "getModelFromZoo",
        "Recipe": "oakmill replay",
        "Parameters": "--shaves",
        "Lineage": "net.onnx",
        "Compare with": "other instance",
    }.items():
        page.get_by_label("Parts of the instance").get_by_role("link", name=tab).click()
        expect(page.locator("main")).to_contain_text(words)
        expect(page.locator(".tabs [aria-current=page]")).to_contain_text(tab)


def test_a_result_is_made_anew_and_compared(page: Page, hub: Served, converted: dict[str, Any]) -> None:
    """The page of a recipe told a command for a terminal, beside files that only the hub has."""
    page.goto(f"/instances/{converted['result_id']}?tab=recipe")
    page.get_by_role("button", name="Make it anew on this hub").click()
    page.wait_for_url("**/jobs/*")
    job_id = page.url.rpartition("/")[2]
    with hub.client() as client:
        done = ran(hub, hub.home, client.get(f"/jobs/{job_id}").json())
        page.goto(f"/jobs/{job_id}")
        expect(page.locator(".result .notice.ok")).to_contain_text("Made anew: the same bytes in every file")
        client.delete(f"/instances/{done['result_id']}").raise_for_status()  # others count what the pair is


def test_parameters_tell_what_was_changed(page: Page, converted: dict[str, Any]) -> None:
    page.goto(f"/instances/{converted['result_id']}?tab=parameters")
    changed = page.locator("tr.differs")
    expect(changed).to_have_count(3)  # with its name
    expect(changed.filter(has_text="--shaves")).to_contain_text("2")


def test_its_files_are_downloaded(page: Page, converted: dict[str, Any]) -> None:
    page.goto(f"/instances/{converted['result_id']}")
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("^Download")).click()
    assert download.value.suggested_filename.endswith(".tar.xz")


def test_the_stored_page_may_do_nothing(page: Page, converted: dict[str, Any]) -> None:
    answer = page.request.get(f"/instances/{converted['result_id']}/passport")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy


def test_a_source_says_where_it_can_go(page: Page, hub: Served) -> None:
    page.goto(f"/instances/{hub.ids['source']}")
    expect(page.locator("main")).to_contain_text("RVC2")
    expect(page.get_by_role("link", name="Convert", exact=True)).to_be_visible()
    expect(page.locator(".tensors")).to_contain_text("1 × 3 × 64 × 64")
