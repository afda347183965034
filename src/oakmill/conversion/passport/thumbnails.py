"""The images that a passport shows, small."""

from __future__ import annotations

from oakmill.conversion.images.samples import Images
from oakmill.conversion.passport import pixels
from oakmill.conversion.passport.report import Passport


def of(passport: Passport, images: Images) -> dict[str, str]:
    """The images on which the two models differ most, and those that show best what they do, as `data:` URLs."""
    drawn = [*(task.worst for _, task in passport.shown), *(row.worst for row in passport.parsers), passport.best]
    worst = {item.image for items in drawn for item in items}
    return {name: pixels.thumbnail(image) for name, image in images.held_out.thumbnails(worst).items()}
