"""A way on from everything: what a finding or a result asks for is a click away."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import pytest
from onnx import TensorProto, helper
from playwright.sync_api import Page, expect

from oakmill.conversion.passport import Passport
from oakmill.conversion.passport.report import HeldOut
from oakmill.findings import Finding, Severity
from oakmill.jobs.tables import Job
from oakmill.registry.tables import Instance
from tests.web.conftest import Served
from tests.web.furnish import network
from tests.web.test_datasets import add_set, pictures
from tests.web.working import database, source

SLOW = 240_000


def open_network() -> bytes:
    """A network whose image has no size of its own."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, "height", "width"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 8])
    weights = helper.make_tensor("w", TensorProto.FLOAT, [8, 3, 3, 3], [0.1] * 216)
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["logits"], "flatten"),
    ]
    graph = helper.make_graph(nodes, "net", [image], [logits], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    data: bytes = made.SerializeToString()
    return data


@pytest.fixture(scope="module")
def wide(hub: Served) -> str:
    return source(hub, "Of any size", open_network())


def test_an_open_shape_is_asked_for_once(page: Page, wide: str) -> None:
    """The dialog said three times "cannot be converted", where all that was missing was a size."""
    page.goto(f"/instances/{wide}/convert")
    wants = page.locator(".wants")
    expect(wants).to_contain_text("It needs a shape")
    expect(wants.get_by_role("link")).to_have_text(["320", "416", "640"])
    expect(page.locator(".platform-choice .badge.error")).to_have_count(0)
    wants.get_by_role("link", name="416").click()
    expect(page.locator(".wants")).to_have_count(0, timeout=SLOW)
    page.get_by_role("link", name="Convert for RVC2").click()
    expect(page.locator("#f-inputs-0-shape")).to_have_value("1, 3, 416, 416")
    expect(page.locator("#verdict")).to_contain_text("can be converted")


def test_a_form_takes_what_its_preflight_offers(page: Page, wide: str) -> None:
    page.goto(f"/instances/{wide}/convert/rvc2")
    page.get_by_role("link", name="Take 640").click()
    expect(page.locator("#f-inputs-0-shape")).to_have_value("1, 3, 640, 640")
    expect(page.locator("#verdict")).to_contain_text("can be converted", timeout=SLOW)


@pytest.mark.parametrize("shape", ["0", "1,3,x,y", "9" * 400, "1,3,-1,-1"])
def test_a_shape_that_is_none_leaves_the_dialog_as_it_was(page: Page, wide: str, shape: str) -> None:
    answer = page.goto(f"/instances/{wide}/convert?inputs.0.shape={shape}")
    assert answer is not None
    assert answer.ok
    expect(page.locator(".platform-choice")).to_have_count(3)


def test_without_own_images_the_form_has_chosen_some_that_are_there(page: Page, hub: Served) -> None:
    """General was chosen though it was not installed, and the job failed after a minute."""
    with hub.client() as client:
        for row in client.get("/datasets").json().get("items", []):
            client.delete(f"/datasets/{row['id']}")
    of = source(hub, "Without images", network(36))
    page.goto(f"/instances/{of}/convert/rvc4")
    expect(page.locator("#images").get_by_label(re.compile("^Starter"))).to_be_checked()
    expect(page.locator("#images").get_by_label(re.compile("^General"))).to_be_disabled()
    expect(page.get_by_role("button", name=re.compile(r"Install General, about 340 MB"))).to_be_visible()
    page.get_by_role("button", name="FP16, which needs no images").click()
    expect(page.locator("#f-target_precision")).to_have_value("FP16_STANDARD")
    expect(page.locator("#equal-cli")).to_contain_text("FP16_STANDARD")


def test_a_set_that_is_missing_is_told_before_a_job_is_made(page: Page, hub: Served) -> None:
    of = source(hub, "Of a set that is not here", network(40))
    address = f"/instances/{of}/convert/rvc4"
    form: dict[str, str | float | bool] = {"target_precision": "INT8_STANDARD", "quantization_data": ""}
    answer = page.request.post(address, form=form, headers={"Origin": hub.url})
    assert answer.status == 422
    assert "General is not installed on this hub" in answer.text()
    form["target_precision"] = "FP16_STANDARD"
    assert page.request.post(address, form=form, headers={"Origin": hub.url}, max_redirects=0).status == 303


def test_images_are_sent_from_the_form_and_chosen_there(page: Page, hub: Served, tmp_path: Any) -> None:
    of = source(hub, "With images sent later", network(44))
    path = tmp_path / "shelf-night.zip"
    path.write_bytes(pictures(12, seed=9))
    page.goto(f"/instances/{of}/convert/rvc4")
    page.fill("#f-name", "kept while images come")
    page.get_by_role("button", name="Upload your images").click()
    page.set_input_files("#file", path)
    page.get_by_role("dialog").get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("#images").get_by_label(re.compile("^shelf-night"))).to_be_checked(timeout=SLOW)
    expect(page.locator("#f-name")).to_have_value("kept while images come")
    expect(page.locator("#equal-cli")).to_contain_text("--quantization-data shelf-night", timeout=SLOW)


def test_formats_are_advised(page: Page, hub: Served) -> None:
    of = source(hub, "Advised", network(48))
    page.goto(f"/instances/{of}/convert/rvc4")
    expect(page.locator(".advice")).to_contain_text("finds out")
    page.locator(".advice").get_by_role("button", name="INT8", exact=True).click()
    expect(page.locator("#f-target_precision")).to_have_value("INT8_STANDARD")


def damaged() -> bytes:
    """A set of 12, to which a cut-off image and a copy were added."""
    with zipfile.ZipFile(io.BytesIO(pictures(12, seed=4))) as given:
        files = {name: given.read(name) for name in given.namelist()}
    first = next(name for name in files if name.endswith(".png"))
    files |= {"cut.png": files[first][: len(files[first]) // 2]}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def test_damaged_images_are_removed_with_a_click(page: Page, hub: Served) -> None:
    """The finding said "Remove them", and the only way was to make the zip anew."""
    page.goto(f"/datasets/{add_set(hub, 'With a damaged one', damaged())}")
    page.get_by_role("button", name="Remove the 1 damaged").click(timeout=SLOW)
    expect(page.locator("#report .stats")).to_be_visible(timeout=SLOW)
    expect(page.get_by_role("button", name=re.compile("damaged"))).to_have_count(0)
    page.get_by_role("button", name=re.compile("Remove the .* copies")).click(timeout=SLOW)
    expect(page.locator(".findings")).not_to_contain_text("duplicates", timeout=SLOW)


def red(hub: Served, job: dict[str, Any]) -> None:
    """Let a job be one of an RVC4 in INT8 whose result lost too much: a real one takes minutes."""
    lost = Finding("lost", Severity.ERROR, "agreement is 22 %", "Most decisions are others", "take more images")
    passport = Passport("rvc4", HeldOut("set", ("a.png",), ""), findings=(lost,))
    with database(hub.home) as session:
        row = session.get_one(Job, job["id"])
        row.platform, row.spec = "rvc4", {"platform": "rvc4", "target_precision": "INT8_STANDARD"}
        row.result = {**(row.result or {}), "passport": passport.as_dict()}
        session.get_one(Instance, row.result_id).verdict = "error"


def test_a_red_result_is_converted_again_with_a_click(page: Page, hub: Served, pair: list[dict[str, Any]]) -> None:
    """Red results told what was wrong, and had no way on."""
    red(hub, pair[1])
    page.goto(f"/jobs/{pair[1]['id']}")
    help_there = page.get_by_role("group", name="What helps")
    expect(help_there.get_by_role("link", name="Ask the model which colours")).to_be_visible()
    expect(help_there.get_by_role("button", name="Convert again with FP16")).to_be_visible()
    page.goto(f"/instances/{pair[1]['result_id']}?tab=passport")
    expect(page.get_by_title("Whose work is in this hub")).to_contain_text(re.compile(r"Licences\s*\d+\.\d+\.\d+$"))
    page.get_by_role("button", name="Convert again with AUTO").click()
    page.wait_for_url(re.compile(r"/jobs/aij_\w+$"))
    expect(page.locator("body")).to_contain_text("a retry of")
    expect(page.locator("#command")).to_contain_text("--target-precision AUTO")
