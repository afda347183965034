"""What a passport shows: the best images of a model, its face, and which classes are taken for others."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from oakmill.conversion.images.samples import GENERATED
from oakmill.conversion.passport import HeldOut, Measurement, Passport, confusion_chart, face, page, pixels
from oakmill.conversion.passport.headline import headline
from oakmill.conversion.passport.tasks import BestImages, Confusion, ShownImage, Sighting
from tests.unit.conversion.passport.building import Out

HEADS = [
    {
        "parser": "SSD",
        "metadata": {
            "boxes_outputs": "b", "scores_outputs": "s", "n_classes": 2, "classes": ["cat", "dog"],
        },
    }
]  # fmt: skip
BOXES = np.array([[[0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]]])


def detections() -> Passport:
    """Of four images, on the second the converted model takes a cat for a dog, and on the third it sees nothing."""
    measurement = Measurement([Out("b", (1, 2, 4)), Out("s", (1, 2, 2))], HEADS, (60, 80))
    cats = np.array([[[0.9, 0.0], [0.0, 0.8]]])
    found = [cats, np.array([[[0.0, 0.9], [0.0, 0.8]]]), np.zeros((1, 2, 2)), cats]
    for number, scores in enumerate(found):
        measurement.add(f"image {number}", {"b": BOXES, "s": cats}, {"b": BOXES, "s": scores})
    names = tuple(f"image {number}" for number in range(4))
    made = Passport("rvc4", HeldOut("photos", names), (measurement.check("HTP", "how"),))
    photo = np.full((60, 80, 3), 90, np.uint8)
    return replace(made, thumbnails={name: pixels.thumbnail(photo) for name in names})


def test_the_best_images_are_those_that_show_most_and_agree() -> None:
    assert [item.image for item in detections().best] == ["image 0", "image 3"]
    kept = BestImages(most=1)
    assert not kept.would_keep(0.0)
    for name, worth in (("a", 0.3), ("b", 0.9), ("c", 0.5)):
        if kept.would_keep(worth):
            kept.add(ShownImage(name, 1.0, Sighting(), Sighting()), worth)
    assert [item.image for item in kept.sorted()] == ["b"]


def test_a_thing_that_is_named_otherwise_is_a_confusion_and_one_that_is_missed_is_not() -> None:
    (_, task), *_ = detections().tasks
    assert task.confusions == (Confusion(0, 1, 1),)
    drawn = confusion_chart.matrix(task)
    assert "float: cat, converted: dog: 1 of 4" in drawn
    assert "float: cat, converted: not found: 1 of 4" in drawn
    assert "float: dog, converted: not found: 1 of 4" in drawn


def test_pixels_are_confused_too() -> None:
    measurement = Measurement([Out("m", (1, 3, 4, 4))], [{"parser": "SegmentationParser", "metadata": {}}])
    first = np.zeros((1, 3, 4, 4))
    first[0, 1] = 1.0
    second = first.copy()
    second[0, 2, 0] = 2.0
    measurement.add("image", {"m": first}, {"m": second})
    (task,) = measurement.check("HTP", "how").tasks
    assert task.confusions == (Confusion(1, 2, 4),)
    assert [(one.label, one.score, one.colour) for one in task.worst[0].candidate.seen] == [
        ("class 1", 0.75, "#3378ff"), ("class 2", 0.25, "#ff7828"),
    ]  # fmt: skip


def test_the_face_is_a_small_square_with_boxes_in_it() -> None:
    drawn = face.draw(detections())
    assert drawn
    image = Image.open(io.BytesIO(drawn)).convert("RGB")
    assert image.size == (face.SIDE, face.SIDE)
    greens = (np.asarray(image, np.int16) @ np.array([-1, 2, -1])) > 100
    assert greens.sum() > 100
    assert face.draw(replace(detections(), thumbnails={})) is None
    generated = replace(detections().images, source=GENERATED)
    assert face.draw(replace(detections(), images=generated)) is None


def test_an_image_is_in_the_page_once_however_often_it_is_drawn_upon() -> None:
    """A pair of drawings held its photo twice, and the same photo stood in the page for each task anew."""
    text = page.render(detections(), {})
    assert text.count("data:image/jpeg") == 4
    assert text.count('href="#image-0"') == 2
    inside = page.body(detections(), lambda name: f"/pictures/{name[-1]}")
    assert "data:image/jpeg" not in inside and 'href="/pictures/0"' in inside
    assert str(page.sights(detections())).count("data-wipe") == 2


def test_the_headline_is_the_agreement_that_decides() -> None:
    found = headline(detections())
    assert found and (found.key, found.text, found.method) == ("detection:f1", "71.4 %", "HTP")
    assert "float_value" not in found.as_dict()
    assert headline(Passport("rvc2", HeldOut("", ()))) is None


def test_the_page_and_the_headline_say_one_number_of_the_worst_output() -> None:
    """The page named the output that is worst about its mean, gave its plain SNR, 10.2 dB, and called that the lowest;
    another output had 9.6."""
    shape = (1, 2, 4, 4)
    measurement = Measurement([Out("plain", shape), Out("high", shape)])
    random = np.random.default_rng(1)
    for index in range(8):
        plain, high = random.normal(size=shape), 30 + random.normal(size=shape)
        noise = random.normal(size=shape)
        measurement.add(str(index), {"plain": plain, "high": high}, {"plain": plain + noise / 3, "high": high + noise})
    found = Passport("rvc4", HeldOut("photos", tuple("01234567")), (measurement.check("QDQ", "how"),))
    said = headline(found)
    assert said is not None and said.words == "lowest SNR of an output"
    assert (said.words, said.text) in [line[:2] for line in page.headlines(found)]
