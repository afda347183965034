"""Quick Conversion in a real browser, with real tools: from an empty hub to files for every platform, clicks counted;
what is wrong with what is dropped; several conversions of a model by one form."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from oakmill.settings import Settings
from oakmill.toolchains import catalog
from oakmill.toolchains.base import State
from tests.web.conftest import Watch, watching
from tests.web.furnish import network
from tests.web.screenshots import signed_in
from tests.web.serving import Running, running
from tests.web.test_datasets import pictures
from tests.web.test_whole_way import downloaded, open_model, told
from tests.web.working import source

SLOW = 240_000
NAMES = ("rvc2", "rvc3", "rvc4")
MISSING = [name for name in NAMES if catalog.find(name, Settings()).status().state is not State.INSTALLED]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no toolchain for {', '.join(MISSING)} is installed")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A hub with one worker and nothing in it."""
    with running(tmp_path_factory.mktemp("quick") / "home", workers=1) as hub:
        yield hub


@pytest.fixture
def watched(empty: Running) -> Iterator[Watch]:
    with watching(empty) as found:
        yield found


@dataclass
class Walker:
    """A person at a window, whose clicks are counted; choosing files in the browser's own dialog is not the page's."""

    page: Page
    clicks: int = 0

    def click(self, what: Locator) -> None:
        self.clicks += 1
        what.click()

    def choose(self, *files: Path) -> None:
        """A click on the zone, and the files in the dialog that it opens."""
        with self.page.expect_file_chooser() as opened:
            self.click(self.page.locator("label.drop"))
        opened.value.set_files(list(files))

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)


@pytest.fixture
def walker(request: pytest.FixtureRequest, browser: Browser, empty: Running, watched: Watch) -> Iterator[Walker]:
    """A window of the hub's admin, on a desk and on a phone."""
    yield from _walking(browser, empty, watched, request.param)


@pytest.fixture
def desk(browser: Browser, empty: Running, watched: Watch) -> Iterator[Walker]:
    yield from _walking(browser, empty, watched, 1440)


def _walking(browser: Browser, hub: Running, watch: Watch, width: int) -> Iterator[Walker]:
    context = signed_in(browser, hub.url, hub.key, width=width)
    watch.over(context)
    yield Walker(context.new_page())
    context.close()


def row(page: Page, platform: str, precision: str) -> Locator:
    return page.locator(f'.matrix tr[data-platform="{platform}"]').filter(has_text=precision)


def ended(page: Page) -> None:
    expect(page.locator("#matrix")).to_contain_text("all have ended", timeout=SLOW)


def test_from_an_empty_hub_to_all_platforms_and_a_superblob_in_four_clicks(desk: Walker, tmp_path: Path) -> None:
    import depthai

    model = tmp_path / "gesture-32x32.onnx"
    model.write_bytes(network(32))
    page = desk.page
    page.goto("/")
    desk.click(page.get_by_role("link", name="Quick conversion").first)
    desk.choose(model)
    expect(page.locator("[data-found]")).to_contain_text("images 1 × 3 × 32 × 32", timeout=SLOW)
    expect(page.locator("[data-found]")).to_contain_text("The model is fed RGB")
    desk.click(desk.button("Convert"))
    expect(page).to_have_url(re.compile("/instances/aimi_.*/matrix$"))
    ended(page)
    assert desk.clicks == 3
    for platform in NAMES:
        expect(row(page, platform, "FP16").locator("td").nth(2)).to_have_text(re.compile("Ok|Warning"))
    expect(page.get_by_role("region", name="Which to take")).to_contain_text("Take FP16")
    expect(row(page, "rvc4", "FP16")).to_contain_text("≈")  # the expected time
    desk.clicks += 1
    assert told(downloaded(page, tmp_path)) == (depthai.ModelType.SUPERBLOB, [1, 3, 32, 32])
    assert desk.clicks == 4


@pytest.mark.parametrize(
    ("walker", "ticked"), [(1440, {"RVC4 INT8", "RVC4 FP16"}), (390, {"RVC2 FP16"})], indirect=["walker"]
)
def test_with_images_8_bits_are_measured_and_what_is_kept_is_a_model(
    walker: Walker, ticked: set[str], tmp_path: Path
) -> None:
    """On a phone too: what is ticked stands side by side, with a zip of all."""
    page, width = walker.page, walker.page.viewport_size
    assert width
    name = f"kept-{width['width']}"
    model, images = tmp_path / f"{name}.onnx", tmp_path / "hands.zip"
    model.write_bytes(network(20))
    images.write_bytes(pictures(24))
    page.goto("/quick")
    walker.choose(model, images)
    expect(page.locator("[data-found]")).to_contain_text("yours: hands.zip", timeout=SLOW)
    page.reload()
    expect(page.locator("[data-found]")).to_contain_text("yours: hands.zip")
    for label in {"RVC2 FP16", "RVC3 INT8", "RVC3 FP16", "RVC4 INT8", "RVC4 FP16"} - ticked:
        page.get_by_label(label, exact=True).uncheck()
    walker.click(walker.button("Convert"))
    ended(page)
    assert page.locator(".matrix tbody tr").count() == len(ticked)
    assert page.evaluate("document.documentElement.scrollWidth") <= width["width"]
    with page.expect_download() as waiting:
        page.get_by_role("link", name=re.compile("a zip$")).click()
    waiting.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        made = {item.partition("/")[0] for item in archive.namelist() if item.endswith(".tar.xz")}
        assert made == {label.lower().replace(" ", "-") for label in ticked}
        assert archive.testzip() is None
    page.goto("/models")
    expect(page.get_by_text(name)).to_have_count(0)
    page.goto("/quick")
    page.get_by_role("link", name=name).click()
    walker.click(walker.button("Keep"))
    expect(page).to_have_url(re.compile(f"/models/default/{name}$"))
    page.goto("/models")
    expect(page.get_by_text(name).first).to_be_visible()


def test_what_is_no_model_and_what_are_no_images_is_told_at_once(desk: Walker, watched: Watch, tmp_path: Path) -> None:
    watched.expected.add(422)
    page, wrong = desk.page, desk.page.locator("[data-wrong]")
    files = {"words.onnx": b"no model", "damaged.zip": b"PK and no more", "hands.jpg": b"no picture"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with zipfile.ZipFile(tmp_path / "words.zip", "w") as archive:
        archive.writestr("words.txt", "no picture")
    page.goto("/quick")
    for name, why in (
        ("words.onnx", "words.onnx is text. Accepted are ONNX"),
        ("damaged.zip", "damaged.zip cannot be unpacked"),
        ("words.zip", "there are no images"),
    ):
        desk.choose(tmp_path / name)
        expect(wrong).to_contain_text(why, timeout=SLOW)
    desk.choose(tmp_path / "hands.jpg")
    expect(page.locator("[data-notes]")).to_contain_text("1 of 1", timeout=SLOW)
    model = tmp_path / "after.onnx"
    model.write_bytes(network(16))
    desk.choose(model)
    expect(desk.button("Convert")).to_be_visible(timeout=SLOW)
    expect(wrong).to_be_empty()


def test_without_a_tick_nothing_is_converted(desk: Walker, empty: Running, watched: Watch) -> None:
    watched.expected.add(422)
    page = desk.page
    of = source(empty, "Unticked", network(12))
    page.goto(f"/quick/{of}")
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    desk.button("Convert").click()
    expect(page.locator("#error-")).to_have_text("Tick at least one platform.")
    page.goto(f"/instances/{of}/matrix")
    expect(page.locator("main")).to_contain_text("Nothing was converted yet")


def test_convert_for_all_says_inputs_once_and_makes_a_job_of_each_tick(
    desk: Walker, empty: Running, watched: Watch
) -> None:
    watched.expected.add(422)
    page = desk.page
    of = source(empty, "All of it", network(36))
    page.goto("/models/default/all-of-it")
    page.get_by_role("region", name="Model variants").get_by_role("link", name="Convert").click()
    page.get_by_role("link", name="Convert for all").click()
    expect(page.locator("#batch-count")).to_have_text("3 conversions")
    for label in ("RVC3 INT8", "RVC4 AUTO"):
        page.get_by_label(label, exact=True).uncheck()
    page.get_by_label("RVC4 FP16", exact=True).check()
    page.get_by_label("RVC4 INT8", exact=True).check()
    page.get_by_label("Scale values").fill("255, 255, 255")
    page.get_by_text("Random", exact=True).click()
    expect(page.locator("#equal-cli")).to_contain_text("--to rvc2,rvc4")
    expect(page.locator("#equal-cli")).to_contain_text("--target-precision INT8,FP16")
    page.get_by_label("Scale values").fill("0, 255")
    desk.button("Export").click()
    expect(page.locator("main")).to_contain_text(re.compile("scale", re.IGNORECASE))
    page.get_by_label("Scale values").fill("255, 255, 255")
    desk.button("Export").click()
    expect(page).to_have_url(re.compile(f"/instances/{of}/matrix$"))
    jobs = _cancelled(empty, of)
    assert {(job["platform"], job["spec"].get("target_precision", "")) for job in jobs} == {
        ("rvc2", ""),
        ("rvc4", ""),
        ("rvc4", "FP16_STANDARD"),
    }
    assert all(job["spec"]["inputs"][0]["scale_values"] == [255, 255, 255] for job in jobs)
    assert len({job["name"] for job in jobs}) == 3


def test_convert_for_all_takes_the_shape_that_was_chosen(desk: Walker, empty: Running) -> None:
    """Who had chosen 64x64 for a model with an open size found no platform ticked, and the shape's field empty."""
    of = source(empty, "Open", open_model())
    page = desk.page
    page.goto(f"/instances/{of}/convert?inputs.0.shape=1,3,64,64")
    page.get_by_role("link", name="Convert for all").click()
    expect(page.get_by_label("Shape")).to_have_value("1,3,64,64")
    expect(page.locator("#batch-count")).to_have_text("3 conversions")


def _cancelled(hub: Running, source_id: str) -> list[dict[str, Any]]:
    """The jobs of a source, which need not run: that they do is shown above."""
    with hub.client() as client:
        found = [job for job in client.get("/jobs").json()["items"] if job["source_id"] == source_id]
        for job in found:
            client.post(f"/jobs/{job['id']}/cancel").raise_for_status()
    return found
