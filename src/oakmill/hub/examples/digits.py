"""The example of a classifier: digits of a font, in orange on blue, drawn turned, shifted and in other light.

The colours make a swapped channel order show at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from oakmill.hub.examples import graphs, learning
from oakmill.hub.examples.learning import Floats

SIDE, CELL = 64, 4
UNITS = 500
TRAINED, TESTED = 3000, 400
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FACTOR = 127.5
_SURE = 10.0
"""The logit of what a digit is, the others' being 0."""
_INK, _PAPER = (250, 140, 20), (20, 60, 200)

_COLOURS: Floats = np.array([[1, 0, -1]], np.float32) / FACTOR
"""Red less blue: what the digits are told from their ground by."""

Pixels = NDArray[np.uint8]


def draw(count: int, seed: int) -> tuple[Pixels, NDArray[np.int64]]:
    """So many digits as RGB [n, 64, 64, 3], and which they are; each is as frequent."""
    random = np.random.RandomState(seed)
    labels = np.arange(count, dtype=np.int64) % 10
    return np.stack([_digit(int(label), random) for label in labels]), labels


def _digit(label: int, random: np.random.RandomState) -> Pixels:
    font = ImageFont.load_default(size=float(random.uniform(40, 54)))
    glyph = Image.new("L", (SIDE, SIDE))
    pen = ImageDraw.Draw(glyph)
    at = (SIDE / 2 + random.uniform(-3, 3), SIDE / 2 + random.uniform(-3, 3))
    pen.text(at, str(label), 255, font, anchor="mm", stroke_width=int(random.randint(0, 3)), stroke_fill=255)
    turned = glyph.rotate(random.uniform(-9, 9), Image.Resampling.BICUBIC)
    lean = random.uniform(-0.15, 0.15)
    turned = turned.transform(glyph.size, Image.Transform.AFFINE, (1, lean, -lean * SIDE / 2, 0, 1, 0))
    soft = turned.filter(ImageFilter.GaussianBlur(random.uniform(0.2, 1.2)))
    share = np.asarray(soft, np.float64)[..., None] / 255
    ink, paper = (np.array(colour) + random.uniform(-30, 30, 3) for colour in (_INK, _PAPER))
    lit = (paper + share * (ink - paper)) * random.uniform(0.7, 1.15) + random.normal(0, 8, (SIDE, SIDE, 3))
    return np.clip(lit, 0, 255).round().astype(np.uint8)


def cells(images: Pixels) -> Floats:
    """What the network's first layer computes: red less blue, the mean of each cell; [n, 256]."""
    values = images.astype(np.float32) / FACTOR
    signal = values[..., 0] - values[..., 2]
    rows = SIDE // CELL
    return np.asarray(signal.reshape(-1, rows, CELL, rows, CELL).mean(axis=(2, 4)).reshape(len(images), -1))


def train(seed: int = 0) -> tuple[bytes, float]:
    """The network as ONNX, and its share of digits that it never saw and names rightly."""
    images, labels = draw(TRAINED, seed + 1)
    samples = cells(images)
    hidden = learning.hidden(samples, labels, UNITS, np.random.RandomState(seed))
    wanted = _SURE * np.eye(len(NAMES), dtype=np.float32)[labels]
    scores = learning.linear(learning.active(hidden, samples), wanted)
    tests, truth = draw(TESTED, seed + 2)
    said = scores(learning.active(hidden, cells(tests))).argmax(axis=1)
    return graphs.classifier(hidden, scores, _COLOURS, (SIDE, CELL), NAMES), float((said == truth).mean())
