"""The pages of models in a real browser: signing in, the list, the card, the tables, uploads, deleting."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Served, Watch
from tests.web.furnish import archive, made, network
from tests.web.working import asked, source

FULL = "/models/default/warehouse-detector"


def test_without_a_key_one_sees_what_is_public_and_is_asked_for_a_key_for_the_rest(stranger: Page) -> None:
    stranger.goto("/models")
    expect(stranger.locator(".model-card")).to_have_count(1)
    expect(stranger.get_by_text("New model")).to_have_count(0)
    stranger.goto("/models/new")
    expect(stranger).to_have_url(re.compile(r"/session\?next=/models/new"))
    expect(stranger.get_by_text("oakmill keys sign-in")).to_be_visible()


def test_a_wrong_key_is_refused_and_a_right_one_leads_back(stranger: Page, hub: Served, watch: Watch) -> None:
    watch.expected = {401}
    stranger.goto("/session?next=/models/new")
    stranger.fill("#key", "oak_" + "x" * 40)
    stranger.keyboard.press("Enter")
    expect(stranger.locator("#key-error")).to_contain_text("key")
    stranger.fill("#key", hub.key)
    stranger.keyboard.press("Enter")
    expect(stranger).to_have_url(f"{hub.url}/models/new")
    cookie = next(item for item in stranger.context.cookies() if item["name"] == "oakmill_session")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    stranger.goto("/session")
    stranger.get_by_role("button", name="Sign out").click()
    assert not [item for item in stranger.context.cookies() if item["name"] == "oakmill_session"]


@pytest.mark.parametrize("path", ["//example.com", "https://example.com", "/\\example.com", "/session"])
def test_signing_in_leads_to_no_other_site(hub: Served, path: str) -> None:
    answer = httpx.post(f"{hub.url}/session", data={"key": hub.key, "next": path}, trust_env=False)
    assert answer.headers["location"] == "/models"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_another_sites_page_changes_nothing(hub: Served, headers: dict[str, str]) -> None:
    with httpx.Client(base_url=hub.url, trust_env=False) as client:
        client.post("/session", data={"key": hub.key})
        for path in ("/models/new", f"/models/{hub.ids['long']}/delete", "/session", "/session/end"):
            assert client.post(path, data={"name": "trap", "key": hub.key}, headers=headers).status_code == 403


def test_every_answer_says_what_a_browser_may_do(hub: Served) -> None:
    for path in ("/models", "/session", "/nowhere"):
        answer = httpx.get(hub.url + path, headers={"Accept": "text/html"}, trust_env=False)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=", answer.text)


def test_static_files_are_kept_for_good_and_nothing_else_is_served(hub: Served) -> None:
    page = httpx.get(f"{hub.url}/models", trust_env=False).text
    for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        answer = httpx.get(hub.url + address, trust_env=False)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    for path in ("/static/x/../app.py", "/static/x/%2e%2e/app.py", "/static/x/..%2f..%2fapp.py", "/static/x/"):
        assert httpx.get(hub.url + path, trust_env=False).status_code == 404


def test_what_is_not_there_says_what_to_do(page: Page, watch: Watch) -> None:
    watch.expected = {404}
    for path in ("/models/default/nothing", "/models/aim_nothing", "/nowhere", "/instances/aimi_x/convert"):
        page.goto(path)
        expect(page.locator("h1")).to_have_text("Nothing is here")
        expect(page.get_by_role("link", name="To the models")).to_be_visible()


def test_filters_stand_in_the_address(page: Page) -> None:
    page.goto("/models")
    page.get_by_label("Task").select_option("DEPTH_ESTIMATION")
    expect(page).to_have_url(re.compile(r"/models\?task=DEPTH_ESTIMATION&sort=updated$"))
    expect(page.locator(".model-card")).to_have_count(1)
    page.goto("/models?text=warehouse")
    expect(page.locator(".model-card b")).to_have_text("Warehouse detector")
    page.goto("/models?text=nosuchword")
    expect(page.get_by_text("No model matches")).to_be_visible()


def test_a_long_list_goes_on(page: Page, hub: Served) -> None:
    with hub.client() as client:
        for number in range(35):
            made(client, "/models", {"name": f"Page filler {number:02}"})
    page.goto("/models?text=filler&sort=name")
    seen = page.locator(".model-card b").all_inner_texts()
    page.get_by_role("link", name="Next").click()
    seen += page.locator(".model-card b").all_inner_texts()
    assert seen == [f"Page filler {number:02}" for number in range(35)]


def test_a_card_shows_markdown_and_runs_nothing(page: Page) -> None:
    page.goto(FULL)
    card = page.locator(".prose").last
    expect(card.locator("table")).to_be_visible()
    expect(card).to_contain_text('<script>alert("no")</script>')
    assert card.locator("script, img, [href^='javascript']").count() == 0


def test_variants_versions_and_instances_are_shown(page: Page) -> None:
    page.goto(FULL)
    variants = page.get_by_role("region", name="Model variants")
    expect(variants.locator("tbody tr")).to_have_count(2)
    expect(variants.get_by_role("link", name="Convert")).to_have_count(2)
    assert page.locator("details.shelf summary b").all_inner_texts() == ["1.2.0", "1.1.0", "1.0.0", "0.1.0"]
    first = page.locator("details.shelf").first
    expect(first.locator("tbody tr")).to_have_count(14)
    expect(first.get_by_text("Pending").first).to_be_visible()


def test_a_source_can_be_downloaded_whole(page: Page) -> None:
    page.goto(FULL)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download detector.onnx").first.click()
    assert Path(waiting.value.path()).read_bytes() == network(64)


def test_the_card_is_edited_and_previewed(page: Page, hub: Served) -> None:
    page.goto(f"/models/{hub.ids['Plate reader']}/edit")
    page.fill("#card", "Reads **plates**.")
    page.get_by_text("Preview").click()
    expect(page.locator("#preview strong")).to_have_text("plates")
    page.fill("#tags", "plates, traffic, plates")
    page.fill("#links", "Code https://example.com/code\nTrap javascript:alert(1)")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(f"{hub.url}/models/default/plate-reader")
    expect(page.locator("aside .badge")).to_have_text(["plates", "traffic"])
    expect(page.locator("aside li a")).to_have_text(["Code"])


def test_a_model_comes_in_by_its_file_and_goes_again(page: Page, hub: Served, tmp_path: Path) -> None:
    file = tmp_path / "gesture-96x96.tar.xz"
    file.write_bytes(archive(96))
    page.goto("/models/new")
    page.set_input_files("#files", {"name": "mistaken-320x320.onnx", "mimeType": "", "buffer": b"x"})
    expect(page.locator("#name")).to_have_value("mistaken")  # which the second file kept
    page.set_input_files("#files", file)
    expect(page.locator("#name")).to_have_value("gesture")
    expect(page.locator("#variant")).to_have_value("96x96")
    page.get_by_role("button", name="Upload").click()
    found = page.locator("[data-found]")
    expect(found).to_contain_text("ONNX in an NN Archive", timeout=60_000)
    expect(found).to_contain_text("ClassificationParser")
    expect(found.locator("button.copy-value")).to_have_text(re.compile(r"^[0-9a-f]{64}$"))
    found.get_by_role("link", name="To the model").click()
    page.get_by_role("link", name="Delete this model").click()
    expect(page.locator(".notice")).to_contain_text("1 uploaded instance goes with it")
    page.get_by_role("button", name="Delete it").click()
    expect(page).to_have_url(f"{hub.url}/models")


def test_what_is_no_model_is_refused_with_what_to_do(page: Page, watch: Watch, tmp_path: Path) -> None:
    watch.expected = {422}
    file = tmp_path / "holiday.onnx"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    page.goto("/models/new")
    page.set_input_files("#files", file)
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("[data-wrong]")).to_contain_text("PNG image", timeout=60_000)


def test_an_upload_goes_on_after_a_broken_connection_and_a_reload(
    page: Page, hub: Served, watch: Watch, tmp_path: Path
) -> None:
    file = tmp_path / "twice.onnx"
    file.write_bytes(network(80))
    page.route(
        "**/api/v1/uploads/*", lambda route: route.abort() if route.request.method == "PATCH" else route.continue_()
    )
    page.goto("/models/new")
    page.set_input_files("#files", file)
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/instances/*/upload")
    page.reload()  # first: the page would go on by itself, and both would send the file
    page.unroute("**/api/v1/uploads/*")
    expect(page.get_by_text("waits for its files")).to_be_visible()
    page.set_input_files("#files", file)
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("[data-found]")).to_contain_text("sha256", timeout=60_000)
    with hub.client() as client:
        assert len(client.get("/models?text=twice").json()["items"]) == 1
    # What the test itself broke off is logged by the browser where the reload does not come first.
    watch.wrong[:] = [told for told in watch.wrong if "net::ERR_FAILED" not in told]


def test_long_names_hide_nothing(page: Page, hub: Served) -> None:
    """One name of 238 letters made every page below it two screens wide, and hid the lists' last columns for all."""
    of = source(hub, "n" * 238, network(33), file="f" * 140 + ".onnx")
    job = asked(hub, of, name="j" * 230)
    with hub.client() as client:
        model = client.get(f"/instances/{of}").json()["model_id"]
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for path in (
            f"/models/{model}",
            f"/instances/{of}",
            f"/instances/{of}/convert/rvc2",
            f"/jobs/{job['id']}",
            "/conversions",
        ):
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    with hub.client() as client:
        client.delete(f"/models/{model}", params={"force": True}).raise_for_status()
