"""The example of a detector: red, yellow and blue balls on grey grounds, found on grids of 8, 16 and 32 pixels.

The balls' sizes are told apart by the grid, so each grid sees balls of two to five cells, and one training, in cells,
serves all three. The network has the form of a YOLOX, whose head DepthAI reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from oakmill.hub.examples import graphs, learning
from oakmill.hub.examples.learning import Floats, Layer

SIDE, STRIDES = 256, (8, 16, 32)
WINDOW = 7
"""Cells that a hidden unit sees on each side."""
UNITS = 128
TRAINED, TESTED = 160, 60
NAMES = ("red ball", "yellow ball", "blue ball")
_COLOURS = ((205, 40, 35), (235, 200, 40), (35, 70, 200))
DIRECTIONS: Floats = np.array(
    [[1, -0.6, -0.4], [-0.4, -0.6, 1], [0.5, 0.5, -1], [-1, 0.5, 0.5], [0.33, 0.33, 0.33], [-0.33, -0.33, -0.33]],
    np.float32,
)
"""What the first layer looks for: red, blue, yellow, the opposite of red, light and dark."""
BIAS: Floats = np.array([0, 0, 0, 0, -0.4, 0.5], np.float32)
_FACTOR = 255.0
_MOST = 5
_SEED_STEP = 1000

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Ball:
    """Which it is, its centre and its radius, in pixels."""

    kind: int
    x: float
    y: float
    radius: float


def draw(count: int, seed: int) -> Iterator[tuple[Pixels, list[Ball]]]:
    """So many images RGB [256, 256, 3] with the balls in them."""
    random = np.random.RandomState(seed)
    for _ in range(count):
        balls = _placed(random)
        yield _image(balls, random), balls


def _placed(random: np.random.RandomState) -> list[Ball]:
    """Up to five balls that do not cover each other."""
    found: list[Ball] = []
    for _ in range(random.randint(1, _MOST + 1) * 3):
        radius = float(np.exp(random.uniform(np.log(10), np.log(70))))
        x, y = (float(random.uniform(radius * 0.9, SIDE - radius * 0.9)) for _ in "xy")
        free = all(np.hypot(x - ball.x, y - ball.y) > (radius + ball.radius) * 1.1 for ball in found)
        if free and len(found) < _MOST:
            found.append(Ball(int(random.randint(3)), x, y, radius))
    return found


def _image(balls: Sequence[Ball], random: np.random.RandomState) -> Pixels:
    coarse = random.normal(130, 35, (6, 6, 1)) + random.normal(0, 7, (6, 6, 3))
    ground = Image.fromarray(np.clip(coarse, 20, 235).astype(np.uint8))
    ground = ground.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(ground)
    for _ in range(random.randint(4)):  # grey boxes, which are no balls
        left, top = random.randint(0, SIDE - 20, 2)
        grey = tuple(int(value) for value in random.randint(40, 210) + random.randint(-10, 11, 3))
        pen.rectangle((left, top, left + random.randint(20, 90), top + random.randint(20, 90)), fill=grey)
    for ball in balls:
        _shaded(ground, ball, random)
    soft = ground.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.2)))
    lit = np.asarray(soft, np.float32) * random.uniform(0.75, 1.15) + random.normal(0, 6, (SIDE, SIDE, 1))
    return np.clip(lit, 0, 255).round().astype(np.uint8)


def _shaded(ground: Image.Image, ball: Ball, random: np.random.RandomState) -> None:
    """A ball with a light side."""
    pen = ImageDraw.Draw(ground)
    colour = np.array(_COLOURS[ball.kind]) + random.uniform(-22, 22, 3)
    for step in range(12):
        share = step / 12
        radius = ball.radius * (1 - share)
        x, y = ball.x - ball.radius * 0.3 * share, ball.y - ball.radius * 0.35 * share
        tone = np.clip(colour * (0.75 + 0.45 * share), 0, 255).astype(int)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(map(int, tone)))


def maps(images: Pixels) -> list[Floats]:
    """What the first layers compute: the colours on each grid [n, 6, H, W]."""
    values = images.astype(np.float32) / _FACTOR
    cells = values.reshape(len(images), SIDE // 4, 4, SIDE // 4, 4, 3).mean(axis=(2, 4))
    colours = np.maximum(cells @ DIRECTIONS.T + BIAS, 0).transpose(0, 3, 1, 2)
    found = []
    for _ in STRIDES:
        count, channels, height, width = colours.shape
        colours = colours.reshape(count, channels, height // 2, 2, width // 2, 2).mean(axis=(3, 5))
        found.append(np.ascontiguousarray(colours))
    return found


def windows(colours: Floats) -> Floats:
    """What a hidden unit sees of each cell: [n, H, W, 6 * 49]."""
    edge = WINDOW // 2
    padded = np.pad(colours, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, (WINDOW, WINDOW), axis=(2, 3))
    return seen.transpose(0, 2, 3, 1, 4, 5).reshape(len(colours), *colours.shape[2:], -1)


def grid_of(ball: Ball) -> int:
    """The number of the grid that finds a ball: by its diameter in cells."""
    return int(np.clip(np.floor(np.log2(2 * ball.radius / 20)), 0, len(STRIDES) - 1))


@dataclass(frozen=True)
class Trained:
    """The layers that all grids share: hidden units, boxes, objectness and the scores of classes."""

    hidden: Layer
    boxes: Layer
    objectness: Layer
    scores: Layer


def train(seed: int = 0) -> Trained:
    """The network's layers."""
    random = np.random.RandomState(seed)
    images, truth = zip(*draw(TRAINED, seed + _SEED_STEP), strict=True)
    seen, kinds, boxes = _samples(maps(np.stack(images)), truth, random)
    hidden = learning.hidden(seen, kinds, UNITS, random)
    values = learning.active(hidden, seen)
    at = kinds > 0
    wanted = np.eye(len(NAMES) + 1, dtype=np.float32)[kinds][:, 1:]
    return Trained(
        hidden,
        learning.linear(values[at], boxes[at]),
        learning.logistic(values, at[:, None].astype(np.float32)),
        learning.logistic(values[at], wanted[at]),
    )


def _samples(
    found: Sequence[Floats], truth: Sequence[list[Ball]], random: np.random.RandomState
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Of all cells with a ball's centre, and some of the others: what is seen, which ball (0 for none), and its box."""
    parts = []
    for grid, (colours, stride) in enumerate(zip(found, STRIDES, strict=True)):
        count, _, height, width = colours.shape
        kinds = np.zeros((count, height, width), np.int64)
        boxes = np.zeros((count, height, width, 4), np.float32)
        for image, balls in enumerate(truth):
            for ball in balls:
                if grid_of(ball) == grid:
                    column, row = (min(int(place / stride), height - 1) for place in (ball.x, ball.y))
                    kinds[image, row, column] = ball.kind + 1
                    size = np.log(2 * ball.radius / stride)
                    boxes[image, row, column] = (ball.x / stride - column, ball.y / stride - row, size, size)
        kept = (kinds > 0) | (random.rand(*kinds.shape) < 16 / (height * width))
        parts.append((windows(colours)[kept], kinds[kept], boxes[kept]))
    seen, kinds, boxes = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return seen, kinds, boxes


def network(layers: Trained) -> bytes:
    """The network as ONNX; it takes BGR, as a YOLOX does."""
    return graphs.detector(
        graphs.Grids(DIRECTIONS[:, ::-1] / _FACTOR, BIAS, STRIDES, WINDOW), layers.hidden,
        (layers.boxes, layers.objectness, layers.scores), SIDE, NAMES,
    )  # fmt: skip


def tested(layers: Trained, seed: int = 0) -> tuple[float, float]:
    """Of balls that it never saw, the share that it finds; and of what it finds, the share that is right."""
    right = wrong = every = 0
    for image, balls in draw(TESTED, seed + 2 * _SEED_STEP):
        left = list(balls)
        every += len(balls)
        for box in _seen(layers, maps(image[None])):
            hit = next((ball for ball in left if ball.kind == int(box[5]) and _overlap(box, _box(ball)) > 0.5), None)
            right, wrong = right + (hit is not None), wrong + (hit is None)
            left = [ball for ball in left if ball is not hit]
    return right / every, right / max(1, right + wrong)


def _box(ball: Ball) -> Floats:
    return np.array([ball.x, ball.y, 2 * ball.radius, 2 * ball.radius], np.float32)


def _seen(layers: Trained, found: Sequence[Floats]) -> list[Floats]:
    """What it finds on one image, the surest first: x, y, width, height, score and kind, none over another."""
    rows = []
    for colours, stride in zip(found, STRIDES, strict=True):
        values = learning.active(layers.hidden, windows(colours).reshape(-1, layers.hidden.weights.shape[1]))
        height, width = colours.shape[2:]
        cells = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)
        boxes = layers.boxes(values)
        scores = _likely(layers.objectness(values)) * _likely(layers.scores(values))
        sizes = np.exp(np.clip(boxes[:, 2:], -3, 3)) * stride
        best = (scores.max(axis=1, keepdims=True), scores.argmax(axis=1)[:, None])
        rows.append(np.concatenate([(boxes[:, :2] + cells) * stride, sizes, *best], axis=1))
    every = np.concatenate(rows)
    sure = every[every[:, 4] > 0.5]
    kept: list[Floats] = []
    for row in sure[np.argsort(-sure[:, 4])]:
        if all(_overlap(row, other) < 0.5 for other in kept):
            kept.append(row)
    return kept


def _likely(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)


def _overlap(one: Floats, other: Floats) -> float:
    """The intersection of two boxes over their union."""
    low = np.maximum(one[:2] - one[2:4] / 2, other[:2] - other[2:4] / 2)
    high = np.minimum(one[:2] + one[2:4] / 2, other[:2] + other[2:4] / 2)
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / float(np.prod(one[2:4]) + np.prod(other[2:4]) - shared)
