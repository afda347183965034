"""The trash in a real browser: deleted, restored, restored under another name, deleted for good."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.web.conftest import Served, Watch
from tests.web.furnish import add_source, made, network


def test_what_is_deleted_is_restored_also_under_another_name(page: Page, hub: Served, watch: Watch) -> None:
    with hub.client() as client:
        model = made(client, "/models", {"name": "Thrown away"})["id"]
        add_source(client, model, network(41), file="net.onnx", variant="small", version="1.0.0")
    page.goto(f"/models/{model}/delete")
    expect(page.get_by_text("can be restored for 30 days")).to_be_visible()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("Thrown away")).to_have_count(0)
    page.get_by_role("link", name="Trash").click()
    row = page.get_by_role("row").filter(has_text="Thrown away")
    expect(row).to_contain_text("by first admin")
    with hub.client() as client:
        made(client, "/models", {"name": "Thrown away"})
    watch.expected.add(409)
    row.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("alert")).to_contain_text("There is a model 'thrown-away' by now.")
    page.get_by_label("Name").fill("Thrown away once")
    page.get_by_role("button", name="Restore it").click()
    expect(row).to_have_count(0)
    page.goto("/models/default/thrown-away-once")
    expect(page.get_by_role("heading", name="Thrown away once")).to_be_visible()
    with hub.client() as client:
        client.delete(f"/models/{model}", params={"force": True}).raise_for_status()
    page.goto("/trash")
    row.get_by_role("button", name="Delete Thrown away once for good").click()
    expect(row).to_have_count(0)
