"""The page of colours names the convention that the passport would.

It took the one that the model is surest with. On pixels 128 times too strong ultraface is sure of 1,172 faces on 64
photos instead of 72, so the page proposed what the passport warns of.
"""

from __future__ import annotations

from oakmill.conversion.passport import Confidence, conventions
from oakmill.conversion.passport.mirror import Kept
from oakmill.untrusted.questions import Reaction
from oakmill.web.views.preprocessing_variants import Variant, best_of, is_clear

IMAGES = 16


def variant(title: str, sure: float, stays: float | None) -> Variant:
    """A variant in which the model is so sure of each image, and so much of what it sees stays on mirror images."""
    made = Variant(title, title[:3], (), ())
    spread = tuple(sure + 0.01 * (place % 2) for place in range(IMAGES))
    heard = None
    if stays is not None:
        heard = conventions.Testimony(Confidence(spread), Kept((stays,) * IMAGES, stays, 40, IMAGES, (3, 5)))
    made.reaction = Reaction(certainty=spread, testimony=heard)
    return made


def test_what_stays_on_mirror_images_counts_before_certainty() -> None:
    right, strong = variant("RGB, −1 to 1", 0.4, 0.8), variant("RGB, As the camera gives it", 0.9, 0.3)
    assert best_of([strong, right]) is right
    assert is_clear(right, [strong, right])


def test_of_red_and_blue_the_surer_is_clear_without_more_that_stays() -> None:
    right, exchanged = variant("RGB, 0 to 1", 0.5, 0.8), variant("BGR, 0 to 1", 0.4, 0.8)
    other = variant("RGB, ImageNet", 0.4, 0.8)
    assert is_clear(right, [right, exchanged])
    assert best_of([exchanged, other, right]) is right
    assert not is_clear(right, [right, other])


def test_what_is_no_class_and_no_box_is_only_sorted_by_certainty() -> None:
    first, second = variant("RGB, 0 to 1", 0.4, None), variant("BGR, 0 to 1", 0.6, None)
    assert best_of([first, second]) is second
    assert not is_clear(second, [first, second])
