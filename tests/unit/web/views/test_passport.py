"""What the passport's tab shows: outputs, images and the search, made of its document."""

from __future__ import annotations

from oakmill.web.views import passport as passport_view
from oakmill.web.views import passport_images

WORST = """<h2>Where they differ most: boxes, by QDQ</h2><div class="card"><h3>a &lt;b&gt;.jpg</h3>
<svg class="picture" viewBox="0 0 200 100"><image width="200" height="100" href="data:image/jpeg;base64,AAAA"/>
<rect class="box lone" x="1.5" y="2" width="30" height="40"><title>x</title></rect></svg>
<svg viewBox="0 0 200 100"><image href="https://example.com/tracker.png"/><script>alert(1)</script>
<rect class="box" x="no" y="2" width="3" height="4"/></svg></div><h2>Next</h2><h3>not this</h3>"""


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
    check = {"name": "QDQ", "method": "", "ok_from_db": 25, "error_below_db": 15, "outputs": outputs}
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
