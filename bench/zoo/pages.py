"""Draws images with words on them, for the models that read text: photos of the usual sets have too few."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

TEXT = (
    "EXIT open 24 hours no parking Main Street 1874 bakery SALE 50 % please ring flour sugar salt platform 9 "
    "north gate way out price 3.99 keep left museum LIBRARY caution wet floor menu soup of the day tickets"
)
WORDS = TEXT.split()
COUNT = 96
SIDE = 320


def drawn(folder: Path) -> Path:
    """A folder of pages and one of single lines below `folder`, drawn once, the same each time."""
    for kind, size in (("pages", (SIDE, SIDE)), ("lines", (SIDE, 48))):
        place = folder / kind
        if len(list(place.glob("*.png"))) == COUNT:
            continue
        place.mkdir(parents=True, exist_ok=True)
        chosen = random.Random(kind)
        for number in range(COUNT):
            _page(chosen, size, one_line=kind == "lines").save(place / f"{number:03}.png")
    return folder


def _page(chosen: random.Random, size: tuple[int, int], *, one_line: bool) -> Image.Image:
    light = chosen.random() < 0.7
    paper, ink = (chosen.randint(180, 255) for _ in range(3)), (chosen.randint(0, 80) for _ in range(3))
    ground, text = (tuple(paper), tuple(ink)) if light else (tuple(ink), tuple(paper))
    image = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(image)
    for _ in range(1 if one_line else chosen.randint(2, 6)):
        words = " ".join(chosen.choices(WORDS, k=chosen.randint(1, 3)))
        font = ImageFont.load_default(chosen.randint(22, 34) if one_line else chosen.randint(14, 40))
        at = (
            (chosen.randint(4, 20), 6)
            if one_line
            else (chosen.randint(0, size[0] // 2), chosen.randint(0, size[1] - 44))
        )
        draw.text(at, words, font=font, fill=text)
    return image
