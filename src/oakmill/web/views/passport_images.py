"""Takes the pictures of the worst images out of a stored passport's page: numbers and pixels, nothing as it stands.

The page was written by a conversion, from names that others chose; what is shown of it is drawn anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

_PICTURE = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}")
_BEGIN = "Where they differ most"
_MOST = 64


@dataclass
class Box:
    """A box in a picture, in the picture's units; `alone` where only one of the two models found it."""

    x: float
    y: float
    width: float
    height: float
    alone: bool


@dataclass
class Drawing:
    """A picture with what a model sees in it."""

    width: float
    height: float
    layers: list[str] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)


@dataclass
class Pair:
    """An image as the float model and the converted one see it."""

    image: str
    drawings: list[Drawing] = field(default_factory=list)


def read(page: str) -> tuple[Pair, ...]:
    """The pairs, in the page's order."""
    start = page.find(_BEGIN)
    if start < 0:
        return ()
    end = page.find("<h2>", start)
    reader = _Reader()
    reader.feed(page[start : end if end > 0 else len(page)])
    return tuple(reader.pairs[:_MOST])


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[Pair] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A title begins a pair, an svg a drawing; the rest belongs to the drawing."""
        said = {name: value or "" for name, value in attrs}
        if tag == "h3":
            self._in_title = True
            self.pairs.append(Pair(""))
        elif tag == "svg" and self.pairs:
            _, _, width, height = (_numbers(said.get("viewbox", "")) + [0.0] * 4)[:4]
            self.pairs[-1].drawings.append(Drawing(width, height))
        elif self.pairs and self.pairs[-1].drawings:
            self._draw(self.pairs[-1].drawings[-1], tag, said)

    def handle_endtag(self, tag: str) -> None:
        """A title ends."""
        self._in_title = self._in_title and tag != "h3"

    def handle_data(self, data: str) -> None:
        """A title's text is the image's name."""
        if self._in_title:
            self.pairs[-1].image += data

    def _draw(self, drawing: Drawing, tag: str, said: dict[str, str]) -> None:
        if tag == "image" and _PICTURE.fullmatch(said.get("href", "")):
            drawing.layers.append(said["href"])
        elif tag == "rect" and "box" in said.get("class", "").split():
            found = [_numbers(said.get(name, "0")) for name in ("x", "y", "width", "height")]
            if all(found):
                x, y, width, height = (item[0] for item in found)
                drawing.boxes.append(Box(x, y, width, height, "lone" in said["class"].split()))


def _numbers(text: str) -> list[float]:
    return [float(item) for item in re.findall(r"-?\d+(?:\.\d+)?", text)]
