"""The proof of colours and normalisation: one image, fed in several variants, and what the model itself says of it."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from oakmill.calibration.datasets import SETS, load
from oakmill.calibration.datasets.files import is_image
from oakmill.calibration.samples import draw
from oakmill.errors import NotFound, SourceError, TooLarge, UnsupportedModel
from oakmill.hub import looks
from oakmill.registry import datasets
from oakmill.registry.callers import Caller
from oakmill.spec import InputSpec
from oakmill.spec.preprocessing_rules import IMAGENET
from oakmill.untrusted.questions import Preprocessed, Reactions, TryColours
from oakmill.web import cache
from oakmill.web.forms.source import Source, source_of
from oakmill.web.page_context import Known, PageContext, Reading
from oakmill.web.routing import Id, page_router
from oakmill.web.views import albums
from oakmill.web.views.albums import SetFiles
from oakmill.web.views.examination import Divisors, Numbers, query_of
from oakmill.web.views.filters import model_path
from oakmill.web.views.preprocessing_variants import (
    Pair,
    Variant,
    best_of,
    is_clear,
    others,
    regrouped,
    tiles,
)

pages = page_router()

ASSUMED = "ImageNet's"
"""Where neither the archive nor anybody says what is right."""
LARGEST = 32 << 20
MOST_UPLOADS = 40
"""Images of each team that were taken in; the oldest go."""
FURTHER = 31
"""Images of the set that tell, beside the one shown, how sure the model is."""
STRIP = 16
_MAGIC = re.compile(rb"\xff\xd8\xff|\x89PNG|BM|II\*\0|MM\0\*|P[56]\s|RIFF....WEBP", re.DOTALL)


class Asked(BaseModel):
    """What the page is asked: the image, and the mean and scale that are taken for right."""

    model_config = ConfigDict(frozen=True)

    mean: Numbers = ()
    scale: Divisors = ()
    set: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{0,64}$")] = ""
    number: Annotated[int, Field(ge=0, lt=100_000)] = 0
    image: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    shape: Numbers = ()
    wait: bool = False

    def query(self, changes: Mapping[str, Any]) -> str:
        """The address' query for the same page with these changes; what is as by default is left out."""
        return query_of(self, changes)


@dataclass(frozen=True)
class Choice:
    """A set that an image can be taken from."""

    key: str
    name: str
    files: SetFiles


@dataclass(frozen=True)
class Proof:
    """All variants with what the model said of each; the tiles come first."""

    tiles: Sequence[Variant]
    others: Sequence[Variant]
    found: Reactions

    @property
    def best(self) -> Variant | None:
        """The variant that fits the model best."""
        return best_of([*self.tiles, *self.others])

    @property
    def is_clear(self) -> bool:
        """Whether no other comes near, and the model's outputs surely are what they are taken for."""
        return self.found.telling and self.best is not None and is_clear(self.best, [*self.tiles, *self.others])


@pages.get("/instances/{instance_id}/colours")
def colours_page(instance_id: Id, context: Known, session: Reading, asked: Annotated[Asked, Query()]) -> Response:
    """The image in its tiles."""
    source = source_of(session, context.caller, instance_id)
    _require_onnx(source)
    choices = _choices(session, context)
    chosen = next((item for item in choices if item.key == asked.set), choices[0] if choices else None)
    pair, origin = _pair(source, asked)
    proof = None
    if asked.image or chosen:
        proof = _proof(context, source, asked, chosen, pair, origin)
    return context.page(
        "colours.html",
        source=source,
        back=model_path(source.model),
        asked=asked,
        choices=choices,
        chosen=chosen,
        strip=_strip(context, chosen) if chosen else [],
        pair=pair,
        origin=origin,
        proof=proof,
        place=_image_place(source),
    )


@pages.post("/instances/{instance_id}/colours/images")
async def take_image(instance_id: Id, request: Request, context: Known) -> Response:
    """Take an image in, as the bare body of the request."""
    await run_in_threadpool(_require_seen, context, instance_id)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise TooLarge("The image is larger than 32 MB.", remedy="Make it smaller: a model sees few pixels.")
    if not _MAGIC.match(body):
        raise SourceError("This is no JPEG, PNG, WebP, TIFF, BMP or PPM.", remedy="Choose an image of such a format.")
    digest = hashlib.sha256(body).hexdigest()
    await run_in_threadpool(cache.put, _images(context) / digest, bytes(body), MOST_UPLOADS)
    return context.go(f"/instances/{instance_id}/colours?image={digest}")


def _require_seen(context: PageContext, instance_id: str) -> None:
    with context.at.db.reading() as session:
        source_of(session, context.caller, instance_id)


def _images(context: PageContext) -> Path:
    """Images that were taken in: of one team, no other one's business."""
    return context.at.settings.hub.absolute() / "pictures" / str(context.caller.team_id)


def _require_onnx(source: Source) -> None:
    if source.row.model_type != "ONNX":
        raise UnsupportedModel(
            f"Colours are proved by running the source model, and here that is possible for ONNX; this is "
            f"{source.row.model_type}.",
            subject=source.row.id,
            remedy="Upload the same model as ONNX.",
        )


def _choices(session: Session, context: PageContext) -> list[Choice]:
    """The team's own sets, then the named ones that are installed and show something."""
    own = [Choice(row.id, row.name, SetFiles.of_row(row)) for row in _own(session, context.caller)]
    settings = context.at.settings
    records = [load(name, settings) for name in SETS if name != "random"]
    return [*own, *(Choice(item.name, item.name, SetFiles.of_record(item, settings)) for item in records if item)]


def _own(session: Session, caller: Caller) -> list[Any]:
    return datasets.listed(session, caller)


def _pair(source: Source, asked: Asked) -> tuple[Pair, str]:
    """Mean and scale that are taken for right, and why."""
    said = source.archive[_image_place(source)] if source.archive else {}
    if asked.mean or asked.scale:
        return (asked.mean, asked.scale), "as given"
    if said.get("mean_values") or said.get("scale_values"):
        return (tuple(said.get("mean_values") or ()), tuple(said.get("scale_values") or ())), "as the archive says"
    return (IMAGENET.mean, IMAGENET.scale), ASSUMED


def _image_place(source: Source) -> int:
    """Which of the inputs takes the image."""
    return next((place for place, item in enumerate(source.tensors) if _channels(item["shape"])), 0)


def _channels(shape: Sequence[Any]) -> int:
    """Of an image's shape the colour channels; 0 where it is none."""
    if len(shape) != 4:
        return 0
    return next((size for size in (shape[1], shape[3]) if size in (1, 3)), 0)


def _proof(
    context: PageContext, source: Source, asked: Asked, chosen: Choice | None, pair: Pair, origin: str
) -> Proof | None:
    """The proof; None where it takes a while and the page has not asked to wait."""
    channels = _channels(source.tensors[_image_place(source)]["shape"])
    encodings = ("GRAY",) if channels == 1 else ("RGB", "BGR")
    words = f"{origin} mean and scale" if origin == ASSUMED else f"mean and scale {origin}"
    large = tiles(pair, encodings, words)
    small = others(large, encodings)
    question = _question(source, asked, [variant.preprocessed for variant in (*large, *small)])
    image = [context.caller.team_id] if asked.image else [chosen.files.sha256] if chosen else []
    key = [question.model_dump(mode="json"), source.row.sha256, *image]
    folder = context.at.settings.hub.absolute() / "colours"
    if not asked.wait and cache.known(folder, key) is None:
        return None
    answer = cache.answer(folder, key, lambda: _ask(context, source, chosen, question).model_dump(mode="json"))
    found = Reactions.model_validate(answer)
    for variant, reaction in zip((*large, *small), found.reactions, strict=True):
        variant.reaction = reaction
    if origin == ASSUMED:
        large, small = regrouped(large, small)
    return Proof(large, small, found)


def _question(source: Source, asked: Asked, variants: Sequence[Preprocessed]) -> TryColours:
    name = source.tensors[_image_place(source)]["name"]
    inputs = [InputSpec(name=name, shape=tuple(int(side) for side in asked.shape))] if len(asked.shape) == 4 else []
    image = {"image": asked.image} if asked.image else {"number": asked.number, "further": FURTHER}
    return TryColours.model_validate({"model": source.file, "inputs": inputs, "variants": variants, **image})


def _ask(context: PageContext, source: Source, chosen: Choice | None, question: TryColours) -> Reactions:
    files = looks.files_of(context.at, source.row)
    if question.image:
        files[question.image] = partial(_lay_image, _images(context) / question.image)
    elif chosen:
        files |= chosen.files.laid(context.at)
    return context.at.isolated.ask(question, files, context.owner)


def _lay_image(source: Path, target: Path) -> None:
    try:
        target.write_bytes(source.read_bytes())
    except FileNotFoundError:
        raise NotFound("That image is not there any more.", remedy="Choose it again.") from None


def _strip(context: PageContext, chosen: Choice) -> list[int]:
    """The numbers, in the album, of the images that can be chosen with a click, in the order of their draw."""
    if not albums.is_made(context.at, chosen.files):
        return []
    album = albums.album(context.at, chosen.files, context.owner)
    images = [path for path in map(Path, album.facts.names) if is_image(path)]
    return [album.place_of(path.as_posix()) for path in itertools.islice(draw(images, len(images), 0), STRIP)]
