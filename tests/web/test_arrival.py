"""Models come in by the form, in a real browser, whatever their files are called; and checkpoints, where an operator
switched their export on."""

from __future__ import annotations

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
from tests.web.conftest import Served, watched_admin, watching
from tests.web.furnish import Hub
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
