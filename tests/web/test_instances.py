from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from oakmill.web.views import passport as passport_view
from oakmill.web.views import passport_images
from tests.web.conftest import Served

WORST = """<h2>Where they differ most: boxes, by QDQ</h2><div class="card"><h3>a &lt;b&gt;.jpg</h3>
<svg class="picture" viewBox="0 0 200 100"><image width="200" height="100" href="data:image/jpeg;base64,AAAA"/>
<rect class="box lone" x="1.5" y="2" width="30" height="40"><title>x</title></rect></svg>
<svg viewBox="0 0 200 100"><image href="https://example.com/tracker.png"/><script>alert(1)</script>
<rect class="box" x="no" y="2" width="3" height="4"/></svg></div><h2>Next</h2><h3>not this</h3>"""


@pytest.fixture
def converted(pair: list[dict[str, Any]]) -> dict[str, Any]:
    return pair[0]


def test_the_passport_says_what_was_measured_and_how(page: Page, converted: dict[str, Any]) -> None:
    page.goto(f"/instances/{converted['result_id']}")
    expect(page.locator("h1")).to_have_text("2 shaves")
    expect(page.locator(".check")).to_have_count(2)
    expect(page.locator(".check").first).to_contain_text("OpenVINO's CPU plugin in float32")
    expect(page.locator("svg.by-image rect")).to_have_count(16)
    expect(page.locator("body")).to_contain_text("What is not proven")


def test_every_tab_has_its_own_address(page: Page, converted: dict[str, Any]) -> None:
    page.goto(f"/instances/{converted['result_id']}")
    for tab, words in {
        "Run on a camera": "getModelFromZoo",
        "Recipe": "oakmill replay",
        "Parameters": "--shaves",
        "Lineage": "net.onnx",
        "Compare with": "other instance",
    }.items():
        page.get_by_label("Parts of the instance").get_by_role("link", name=tab).click()
        expect(page.locator("main")).to_contain_text(words)
        expect(page.locator(".tabs [aria-current=page]")).to_contain_text(tab)


def test_parameters_tell_what_was_changed(page: Page, converted: dict[str, Any]) -> None:
    page.goto(f"/instances/{converted['result_id']}?tab=parameters")
    changed = page.locator("tr.differs")
    expect(changed).to_have_count(3)  # with its name
    expect(changed.filter(has_text="--shaves")).to_contain_text("2")


def test_its_files_are_downloaded(page: Page, converted: dict[str, Any]) -> None:
    page.goto(f"/instances/{converted['result_id']}")
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("^Download")).click()
    assert download.value.suggested_filename.endswith(".tar.xz")


def test_the_stored_page_may_do_nothing(page: Page, converted: dict[str, Any]) -> None:
    answer = page.request.get(f"/instances/{converted['result_id']}/passport")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy


def test_a_source_says_where_it_can_go(page: Page, hub: Served) -> None:
    page.goto(f"/instances/{hub.ids['source']}")
    expect(page.locator("main")).to_contain_text("RVC2")
    expect(page.get_by_role("link", name="Convert", exact=True)).to_be_visible()
    expect(page.locator(".tensors")).to_contain_text("1 × 3 × 64 × 64")


def test_of_a_stored_page_only_numbers_and_pixels_are_taken() -> None:
    (pair,) = passport_images.read(WORST)
    assert pair.image == "a <b>.jpg"
    first, second = pair.drawings
    assert first.layers == ["data:image/jpeg;base64,AAAA"]
    assert (first.boxes[0].x, first.boxes[0].alone) == (1.5, True)
    assert (second.layers, second.boxes) == ([], [])


def test_outputs_come_with_the_worst_first_and_words_for_what_is_no_number() -> None:
    outputs = [
        {"name": "fine", "snr_db": "inf", "cosine": 1.0, "max_abs": 0.0, "by_image_snr_db": ["inf", 12.0]},
        {"name": "bad", "snr_db": "nan", "cosine": "nan", "max_abs": "nan", "by_image_snr_db": ["nan"]},
        {"name": "low", "snr_db": 3.0, "cosine": 0.4, "max_abs": 9.0, "by_image_snr_db": [3.0]},
    ]
    check = {"name": "QDQ", "method": "", "pass_above_db": 25, "fail_below_db": 15, "outputs": outputs}
    view = passport_view.of({"checks": [check], "images": {"count": 2, "names": ["a", "b"]}}, {}, ())
    assert [output.name for output in view.checks[0].outputs] == ["bad", "low", "fine"]
    assert [output.words for output in view.checks[0].outputs] == ["none", "3.0 dB", "equal"]
    assert [bar.look for bar in view.checks[0].outputs[2].bars] == ["error", "ok"]


def test_the_search_is_drawn_with_what_was_chosen() -> None:
    curve = [
        {"tensors": 0, "activations_mb": 1.0, "agreement_db": 20.0},
        {"tensors": 2, "activations_mb": 1.5, "agreement_db": 30.0},
        {"tensors": 9, "activations_mb": 2.0, "agreement_db": 31.0},
    ]
    search = {"kept_in_16_bits": ["a", "b"], "curve": curve, "complete": True}
    points = passport_view.of({}, {"calibration": {"search": search}}, ()).curve
    assert [point.is_chosen for point in points] == [False, True, False]
    assert (points[0].x, points[0].y) == (0.0, passport_view.CURVE_HEIGHT)
    assert (points[2].x, points[2].y) == (passport_view.CURVE_WIDTH, 0.0)
