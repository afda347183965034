"""Models are looked at: their faces in lists, drawings float and converted with a slider between, charts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.conftest import Served, Watch
from tests.web.seeing import CLASSES, segmenter
from tests.web.test_datasets import add_set, pictures
from tests.web.working import asked, ran, source


@pytest.fixture(scope="module")
def seen(hub: Served) -> dict[str, Any]:
    """A job that converted a segmenter, and was shown images of the team's own."""
    images = add_set(hub, "To be looked at", pictures(9, seed=11))
    of = source(hub, "Seer", segmenter(), "seer.tar.xz")
    return ran(hub, hub.home, asked(hub, of, spec={"blob": True, "verification_images": images}))


def card_of(page: Page, name: str) -> Locator:
    return page.locator(".model-card", has=page.get_by_text(name, exact=True))


def test_a_models_face_is_what_its_best_instance_sees(page: Page, hub: Served, seen: dict[str, Any]) -> None:
    """Lists had two letters for each model, and nobody knew from them what it does."""
    assert seen["status"] == "succeeded", seen
    page.goto("/models?text=Seer")
    face = card_of(page, "Seer").locator("img.avatar")
    expect(face).to_have_js_property("naturalWidth", 112)
    page.goto("/models?text=Plate+reader")
    expect(card_of(page, "Plate reader").locator("span.avatar")).to_have_text("PR")


def test_two_drawings_lie_one_over_the_other_with_a_slider_between(
    page: Page, hub: Served, seen: dict[str, Any]
) -> None:
    page.goto("/models/default/seer")
    wipe = page.locator(".sights .wipe").first
    expect(wipe.locator("svg.picture")).to_have_count(2)
    slider = wipe.get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuetext", "100 % float, 0 % converted")
    assert wipe.evaluate("item => item.style.getPropertyValue('--at')") == "100%"
    expect(page.locator(".sights").get_by_text(CLASSES[1]).first).to_be_visible()
    wipe.hover()
    wipe.get_by_role("button", name="Full size").click()
    full = page.locator("dialog.full")
    expect(full.locator("svg.picture")).to_have_count(2)
    small, large = (item.bounding_box() for item in (wipe, full.locator(".wipe")))
    assert small and large and large["width"] > 1.2 * small["width"]
    page.keyboard.press("Escape")
    expect(full).to_be_hidden()


def test_an_instances_page_has_histogram_scatter_and_matrix(page: Page, seen: dict[str, Any]) -> None:
    page.goto(f"/instances/{seen['result_id']}")
    for chart in ("svg.spread", "svg.heat", "svg.confusion"):
        expect(page.locator(chart).first).to_be_visible()
    expect(page.locator("svg.confusion").first).to_contain_text(CLASSES[0])
    image = page.locator("svg.picture image").first.get_attribute("href")
    assert image and image.startswith(f"/instances/{seen['result_id']}/pictures/")
    assert page.request.get(image).headers["content-type"] == "image/jpeg"


def test_images_that_are_not_there_are_told(page: Page, seen: dict[str, Any], watch: Watch) -> None:
    watch.expected = {404}
    page.goto(f"/instances/{seen['result_id']}")
    known = page.locator("svg.picture image").first.get_attribute("href") or ""
    stem = known.rpartition("/")[0]
    for path in (f"{stem}/999", f"{stem}/-1", stem.rpartition("/")[0] + "/0123456789abcdef/0", "/models/x/face/00"):
        assert page.request.get(path, headers={"Accept": "text/html"}).status in (404, 422), path


def test_dots_of_accuracy_against_size_lead_to_their_instances(page: Page, pair: list[dict[str, Any]]) -> None:
    page.goto("/models/default/compared")
    dots = page.locator("svg.plot a")
    expect(dots).to_have_count(2)
    expect(dots.first.locator("title")).to_contain_text("RVC2")
    dots.last.click()
    expect(page).to_have_url(re.compile("|".join(str(job["result_id"]) for job in pair)))


def test_without_its_instance_a_model_has_its_letters_again(page: Page, hub: Served, seen: dict[str, Any]) -> None:
    """A face is a file of an instance's: it must not stay when that is deleted, and comes back with it."""
    with hub.client() as client:
        client.delete(f"/instances/{seen['result_id']}").raise_for_status()
        gone = client.get("/trash").json()["items"][0]
    page.goto("/models?text=Seer")
    expect(card_of(page, "Seer").locator("span.avatar")).to_have_text("S")
    page.goto("/models/default/seer")
    expect(page.locator(".sights")).to_have_count(0)
    with hub.client() as client:
        client.post(f"/trash/{gone['id']}/restore", json={}).raise_for_status()
    page.goto("/models?text=Seer")
    expect(card_of(page, "Seer").locator("img.avatar")).to_have_js_property("naturalWidth", 112)
