"""Puts the examples into a team: each a model with its source, and a calibration set of the same name."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from oakmill.hub import sets
from oakmill.hub.examples import balls, digits
from oakmill.hub.state import Hub
from oakmill.jobs import ingest
from oakmill.registry import instances, models, search, variants
from oakmill.registry.callers import Caller
from oakmill.registry.identifiers import slugify
from oakmill.registry.words import ModelType, Task

DIGITS, BALLS = "Example digits", "Example balls"
NAMES = (DIGITS, BALLS)
_IMAGES = {DIGITS: 200, BALLS: 120}
_SEED = 9000
"""Of the sets' images: none of them is among those of a training or a test."""
_WORDS = """{about}

Drawn and trained on this hub in seconds, with no data from elsewhere: so it is free of any licence, and good to
try things out with, no more. {accuracy}

Press **Convert** beside its variant: all fields can stay as they are. The calibration set of the same name has {count}
labelled images, so that the passport tells the accuracy by labels, too.
"""


@dataclass(frozen=True)
class Example:
    """A trained network with what is said of it, and a zip of labelled images."""

    name: str
    task: Task
    summary: str
    about: str
    side: int
    network: bytes
    accuracy: str
    images: bytes

    @property
    def card(self) -> str:
        """Its page, in Markdown."""
        return _WORDS.format(about=self.about, accuracy=self.accuracy, count=_IMAGES[self.name])


def load(at: Hub, caller: Caller) -> list[str]:
    """Make the examples that the team does not have; the identifiers of their models.

    Raises:
        Forbidden: the key does not allow it.
        TooLarge: the store is full.
        SourceError, LimitExceeded, Unavailable: as `ingest.receive`.
    """
    caller.require_whole_team()
    return [_there(at, caller, name) or _added(at, caller, make()) for name, make in _MAKERS.items()]


def _there(at: Hub, caller: Caller, name: str) -> str:
    with at.db.reading() as session:
        query = search.Query(slug=slugify(name), team_id=caller.team_id, limit=1)
        return next((row.id for row in search.models(session, caller, query).items), "")


def _added(at: Hub, caller: Caller, example: Example) -> str:
    with at.db.session() as session:
        model = models.create(
            session, caller, name=example.name, summary=example.summary, card=example.card,
            tasks=[example.task], tags=["example"],
        )  # fmt: skip
        place = variants.add_version(
            session, caller, model.id, name=f"{example.side}x{example.side}", version=None, changelog=""
        )
        source = instances.create(session, caller, place.id, name="source", model_type=ModelType.ONNX)
        model_id, source_id, team_id = model.id, source.id, model.team_id
    file = example.name.lower().replace(" ", "-") + ".onnx"
    stored = at.blobs.put_bytes(example.network)
    ingest.receive(at.db, at.blobs, at.isolated, source_id, name=file, stored=stored, settings=at.settings)
    sets.receive(at, caller, example.name, at.blobs.put_bytes(example.images), team_id)
    return model_id


def _digits() -> Example:
    network, share = digits.train()
    return Example(
        DIGITS, Task.CLASSIFICATION, "Names a digit, orange on blue: a classifier to try things out with.",
        "Says which digit stands in the middle of the image. The digits are of one font, turned, shifted and in other "
        "light; a network with one hidden layer of units between pairs of samples tells them apart.",
        digits.SIDE, network, f"It names {share:.1%} of {digits.TESTED} digits rightly that it was not trained on.",
        _zip(_digit_files()),
    )  # fmt: skip


def _digit_files() -> Iterator[tuple[str, bytes]]:
    images, labels = digits.draw(_IMAGES[DIGITS], _SEED)
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(("file", "class_index"))
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        name = f"{label}-{number:03}.png"
        rows.writerow((name, label))
        yield name, _encoded(Image.fromarray(image), "PNG")
    yield "labels.csv", table.getvalue().encode()


def _balls() -> Example:
    layers = balls.train()
    found, right = balls.tested(layers)
    return Example(
        BALLS, Task.OBJECT_DETECTION, "Finds red, yellow and blue balls: a detector to try things out with.",
        "Finds up to five balls of 20 to 140 pixels on grey grounds, in the form of a YOLOX with three grids, which "
        "DepthAI reads by itself.",
        balls.SIDE, balls.network(layers),
        f"Of {balls.TESTED} images that it was not trained on it finds {found:.1%} of the balls, and {right:.1%} of "
        "what it finds is right.",
        _zip(_ball_files()),
    )  # fmt: skip


def _ball_files() -> Iterator[tuple[str, bytes]]:
    images, marks = [], []
    for number, (image, there) in enumerate(balls.draw(_IMAGES[BALLS], _SEED)):
        name = f"balls-{number:03}.jpg"
        images.append({"id": number + 1, "file_name": name, "width": balls.SIDE, "height": balls.SIDE})
        marks += [_mark(ball, number + 1) for ball in there]
        yield name, _encoded(Image.fromarray(image), "JPEG")
    kinds = [{"id": number + 1, "name": name} for number, name in enumerate(balls.NAMES)]
    numbered = [{"id": number + 1, **mark} for number, mark in enumerate(marks)]
    yield "labels.json", json.dumps({"images": images, "annotations": numbered, "categories": kinds}).encode()


def _mark(ball: balls.Ball, image: int) -> dict[str, object]:
    """A ball as COCO's format has it."""
    corner, side = (ball.x - ball.radius, ball.y - ball.radius), 2 * ball.radius
    box = [round(value, 1) for value in (*corner, side, side)]
    return {"image_id": image, "category_id": ball.kind + 1, "bbox": box, "area": round(side**2, 1), "iscrowd": 0}


def _encoded(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **({"quality": 95} if form == "JPEG" else {}))
    return file.getvalue()


def _zip(files: Iterator[tuple[str, bytes]] | Sequence[tuple[str, bytes]]) -> bytes:
    """A zip of them, the same bytes each time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data)
    return made.getvalue()


_MAKERS: dict[str, Callable[[], Example]] = {DIGITS: _digits, BALLS: _balls}
