"""The page says what the passport says, needs nothing from outside, and lets no name become markup."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from oakmill.conversion.passport import Check, HeldOut, Measurement, OutputAgreement, Overflow, Passport, page, pixels
from oakmill.conversion.passport.ladder import Rung
from oakmill.conversion.passport.parsers import ParserAgreement
from oakmill.conversion.passport.tasks import Seen, ShownImage, Sighting
from oakmill.findings import Finding, Severity
from tests.unit.conversion.passport.building import Out

EVIL = "<script>alert(1)</script>\"'&"
PICTURE = np.zeros((30, 40, 3), np.uint8)


class Tags(HTMLParser):
    """All tags with their attributes, and that each is closed in order."""

    VOID = frozenset({"meta", "image", "rect", "line", "br", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("rect", "line"):
            return
        assert self.open.pop() == tag


def passport(name: str = "scores", image: str = "image", method: str = "QDQ") -> Passport:
    random = np.random.default_rng(0)
    measurement = Measurement([Out(name, (1, 6)), Out("map", (1, 2, 4, 4))])
    for index in range(12):
        scores = np.eye(6)[index % 3][None] * 0.8 + 0.02
        moved = scores[:, ::-1] if index == 5 else scores + random.normal(0, 0.01, (1, 6))
        maps = random.normal(size=(1, 2, 4, 4))
        measurement.add(f"{image} {index}", {name: scores, "map": maps}, {name: moved, "map": maps * 1.001})
    names = tuple(f"{image} {index}" for index in range(12))
    return Passport("rvc4", HeldOut("photos", names), (measurement.check(method, "how it was run"),))


def detections(label: str = "cat") -> Passport:
    heads = [
        {
            "parser": "SSD",
            "metadata": {"boxes_outputs": "b", "scores_outputs": "s", "n_classes": 1, "classes": [label]},
        }
    ]
    measurement = Measurement([Out("b", (1, 2, 4)), Out("s", (1, 2, 1))], heads, (30, 40))
    boxes = np.array([[[0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]]])
    for index in range(4):
        first, second = np.array([[[0.9], [0.8]]]), np.array([[[0.9], [0.1]]])
        measurement.add(f"image {index}", {"b": boxes, "s": first}, {"b": boxes, "s": second})
    return Passport(
        "rvc4", HeldOut("photos", tuple(f"image {i}" for i in range(4))), (measurement.check("HTP", "how"),)
    )


def render(found: Passport, images: Mapping[str, Any] | None = None, facts: Mapping[str, Any] | None = None) -> str:
    shown = images or {f"image {index}": PICTURE for index in range(12)}
    thumbnails = {name: pixels.thumbnail(image) for name, image in shown.items()}
    return page.render(replace(found, thumbnails=thumbnails), facts or {})


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*</style>", "", text, flags=re.S)))


def test_the_page_shows_verdict_reasons_numbers_methods_and_facts() -> None:
    found = replace(
        passport(),
        findings=(Finding("joined_scales", Severity.ERROR, "scores vanish", title="One scale", remedy="16 bits"),),
        not_proven=("speed",),
        calibration={"set": "general", "count": 64},
        fp16_overflows=(Overflow("conv", 7e4, "image 1"),),
        images=HeldOut("photos", ("image 1",), "drawn with seed 7"),
    )
    facts = {"name": "My model", "source": "m.onnx", "parameters": {"mean": [1.0, 2.5], "scale": None}}
    text = words(render(found, facts=facts))
    for wanted in (
        "My model", "error", "One scale", "Scores vanish.", "What helps: 16 bits", "top-1 agreement", "91.7 %",
        "QDQ : how it was run", "image 5", "drawn with seed 7", "speed", "general", "m.onnx", "1, 2.5", "none", "conv",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_the_page_shows_what_the_vendors_parser_finds() -> None:
    seen = Sighting((Seen("<b>cat</b>", 0.9, (0.1, 0.1, 0.5, 0.5)),))
    worst = (ShownImage("image 1", 1.0, seen, seen),)
    row = ParserAgreement(0, "YOLO", "DetectionParser", "detection", images=4, boxes=1, found=1, named=1.0, worst=worst)
    unread = ParserAgreement(1, "NobodysParser", note="depthai has no such parser for a computer")
    text = render(replace(passport(), parsers=(row, unread)))
    assert "The vendor&#39;s parser finds 1 of the float model&#39;s 1 boxes on 4 images, class names right." in text
    assert "NobodysParser: depthai has no such parser for a computer." in text
    assert "<b>cat</b>" not in text


def test_a_passport_that_is_ok_says_so() -> None:
    fine = Passport("rvc2", HeldOut("photos", ("image 0",)), ())
    assert "Every number that decides is within its bound" in words(render(fine))


@pytest.mark.parametrize("found", [passport(), detections(), Passport("rvc2", HeldOut("", ()), ())])
def test_the_page_is_one_file_and_reaches_for_nothing(found: Passport) -> None:
    text = render(found)
    parsed = Tags(text)
    assert parsed.open == []
    assert {tag for tag, _ in parsed.tags}.isdisjoint({"script", "link", "iframe", "object", "form"})
    for _, attributes in parsed.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "action"):
                assert str(value).startswith(("data:image/", "#image-"))
    assert "url(" not in text and "@import" not in text and "http://" not in text and "https://" not in text
    assert "default-src 'none'" in text


def test_no_name_becomes_markup() -> None:
    found = replace(
        passport(EVIL, EVIL, EVIL),
        platform=EVIL,
        images=HeldOut(EVIL, (EVIL,), EVIL),
        not_proven=(EVIL,),
        findings=(Finding(EVIL, Severity.WARNING, EVIL, title=EVIL, remedy=EVIL, evidence={EVIL: EVIL}),),
        fp16_overflows=(Overflow(EVIL, 7e4, EVIL),),
        calibration={EVIL: EVIL},
    )
    facts = {"name": EVIL, EVIL: EVIL, "more" + EVIL: {EVIL: [EVIL]}}
    text = render(found, {f"{EVIL} {index}": PICTURE for index in range(12)}, facts)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert Tags(text).open == []


def test_no_label_becomes_markup_inside_a_drawing() -> None:
    text = render(detections(EVIL))
    assert "<script" not in text
    assert 'class="box lone"' in text and 'class="box "' in text
    assert Tags(text).open == []


def test_pictures_may_be_gray_or_missing() -> None:
    gray = {"image 5": np.zeros((30, 40, 1), np.uint8), "image 1": np.zeros((30, 40), np.uint8)}
    assert "data:image/jpeg" in render(passport(), gray)
    assert "data:image/jpeg" not in render(passport(), {"other": PICTURE})


def test_masks_are_drawn_over_their_picture() -> None:
    measurement = Measurement([Out("m", (1, 3, 30, 40))], [{"parser": "SegmentationParser", "metadata": {}}])
    scores = np.random.default_rng(0).normal(size=(1, 3, 30, 40))
    measurement.add("image 0", {"m": scores}, {"m": scores[:, ::-1]})
    found = Passport("rvc4", HeldOut("photos", ("image 0",)), (measurement.check("QDQ", "how"),))
    assert render(found).count("data:image/png") >= 2


def test_texts_stand_beside_each_other() -> None:
    heads = [
        {"parser": "ClassificationSequenceParser", "metadata": {"classes": ["-", "a", "b"], "ignored_indexes": [0]}}
    ]
    measurement = Measurement([Out("t", (1, 4, 3))], heads)
    measurement.add("image 0", {"t": np.eye(3)[[1, 0, 2, 2]][None]}, {"t": np.eye(3)[[1, 0, 1, 0]][None]})
    text = words(render(Passport("rvc4", HeldOut("photos", ("image 0",)), (measurement.check("QDQ", "how"),))))
    assert "ab" in text and "aa" in text


def test_a_model_with_many_outputs_and_classes_stays_a_page() -> None:
    measurement = Measurement([Out(f"o{index}", (1, 3, 5, 5)) for index in range(60)])
    values = {f"o{index}": np.random.default_rng(index).normal(size=(1, 3, 5, 5)) for index in range(60)}
    for index in range(3):
        measurement.add(f"image {index}", values, values)
    found = Passport("rvc4", HeldOut("photos", ("a",)), (measurement.check("QDQ", "how"),))
    assert len(render(found)) < 200_000


def test_three_methods_stand_below_each_other() -> None:
    """Beside each other they were wider than the page, and the camera's numbers, the last, were cut off."""
    found = passport()
    several = replace(found, checks=tuple(replace(found.checks[0], name=name) for name in ("QDQ", "file", "camera")))
    table = re.search(r'<table class="outputs">.*?</table>', page.render(several, {}), re.DOTALL)
    assert table is not None
    assert table[0].count("<th") == 6
    assert re.findall(r'method">(\w+)<', table[0]) == ["QDQ", "file", "camera"] * 2
    assert 'rowspan="3">scores' in table[0]


def test_outputs_come_with_the_worst_first_and_words_for_what_is_no_number() -> None:
    levels = {"fine": math.inf, "bad": math.nan, "low": 3.0}
    outputs = tuple(OutputAgreement(name, level, 1.0, 0.1, "a", level) for name, level in levels.items())
    text = words(render(Passport("rvc4", HeldOut("photos", ("a",)), (Check("QDQ", "how", outputs, 25, 15),))))
    rows = re.findall("(fine|bad|low) (equal|none|3.0 dB)", text)
    assert rows == [("bad", "none"), ("low", "3.0 dB"), ("fine", "equal")]


def test_the_search_is_drawn_with_what_was_chosen() -> None:
    curve = [
        {"tensors": 0, "activations_mb": 1.0, "agreement_db": 20.0},
        {"tensors": 2, "activations_mb": 1.5, "agreement_db": 30.0},
        {"tensors": 9, "activations_mb": 2.0, "agreement_db": 31.0},
    ]
    search = {"kept_in_16_bits": ["a", "b"], "curve": curve, "complete": True}
    text = render(Passport("rvc4", HeldOut("photos", ("a",)), calibration={"search": search}))
    dots = [attributes for tag, attributes in Tags(text).tags if tag == "circle"]
    assert [dot["class"] for dot in dots] == ["", "chosen", ""]
    assert (dots[0]["cx"], dots[0]["cy"]) == ("0.0", "150.0")
    assert (dots[2]["cx"], dots[2]["cy"]) == ("360.0", "0.0")
    assert "Kept in 16 bits: a, b." in words(text)


def test_the_hub_shows_the_same_without_a_style_in_any_element() -> None:
    """The hub's policy forbids styles in attributes; bars were drawn with them."""
    found = replace(passport(), thumbnails={"image 5": pixels.thumbnail(PICTURE)})
    inside = page.body(found)
    assert inside in page.render(found, {})
    assert not [attributes for _, attributes in Tags(inside).tags if "style" in attributes]


def test_a_format_whose_time_nobody_knows_says_why() -> None:
    why = "no time is expected: layers of 16 bits among 8 can take longer"
    rung = Rung("INT8_STANDARD, SiLU in 16 bits", Severity.OK, "AP 0.39", 1 << 20, fit=True, untimed=why)
    assert f"{rung.precision}: {why}." in words(render(replace(passport(), ladder=(rung,))))
