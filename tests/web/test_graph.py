"""The graph's page in a real browser: Netron calls nobody and never grows too old; the hub's own summary beside it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Served, Watch
from tests.web.furnish import network
from tests.web.test_datasets import add_set, pictures
from tests.web.working import asked, ran, source

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


@pytest.fixture(scope="module")
def quantized(hub: Served) -> dict[str, Any]:
    """A network and its INT8 for RVC4, which really ran."""
    chosen = add_set(hub, "For the graph", pictures(48))
    of = source(hub, "Coloured by damage", network(36))
    return ran(hub, hub.home, asked(hub, of, "rvc4", name="coloured", spec={"quantization_data": chosen}))


def test_the_graph_has_the_colours_of_what_quantization_costs(page: Page, quantized: dict[str, Any]) -> None:
    """Somebody whose detector lost boxes in INT8 looked for the layers in a list of names, and Netron beside it."""
    page.goto(f"/instances/{quantized['result_id']}")
    page.get_by_role("link", name="Damage in the graph").click()
    expect(page.locator("#damage svg.along")).to_be_visible()
    expect(page.locator("#damage .badge.info")).to_have_text("coloured")
    edge = page.frame_locator("iframe").locator("path.edge-path[data-damage]").first
    expect(edge).to_be_attached(timeout=SLOW)
    expect(edge).to_have_attribute("style", re.compile("stroke-width: 2.5px"))
    expect(page.locator("[data-drawn]")).to_contain_text("tensors are edges of the drawing")


def test_a_source_offers_what_was_made_of_it(page: Page, quantized: dict[str, Any], watch: Watch) -> None:
    page.goto(f"/instances/{quantized['source_id']}/graph?wait=true")
    page.locator("#damage").get_by_role("link", name="coloured").click()
    expect(page.locator("#damage svg.along")).to_be_visible()
    watch.expected = {404}
    page.goto(f"/instances/{quantized['source_id']}/graph?quantized={quantized['source_id']}")
    expect(page.locator("main")).to_contain_text("No quantized instance")
