"""Models come in by the form, in a real browser, whatever their files are called; and checkpoints, where an operator
switched their export on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from oakmill.settings import current
from oakmill.toolchains.installing import accepting
from oakmill.toolchains.ultralytics.toolchain import UltralyticsToolchain
from tests.conversion.tflite_makers import convolution, written
from tests.hub_servers import ServedHub
from tests.tools import installed
from tests.unit.model.test_torch_files import checkpoint, named
from tests.web.conftest import Served, Watch, watched_admin, watching
from tests.web.furnish import Hub, network
from tests.web.working import asked, ran

SLOW = 120_000


def sent(page: Page, path: Path) -> None:
    """A file that is chosen in the form of a new model, and uploaded."""
    page.goto("/models/new")
    page.set_input_files("#files", path)
    page.get_by_role("button", name="Upload").click()


def test_a_tflite_file_comes_in_whatever_it_is_called(page: Page, tmp_path: Path) -> None:
    """The form guesses a format by the file's name: one called leaves.lite was sent whole, and refused then, as it is
    TFLITE and the place was for ONNX."""
    sent(page, written(convolution(), tmp_path / "leaves.lite"))
    expect(page.locator("[data-found]")).to_contain_text("TFLITE", timeout=SLOW)
    expect(page.locator("[data-wrong]")).to_be_empty()


@pytest.fixture
def bare(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A window of the admin of a hub without toolchains."""
    with ServedHub(tmp_path / "home") as served:
        hub = Hub(served.url, served.key)
        with watching(hub) as watch, watched_admin(browser, hub, watch) as context:
            watch.expected.add(422)
            yield context.new_page()


def test_a_checkpoint_is_refused_in_words_where_nobody_switched_their_export_on(bare: Page, tmp_path: Path) -> None:
    sent(bare, checkpoint(tmp_path / "best.pt", named("ultralytics.nn.tasks.DetectionModel")))
    wrong = bare.locator("[data-wrong]")
    expect(wrong).to_contain_text("best.pt is a checkpoint of Ultralytics, and this hub does not", timeout=SLOW)
    expect(wrong).to_contain_text("yolo export model=best.pt format=onnx")
    expect(wrong).to_contain_text("have the hub's operator switch it on")


def test_a_checkpoint_becomes_an_archive_with_its_head_and_names(page: Page, hub: Served, tmp_path: Path) -> None:
    """By the pages it was never tried: a YOLO's best.pt is what most people have."""
    toolchain = installed(UltralyticsToolchain(accepting(current(), "AGPL-3.0")))
    sent(page, toolchain.make_tiny(tmp_path / "job").rename(tmp_path / "oaks.pt"))
    expect(page.locator("[data-found]")).to_contain_text("PYTORCH", timeout=SLOW)
    page.get_by_role("link", name="Convert", exact=True).click()
    page.get_by_role("link", name="Convert for RVC2").click()
    expect(page.get_by_role("region", name="What the outputs are")).to_contain_text("A checkpoint of Ultralytics")
    source_id = page.url.split("/instances/")[1].split("/")[0]
    job = ran(hub, hub.home, asked(hub, source_id, spec={"blob": True}))
    assert job["status"] == "succeeded", job
    with hub.client() as client:
        config = client.get(f"/instances/{job['result_id']}/config").raise_for_status().json()
    (head,) = config["model"]["heads"]
    assert (head["parser"], head["metadata"]["classes"]) == ("YOLO", ["acorn", "oak"])


def test_what_is_refused_leaves_nothing_behind(page: Page, watch: Watch, tmp_path: Path) -> None:
    """A text file that was sent as a model left a Pending model, which kept the name from the right file."""
    watch.expected.add(422)
    (tmp_path / "chestnuts.onnx").write_text("no model at all")
    sent(page, tmp_path / "chestnuts.onnx")
    expect(page.locator("[data-wrong]")).not_to_be_empty(timeout=SLOW)
    expect(page).to_have_url(re.compile("/models/new$"))
    assert "chestnuts" not in page.context.request.get("/models").text()

    right = tmp_path / "right" / "chestnuts.onnx"
    right.parent.mkdir()
    right.write_bytes(network(29))
    page.set_input_files("#files", right)
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("[data-found]")).to_contain_text("ONNX", timeout=SLOW)


def test_an_upload_that_was_cut_off_is_gone_on_with_under_its_name(page: Page, watch: Watch, tmp_path: Path) -> None:
    """The name of an upload that had been left was taken, and nothing led to what waited."""
    (tmp_path / "twigs.onnx").write_bytes(network(30))
    page.route("**/api/v1/uploads", lambda route: route.abort())
    watch.expected_texts.add("net::ERR_FAILED")
    sent(page, tmp_path / "twigs.onnx")
    expect(page.locator("[data-wrong]")).not_to_be_empty()
    waited = page.url
    assert waited.endswith("/upload")

    page.unroute("**/api/v1/uploads")
    sent(page, tmp_path / "twigs.onnx")
    expect(page.locator("[data-found]")).to_contain_text("ONNX", timeout=SLOW)
    assert page.url == waited


def test_the_browser_asks_before_it_leaves_what_is_being_sent(page: Page, tmp_path: Path) -> None:
    """A click on a link in the middle of an upload ended it without a word."""
    (tmp_path / "leaf.onnx").write_bytes(network(31))
    page.route("**/complete", lambda route: None)  # it is being sent for as long as this lasts
    sent(page, tmp_path / "leaf.onnx")
    expect(page.locator("[data-list]")).to_contain_text("checking")
    with page.expect_event("dialog") as caught:
        page.close(run_before_unload=True)
    assert caught.value.type == "beforeunload"
    caught.value.accept()
