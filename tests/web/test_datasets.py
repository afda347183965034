"""Calibration sets in a real browser: the named ones, one's own by drag and drop, what the doctor says, the draw."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from oakmill.calibration.samples import draw
from tests.web.conftest import Served, Watch

SLOW = 120_000


def pictures(count: int = 40, seed: int = 0) -> bytes:
    """A zip of pictures with smooth colours, one of them twice, one blank, and a file that is none."""
    random = np.random.default_rng(seed)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for number in range(count):
            small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
            file.writestr(f"cam/{number:03}.png", _png(small.resize((320, 240), Image.Resampling.BICUBIC)))
        file.writestr("cam/copy.png", file.read("cam/000.png"))
        file.writestr("cam/blank.png", _png(Image.new("RGB", (320, 240), (9, 9, 9))))
        file.writestr("notes.txt", "nothing to see")
    return packed.getvalue()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def add_set(hub: Served, name: str, data: bytes) -> str:
    """A set of the team's own, over the API; its identifier."""
    with hub.client() as client:
        body = {"name": "set.zip", "size": len(data), "purpose": {"kind": "dataset", "name": name}}
        upload = client.post("/uploads", json=body).raise_for_status().json()
        client.patch(f"/uploads/{upload['id']}", content=data, headers={"Upload-Offset": "0"}).raise_for_status()
        found: str = client.post(f"/uploads/{upload['id']}/complete").raise_for_status().json()["dataset_id"]
    return found


@pytest.fixture(scope="session")
def own_set(hub: Served) -> str:
    return add_set(hub, "Aisle 7", pictures())


def test_every_named_set_says_how_it_is_had_and_random_warns(page: Page) -> None:
    page.goto("/datasets")
    for name in ("driving", "food", "general", "indoors", "warehouse"):
        card = page.locator(f"#{name}")
        expect(card).to_contain_text(re.compile("Not installed|Installed"))
        expect(card).to_contain_text(f"oakmill datasets install {name}")
    expect(page.locator("#random")).to_contain_text("25 points of top-1 lost")


def test_a_set_is_made_by_drag_and_drop_and_its_page_opens(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "dock-night.zip"
    path.write_bytes(pictures(12, seed=3))
    page.goto("/datasets")
    page.set_input_files("#file", path)
    expect(page.locator("#set-name")).to_have_value("dock-night")
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(re.compile(r"/datasets/aid_\w+$"), timeout=SLOW)
    expect(page.locator(".findings")).to_contain_text("duplicates", timeout=SLOW)


def test_the_doctor_tells_what_is_wrong_and_what_would_be_enough(page: Page, own_set: str) -> None:
    page.goto(f"/datasets/{own_set}")
    findings = page.locator(".findings")
    expect(findings).to_contain_text("duplicates", timeout=SLOW)
    expect(findings).to_contain_text("blank")
    row = page.locator("tr", has_text="INT8 accuracy focused")
    expect(row).to_contain_text("128")
    expect(row).to_contain_text("Few")
    expect(page.locator("svg.chart")).to_have_count(3)


def test_a_swapped_mean_and_scale_is_called_so(page: Page, own_set: str) -> None:
    page.goto(f"/datasets/{own_set}")
    expect(page.locator("#report .stats")).to_be_visible(timeout=SLOW)
    page.fill("#mean", "58.395, 57.12, 57.375")
    page.fill("#scale", "123.675, 116.28, 103.53")
    page.get_by_role("button", name="Examine").click()
    expect(page.locator(".findings")).to_contain_text("swapped", timeout=SLOW)
    expect(page.locator("svg.chart .band")).to_have_count(3)


def test_the_images_that_are_shown_are_those_that_the_seed_draws(page: Page, own_set: str) -> None:
    page.goto(f"/datasets/{own_set}?count=10&seed=5")
    shown = page.locator(".thumbs img")
    expect(shown).to_have_count(10, timeout=SLOW)
    names = [f"cam/{number:03}.png" for number in range(40)] + ["cam/copy.png", "cam/blank.png"]
    wanted = [path.as_posix() for path in draw([Path(name) for name in names], 10, 5)]
    assert [item.get_attribute("title") for item in shown.all()] == wanted


def test_what_is_no_number_is_told_in_place(page: Page, own_set: str, watch: Watch) -> None:
    watch.expected = {422}
    page.goto(f"/datasets/{own_set}?mean=red")
    expect(page.get_by_role("alert")).to_contain_text("not one number, or three")


def test_another_teams_set_is_not_there(stranger: Page, own_set: str) -> None:
    stranger.goto(f"/datasets/{own_set}")
    expect(stranger).to_have_url(re.compile("/session"))


def test_a_set_is_deleted_after_a_question(page: Page, hub: Served) -> None:
    made = add_set(hub, "To be gone", pictures(4, seed=9))
    page.goto(f"/datasets/{made}")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete it").click()
    page.wait_for_url("**/datasets")
    expect(page.get_by_text("To be gone")).to_have_count(0)


def test_a_hostile_zip_is_refused_in_words(page: Page, tmp_path: Path, watch: Watch) -> None:
    watch.expected = {422}
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../outside.png", b"x")
    page.goto("/datasets")
    page.set_input_files("#file", path)
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("[data-new-set] .field-error")).to_contain_text("leads outside", timeout=SLOW)


def test_an_installation_runs_in_the_background_and_is_shown(page: Page) -> None:
    page.goto("/datasets/named/random")
    page.get_by_role("button", name="Make it now").click()
    page.wait_for_url("**/datasets#random")
    expect(page.locator("#random")).to_contain_text(re.compile("Working|Installed"))


@pytest.mark.parametrize("path", ["/datasets/named/general/install", "/toolchains/rvc2/openvino-2022.2.0/install"])
def test_only_admins_install(hub: Served, path: str, a_key: Callable[[str], str]) -> None:
    headers = {"Authorization": f"Bearer {a_key('convert')}"}
    assert httpx.post(hub.url + path, headers=headers, trust_env=False).status_code == 403


@pytest.fixture
def a_key(hub: Served) -> Callable[[str], str]:
    def make(scope: str) -> str:
        with hub.client() as client:
            found: str = client.post("/keys", json={"name": scope, "scopes": [scope]}).raise_for_status().json()["key"]
        return found

    return make
