"""The conversion's form in a real browser: drawn from the spec, checked as one types, sent, and without JavaScript."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Served, Watch
from tests.web.furnish import network
from tests.web.working import source

FULL = "/models/default/warehouse-detector"


@pytest.fixture(scope="module")
def net(hub: Served) -> str:
    """A source of its own: what is asked for here is listed nowhere else."""
    return source(hub, "Converted by the form", network(64))


@pytest.fixture
def form(page: Page, net: str) -> Page:
    page.goto(f"/instances/{net}/convert/rvc2")
    return page


def test_the_dialog_offers_every_platform_and_says_why_one_is_doubtful(page: Page) -> None:
    page.goto(FULL)
    page.get_by_role("region", name="Model variants").get_by_role("link", name="Convert").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("h3")).to_have_text(["RVC2", "RVC3", "RVC4"])
    expect(dialog).to_contain_text("measured with rvc2/openvino-2022.2.0")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_shaves_are_asked_for_a_blob_only(form: Page) -> None:
    expect(form.locator("#f-number_of_shaves")).to_be_hidden()
    form.check("#f-blob")
    form.locator("#f-number_of_shaves").fill("5")
    expect(form.locator("output")).to_have_text("5")
    expect(form.locator("#equal-cli")).to_contain_text("--shaves 5")


def test_what_is_typed_is_checked_by_the_spec_and_the_allow_lists(form: Page) -> None:
    form.fill("#f-inputs-0-shape", "1, 3, many, 64")
    expect(form.locator("#error-inputs-0-shape")).to_contain_text("no whole number")
    form.fill("#f-inputs-0-scale_values", "0 1 1")
    form.fill("#f-inputs-0-shape", "")
    expect(form.locator("#error-inputs-0")).to_contain_text("none may be 0")
    form.locator("summary", has_text="Advanced").click()
    form.fill("#f-compile_tool_args", "-ip U9")
    expect(form.locator("#error-compile_tool_args")).to_contain_text("cannot have the value 'U9'")
    form.fill("#f-mo_args", "--extensions /tmp/evil.py")
    expect(form.locator("#error-mo_args")).to_contain_text("run code")
    form.fill("#f-compile_tool_args", "-ip U8")
    expect(form.locator("#error-compile_tool_args")).to_be_empty()


def test_values_that_do_not_fit_are_told_and_colours_are_said_in_words(form: Page) -> None:
    """Two mean values on three channels passed the form, which said "as the model says" where an ONNX says nothing."""
    expect(form.locator("#colours-inputs-0")).to_have_text(
        "The model is fed RGB, and the camera gives BGR: channels are reversed in the file."
    )
    expect(form.locator("#f-inputs-0-encoding_from option:checked")).to_have_text("RGB, as nothing says otherwise")
    form.fill("#f-inputs-0-mean_values", "1, 2")
    expect(form.locator("#error-inputs-0")).to_contain_text("3 channel(s), but 2 mean values were given")
    form.fill("#f-inputs-0-mean_values", "")
    form.locator("#f-inputs-0-encoding_from").select_option("BGR")
    expect(form.locator("#colours-inputs-0")).to_contain_text("nothing is reversed")


def test_what_was_typed_is_there_again_after_back(page: Page, hub: Served) -> None:
    """Back after Export showed the form as it had come, so that one changed value had to be typed with all others."""
    of = source(hub, "Gone back to", network(65))
    page.goto(f"/instances/{of}/convert/rvc2")
    page.fill("#f-inputs-0-scale_values", "255")
    page.locator("#f-inputs-0-encoding_to").select_option("RGB")
    page.check("#f-blob")
    page.locator("#f-number_of_shaves").fill("5")
    expect(page.locator("#equal-cli")).to_contain_text("--shaves 5")
    page.get_by_role("button", name="Export").click()
    page.wait_for_url("**/jobs/*")
    page.go_back()
    expect(page.locator("#f-inputs-0-scale_values")).to_have_value("255")
    expect(page.locator("#f-inputs-0-encoding_to")).to_have_value("RGB")
    expect(page.locator("#f-blob")).to_be_checked()
    expect(page.locator("output")).to_have_text("5")
    expect(page.locator("#equal-cli")).to_contain_text("--shaves 5")


def test_presets_fill_in_and_the_swapped_pair_is_noticed(form: Page) -> None:
    form.locator("[data-preset]").select_option("imagenet")
    expect(form.locator("#f-inputs-0-scale_values")).to_have_value("58.395, 57.12, 57.375")
    expect(form.locator("#equal-cli")).to_contain_text("--mean-values 123.675,116.28,103.53")
    expect(form.locator("#warning-inputs-0")).to_be_empty()
    form.fill("#f-inputs-0-mean_values", "58.395, 57.12, 57.375")
    expect(form.locator("#warning-inputs-0")).to_contain_text("look swapped")
    form.get_by_role("button", name="Give mean").click()
    expect(form.locator("#f-inputs-0-mean_values")).to_have_value("123.675, 116.28, 103.53")
    expect(form.locator("#warning-inputs-0")).to_be_empty()
    form.locator("[data-preset]").select_option("signed")
    expect(form.locator("#f-inputs-0-mean_values")).to_have_value("127.5, 127.5, 127.5")
    form.locator("#f-inputs-0-encoding_from").select_option("BGR")
    form.locator("[data-preset]").select_option("caffe")
    expect(form.locator("#f-inputs-0-mean_values")).to_have_value("103.939, 116.779, 123.68")
    expect(form.locator("#f-inputs-0-scale_values")).to_be_empty()
    expect(form.locator("#warning-inputs-0")).to_be_empty()


def test_an_archive_fills_in_and_its_values_are_asked_for_once(page: Page, hub: Served) -> None:
    page.goto(f"/instances/{hub.ids['archive']}/convert/rvc4")
    expect(page.locator("#f-inputs-0-mean_values")).to_have_value("123.675, 116.28, 103.53")
    expect(page.get_by_text("from the archive")).to_have_count(6)
    expect(page.locator("#equal-cli")).not_to_contain_text("--mean-values")
    page.fill("#f-inputs-0-mean_values", "")
    expect(page.locator("#equal-cli")).to_contain_text("--mean-values 0,0,0")


def test_calibration_sets_are_choices_and_random_is_warned_of(page: Page, net: str) -> None:
    page.goto(f"/instances/{net}/convert/rvc4")
    sets = page.get_by_role("radiogroup", name="Quantization data")
    for name in ("General", "Starter", "Random"):  # of what is not installed only General: a request may mean it
        expect(sets.get_by_text(name, exact=True)).to_be_visible()
    expect(sets).to_contain_text("Random pixels wreck accuracy")
    expect(page.locator("#f-target_precision")).to_have_value("AUTO")
    page.select_option("#f-target_precision", "FP16_STANDARD")
    expect(sets).to_be_hidden()


def test_another_shape_is_looked_at(form: Page) -> None:
    form.fill("#f-inputs-0-shape", "1, 3, 32, 48")
    with form.expect_response("**/preflight", timeout=60_000) as answered:
        form.locator("#f-inputs-0-shape").blur()
    assert answered.value.status == 200
    expect(form.locator("#verdict")).to_contain_text("asked for is 1,3,32,48")


def test_the_tabs_say_the_same_in_three_ways(form: Page) -> None:
    form.check("#f-blob")
    expect(form.locator("#equal-cli")).to_contain_text("--blob")
    form.get_by_role("tab", name="CLI").focus()
    form.keyboard.press("ArrowRight")
    expect(form.locator("#equal-python")).to_be_visible()
    expect(form.locator("#equal-python")).to_contain_text("blob=True")
    form.keyboard.press("ArrowRight")
    expect(form.locator("#equal-yaml")).to_contain_text("superblob: false")


def test_export_makes_the_instance_at_once(form: Page, hub: Served) -> None:
    form.fill("#f-name", "made by the form")
    form.check("#f-blob")
    form.locator("#f-number_of_shaves").fill("15")
    with form.expect_navigation():
        form.get_by_role("button", name="Export").click()
    job_id = re.findall(r"/jobs/(\w+)", form.url)[0]
    with hub.client() as client:
        job = client.get(f"/jobs/{job_id}").json()
        made = client.get(f"/instances/{job['result_id']}").json()
    assert job["spec"] == {"platform": "rvc2", "name": "made by the form", "blob": True, "number_of_shaves": 15}
    assert (made["name"], made["status"]) == ("made by the form", "pending")


def test_the_form_works_without_javascript(hub: Served, net: str) -> None:
    with httpx.Client(base_url=hub.url, trust_env=False) as client:
        client.post("/session", data={"key": hub.key})
        here = f"/instances/{net}/convert/rvc4"
        wrong = client.post(here, data={"max_quantization_images": "0", "name": "kept"})
        assert wrong.status_code == 422
        assert "0&#39; has to be 1 or more" in wrong.text
        assert 'value="kept"' in wrong.text
        right = client.post(here, data={"target_precision": "FP16_STANDARD", "name": "plain"})
        assert right.headers["location"].startswith("/jobs/")


def test_a_request_names_no_file_of_the_hubs_machine(hub: Served, net: str) -> None:
    with httpx.Client(base_url=hub.url, trust_env=False) as client:
        client.post("/session", data={"key": hub.key})
        here = f"/instances/{net}/convert/rvc4"
        for name, value in (("quantization_data", "/etc"), ("verification_images", "../../etc/passwd")):
            answer = client.post(here, data={name: value})
            assert answer.status_code == 422, json.dumps({name: value})
        extra = client.post(here, data={"aimet_encodings": "/etc/passwd", "target_precision": "FP16_STANDARD"})
        assert extra.status_code == 303  # it is no field of the form, and says nothing


def test_a_result_is_no_source(page: Page, hub: Served, watch: Watch) -> None:
    watch.expected = {409}
    with hub.client() as client:
        made = client.get(f"/instances?parent_id={hub.ids['source']}").json()["items"][0]
    page.goto(f"/instances/{made['id']}/convert")
    expect(page.locator(".notice")).to_contain_text("no complete source")
