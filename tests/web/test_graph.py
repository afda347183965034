"""The graph's page in a real browser: Netron calls nobody and never grows too old; the hub's own summary beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Served

SLOW = 120_000


@pytest.mark.parametrize("word", ["source", "archive"])
def test_the_graph_is_drawn_and_counted(page: Page, hub: Served, word: str) -> None:
    page.goto(f"/instances/{hub.ids[word]}/graph")
    expect(page.locator(".stats")).to_contain_text("4nodes of 4 operations", timeout=SLOW)
    expect(page.locator("tr", has_text="Conv")).to_contain_text("216")
    expect(page.frame_locator("iframe").get_by_text("GlobalAveragePool").first).to_be_visible(timeout=SLOW)


def test_it_opens_in_a_year_and_nothing_leaves_the_host(page: Page, hub: Served) -> None:
    page.clock.install(time=datetime.now(UTC) + timedelta(days=400))
    page.goto(f"/instances/{hub.ids['source']}/graph?wait=true")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_text("GlobalAveragePool").first).to_be_visible(timeout=SLOW)
    expect(frame.get_by_text("Please update")).to_have_count(0)


def test_netrons_page_has_its_own_policy_and_no_date(hub: Served) -> None:
    headers = {"Authorization": f"Bearer {hub.key}"}
    answer = httpx.get(f"{hub.url}/graph/netron/index.html", headers=headers, trust_env=False)
    assert 'name="date"' not in answer.text
    assert 'content="0.0.0"' in answer.text
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert "consent=1" in answer.headers["set-cookie"]


@pytest.mark.parametrize("path", ["../__init__.py", "__init__.py", "%2e%2e/%2e%2e/onnx/__init__.py", "no.js"])
def test_nothing_but_netrons_own_files_is_served(hub: Served, path: str) -> None:
    headers = {"Authorization": f"Bearer {hub.key}"}
    assert httpx.get(f"{hub.url}/graph/netron/{path}", headers=headers, trust_env=False).status_code == 404


def test_a_private_models_file_is_for_those_who_see_it(hub: Served) -> None:
    with hub.client() as client:
        row = client.get(f"/instances/{hub.ids['source']}").json()
        client.patch(f"/models/{hub.ids['full']}", json={"visibility": "team"}).raise_for_status()
        path = f"{hub.url}/graph/files/{row['id']}/detector.onnx"
        try:
            answer = httpx.get(path, trust_env=False)
            assert answer.status_code in (303, 404)
            assert httpx.get(path, headers={"Authorization": f"Bearer {hub.key}"}, trust_env=False).status_code == 200
        finally:
            client.patch(f"/models/{hub.ids['full']}", json={"visibility": "public"}).raise_for_status()
