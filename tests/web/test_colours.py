"""The proof of colours in a real browser: a model that was made to like red says so, and is taken into the form."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from playwright.sync_api import Page, expect

from tests.web.conftest import Served, Watch
from tests.web.furnish import add_source, made
from tests.web.test_datasets import SLOW, add_set, pictures


def red_or_blue() -> bytes:
    """A classifier that knows red from blue, of pixels of 0 to 1: the mean of each channel, four times, softmax."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 32])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Mul", ["flat", "four"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    four = numpy_helper.from_array(np.array(4, np.float32), "four")
    graph = helper.make_graph(nodes, "colours", [image], [scores], [four])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture(scope="session")
def classifier(hub: Served) -> str:
    with hub.client() as client:
        model = made(client, "/models", {"name": "Red or blue"})
        found: str = add_source(client, model["id"], red_or_blue(), file="colours.onnx", variant="32")["id"]
    return found


def red(path: Path) -> Path:
    Image.new("RGB", (64, 64), (250, 10, 10)).save(path)
    return path


def test_the_models_own_answer_turns_with_the_colours(page: Page, classifier: str, tmp_path: Path) -> None:
    page.goto(f"/instances/{classifier}/colours")
    page.set_input_files("[data-image] input", red(tmp_path / "red.png"))
    page.wait_for_url(re.compile("image="))
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(4, timeout=SLOW)
    right, reversed_ = (tiles.nth(place).locator(".bars li").first for place in (0, 1))
    expect(right).to_contain_text("class 0")
    expect(reversed_).to_contain_text("class 2")


def test_the_way_that_fits_is_taken_into_the_form(page: Page, classifier: str, tmp_path: Path) -> None:
    page.goto(f"/instances/{classifier}/colours")
    page.set_input_files("[data-image] input", red(tmp_path / "red.png"))
    page.wait_for_url(re.compile("image="))
    row = page.locator("tr", has_text="0 to 1").filter(has_text="RGB")
    row.get_by_role("link", name="RVC4").click(timeout=SLOW)
    expect(page.locator("[name='inputs.0.scale_values']")).to_have_value("255")
    expect(page.locator("[name='inputs.0.encoding_from']")).to_have_value("RGB")


def test_pictures_of_a_set_are_chosen_by_a_click(page: Page, hub: Served, classifier: str) -> None:
    own = add_set(hub, "For colours", pictures(12, seed=21))
    page.goto(f"/datasets/{own}")
    expect(page.locator("#report .stats")).to_be_visible(timeout=SLOW)
    page.goto(f"/instances/{classifier}/colours?set={own}")
    expect(page.locator(".tile")).to_have_count(4, timeout=SLOW)
    expect(page.locator("#proof")).to_contain_text("Fits best")
    page.locator(".strip a").nth(2).click()
    expect(page.locator(".strip a").nth(2)).to_have_attribute("aria-current", "true")


def test_what_is_no_picture_is_refused_in_words(page: Page, classifier: str, tmp_path: Path, watch: Watch) -> None:
    watch.expected = {422}
    (tmp_path / "a.png").write_text("<svg/>")
    page.goto(f"/instances/{classifier}/colours")
    page.set_input_files("[data-image] input", tmp_path / "a.png")
    expect(page.locator("#image-error")).to_contain_text("no JPEG")
