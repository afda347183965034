"""A model as one file in a real browser: taken along by a button, shown before it comes in, and given another name."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.web.conftest import Served, Watch
from tests.web.furnish import add_source, made, network
from tests.web.test_datasets import SLOW


def bring(page: Page, path: Path) -> None:
    """Upload a bundle, to the page that shows what it holds."""
    page.goto("/models")
    page.get_by_role("link", name="Take in a bundle").click()
    page.locator("#file").set_input_files(path)
    page.get_by_role("button", name="Upload and look at it").click()
    expect(page.get_by_role("heading", name="What the bundle would bring")).to_be_visible(timeout=SLOW)


def test_a_model_is_taken_along_and_taken_in(page: Page, hub: Served, watch: Watch, tmp_path: Path) -> None:
    with hub.client() as client:
        model = made(client, "/models", {"name": "Carried along"})["id"]
        add_source(client, model, network(43), file="net.onnx", variant="small", version="1.0.0")
    page.goto("/models/default/carried-along")
    with page.expect_download() as coming:
        page.get_by_role("link", name="Bundle").click()
    path = tmp_path / coming.value.suggested_filename
    assert path.name == "carried-along.oakbundle"
    coming.value.save_as(path)

    with hub.client() as client:
        client.delete(f"/models/{model}", params={"force": True}).raise_for_status()
    bring(page, path)
    row = page.get_by_role("row").filter(has_text="Carried along")
    expect(row).to_contain_text("1 of 1 instance")
    expect(page.get_by_text("by first admin")).to_be_visible()
    page.get_by_role("button", name="Take in").click()
    expect(page.get_by_role("heading", name="Carried along")).to_be_visible(timeout=SLOW)
    page.get_by_role("link", name="net.onnx").first.click()
    expect(page.get_by_text("Came from")).to_be_visible()

    bring(page, path)
    expect(row).to_contain_text("All here already")
    page.get_by_role("button", name="Leave it").click()
    expect(page.get_by_role("heading", name="Models", exact=True)).to_be_visible()


def test_a_name_that_is_anothers_is_told_and_another_is_asked_for(
    page: Page, hub: Served, watch: Watch, tmp_path: Path
) -> None:
    with hub.client() as client:
        model = made(client, "/models", {"name": "Gate of others"})["id"]
        add_source(client, model, network(45), file="net.onnx", variant="small", version="1.0.0")
        path = tmp_path / "it.oakbundle"
        path.write_bytes(client.get("/bundle", params={"model": "gate-of-others"}).raise_for_status().content)
        client.delete(f"/models/{model}", params={"force": True}).raise_for_status()
        made(client, "/models", {"name": "Gate of others"})
    bring(page, path)
    row = page.get_by_role("row").filter(has_text="Gate of others")
    expect(row).to_contain_text("Name is taken")
    watch.expected.add(409)
    page.get_by_role("button", name="Take in").click()
    expect(page.get_by_role("alert")).to_contain_text("There is another model 'gate-of-others' here")
    page.get_by_label("Another name for Gate of others").fill("Called otherwise")
    page.get_by_role("button", name="Take in").click()
    expect(page.get_by_role("heading", name="Called otherwise")).to_be_visible(timeout=SLOW)


def test_a_file_that_is_no_bundle_is_refused_where_it_was_chosen(
    page: Page, hub: Served, watch: Watch, tmp_path: Path
) -> None:
    path = tmp_path / "evil.oakbundle"
    path.write_bytes(b"PK no zip at all")
    watch.expected.add(422)
    page.goto("/bundles/new")
    page.locator("#file").set_input_files(path)
    page.get_by_role("button", name="Upload and look at it").click()
    expect(page.get_by_role("alert")).to_contain_text("evil.oakbundle is no bundle", timeout=SLOW)
