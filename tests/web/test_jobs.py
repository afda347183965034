from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from oakmill.errors import NotAModel
from oakmill.jobs import job_log, queue
from oakmill.jobs.job_log import Line
from tests.web.conftest import Served
from tests.web.furnish import network
from tests.web.screenshots import signed_in
from tests.web.working import SECONDS, asked, database, source, worker


def test_failed_conversions_have_a_tab_of_their_own(page: Page, failed: dict[str, Any]) -> None:
    page.goto("/conversions")
    page.get_by_role("link", name=re.compile("Failed conversions")).click()
    expect(page).to_have_url(re.compile("status=failed"))
    row = page.locator("tr", has=page.locator(f"a[href='/jobs/{failed['id']}']"))
    expect(row).to_contain_text("RVC2 does not have the operator")
    expect(row).to_contain_text("head/rois")
    expect(page.locator("tbody .badge.ok")).to_have_count(0)


def test_filters_stand_in_the_address(page: Page, failed: dict[str, Any]) -> None:
    page.goto("/conversions?status=failed")
    page.get_by_label("Model").select_option("Broken head")
    expect(page).to_have_url(re.compile("model=aim_"))
    expect(page.locator("tbody tr")).to_have_count(1)
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_failure_says_where_and_why_and_what_to_change(page: Page, failed: dict[str, Any]) -> None:
    page.goto(f"/jobs/{failed['id']}")
    failure = page.locator(".failure")
    expect(failure).to_contain_text("node 'head/rois' (MaxRoiPool)")
    expect(failure).to_contain_text("preflight")
    expect(page.locator(".changes").first).to_contain_text("outputs")
    expect(page.locator("#step-0")).to_contain_text("--outputs r")
    expect(page.locator("li[data-status=failed]")).to_contain_text("Preflight")
    assert "Failed" in page.title()
    failure.get_by_role("link", name="about this failure").click()
    expect(page).to_have_url(re.compile("/troubleshooting#unsupported-op-rvc2"))


def test_one_click_tries_again_with_the_remedy(page: Page, hub: Served, failed: dict[str, Any]) -> None:
    page.goto(f"/jobs/{failed['id']}")
    page.get_by_role("button", name="Retry with this").click()
    expect(page).to_have_url(re.compile(rf"/jobs/(?!{failed['id']})aij_"))
    expect(page.locator("body")).to_contain_text("a retry of")
    with hub.client() as client:
        job = client.get(f"/jobs/{page.url.rpartition('/')[2]}").json()
    assert job["spec"]["outputs"] == ["r"]
    assert job["retry_of"] == failed["id"]


def test_the_remedy_is_edited_in_the_form(page: Page, failed: dict[str, Any]) -> None:
    page.goto(f"/jobs/{failed['id']}")
    page.locator(".next-step").get_by_role("link", name="Edit in the form").click()
    expect(page).to_have_url(re.compile(r"/convert/rvc2\?job="))
    expect(page.locator("[name=outputs]")).to_have_value("r")


def test_a_job_is_followed_to_its_end(page: Page, hub: Served) -> None:
    job = asked(hub, source(hub, "Followed", network(32)), name="followed")
    page.goto(f"/jobs/{job['id']}")
    expect(page.locator(".card.live")).to_contain_text("in the queue")
    process = worker(hub.home, job["id"])
    expect(page.locator(".result")).to_be_visible(timeout=SECONDS * 1000)
    process.wait(SECONDS)
    expect(page.locator(".result")).to_contain_text("Ok")
    expect(page.locator(".result")).to_contain_text("dai.NNArchive")
    expect(page.locator(".log li.finished")).to_have_count(6)
    expect(page.locator("li[data-status=done]")).to_have_count(6)
    expect(page).to_have_title(re.compile("^Success"))
    numbers = page.locator(".log li").evaluate_all("items => items.map(item => Number(item.dataset.number))")
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_waiting_job_is_moved_and_cancelled(page: Page, hub: Served) -> None:
    job = asked(hub, source(hub, "Moved", network(40)))
    page.goto(f"/jobs/{job['id']}")
    page.get_by_label("Priority").fill("7")
    page.get_by_role("button", name="Set").click()
    expect(page.get_by_label("Priority")).to_have_value("7")
    expect(page.locator(".card.live")).to_contain_text("No. 1 in the queue")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state .badge").first).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Ask again")).to_be_visible()


def test_a_long_log_is_searched_filtered_and_taken_along(page: Page, hub: Served) -> None:
    job = asked(hub, source(hub, "Talkative", network(48)))
    with database(hub.home) as session:
        lines = [Line(f"line {number} <b>not bold</b> \x1b[31mred", "compile") for number in range(1, 1501)]
        job_log.append(session, job["id"], 1, [*lines, Line("careful", "compile", "warning")])
    page.goto(f"/jobs/{job['id']}")
    expect(page.locator(".log li")).to_have_count(500)
    page.get_by_role("link", name="lines before").click()
    expect(page.locator(".log li")).to_have_count(1501)
    expect(page.locator(".log li").first).to_have_text("line 1 <b>not bold</b> red")
    page.get_by_label("Search the log").fill("line 777 ")
    expect(page.locator(".log .hit")).to_have_count(1)
    expect(page.locator(".log .hit")).to_be_in_viewport()
    page.get_by_label("Which lines").select_option("Warnings and errors")
    expect(page.locator(".log li:visible")).to_have_text(["careful"])
    with page.expect_download() as download:
        page.get_by_role("link", name="Logs").click()
    text = Path(download.value.path()).read_text()
    assert len(text.splitlines()) == 1501
    assert "\x1b" not in text


def test_the_bundle_holds_no_weights(page: Page, hub: Served, failed: dict[str, Any]) -> None:
    answer = page.request.get(f"/jobs/{failed['id']}/bundle")
    with zipfile.ZipFile(io.BytesIO(answer.body())) as bundle:
        assert {"failure.json", "log.txt", "spec.json", "machine.json", "model.onnx"} <= set(bundle.namelist())


def test_a_bundle_is_made_where_the_job_left_none(page: Page, hub: Served) -> None:
    job = asked(hub, source(hub, "Waiting", network(56)), platform="rvc4", wait_for_upload=True)
    with database(hub.home) as session:
        queue.fail_waiting(session, job["id"], NotAModel("The upload is no zip."))
    answer = page.request.get(f"/jobs/{job['id']}/bundle")
    with zipfile.ZipFile(io.BytesIO(answer.body())) as bundle:
        assert json.loads(bundle.read("failure.json"))["sentence"] == "The upload is no zip."
        assert json.loads(bundle.read("source.json"))["opset"] == 13


def test_it_is_all_read_without_javascript(browser: Browser, hub: Served, failed: dict[str, Any]) -> None:
    plain = signed_in(browser, hub.url, hub.key, java_script_enabled=False)
    page = plain.new_page()
    page.goto(f"/jobs/{failed['id']}")
    assert page.locator(".log li").count() >= 3
    page.get_by_role("button", name="Retry unchanged").click()
    expect(page.locator("body")).to_contain_text("a retry of")
    plain.close()


NOTES = """window.notes = [];
window.Notification = class extends EventTarget {
  static permission = "default";
  static async requestPermission() { return (Notification.permission = window.answer ?? "granted"); }
  constructor(title, options) { super(); window.notes.push([title, options.body]); }
};"""


def test_a_notification_tells_the_end_to_whoever_wants_it(page: Page, hub: Served) -> None:
    """A conversion takes minutes; whoever looked elsewhere meanwhile had to come back to see that it was over."""
    page.add_init_script(NOTES)
    of = source(hub, "Waited for", network(22))
    first, second = (asked(hub, of, name=name, spec={"number_of_shaves": n}) for n, name in ((3, "one"), (4, "two")))
    page.goto(f"/jobs/{first['id']}")
    page.get_by_label("Tell me when it ends").check()
    page.locator("#cancel").click()
    page.wait_for_url("**/jobs/*")
    page.goto(f"/jobs/{second['id']}")
    page.evaluate("Notification.permission = 'granted'")
    page.reload()
    box = page.get_by_label("Tell me when it ends")
    box.check()
    with hub.client() as client:
        client.post(f"/jobs/{second['id']}/cancel").raise_for_status()
    expect(page.locator("#state .badge").first).to_have_text("Cancelled")
    page.wait_for_function("window.notes.length")
    assert page.evaluate("window.notes")[0][0] == "Cancelled: two"
    expect(page.locator("[data-notify]")).to_be_hidden()


def test_a_browser_that_allows_no_notifications_says_so(page: Page, hub: Served) -> None:
    page.add_init_script(NOTES + "window.answer = 'denied';")
    job = asked(hub, source(hub, "Not told", network(23)), name="quiet")
    page.goto(f"/jobs/{job['id']}")
    box = page.get_by_label("Tell me when it ends")
    box.click()
    expect(page.locator(".toast")).to_contain_text("does not allow notifications")
    expect(box).not_to_be_checked()
