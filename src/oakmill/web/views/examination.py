"""What the page of a calibration set is asked, and what the examination of the set answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from oakmill.calibration.doctor import ENOUGH, Diagnosis, Expectation
from oakmill.conversion.images.choose import Split, split
from oakmill.findings import Severity
from oakmill.hub.state import Hub
from oakmill.spec import Encoding, Precision, QuantizingSpec
from oakmill.web.views import albums
from oakmill.web.views.albums import Album, SetFiles
from oakmill.web.views.charts import Channel, channels

ON_PAGE = 60
HELD_OUT = QuantizingSpec.model_fields["max_verification_images"].default
"""Images that a conversion holds out, to measure the accuracy on."""
CALIBRATION_IMAGES = QuantizingSpec.model_fields["max_quantization_images"].default

LARGEST = 1e6


def numbers(value: Any) -> tuple[float, ...]:
    """One number or three, parted by commas, or none.

    Raises:
        ValueError: they are others.
    """
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")
    try:
        found = tuple(float(word) for word in text.replace(";", ",").split(",") if word.strip())
    except ValueError:
        found = (0.0, 0.0)
    if len(found) not in (0, 1, 3) or not all(abs(number) <= LARGEST for number in found):
        raise ValueError(f"{text!r} is not one number, or three: write 123.675, 116.28, 103.53")
    return found


def divisors(value: Any) -> tuple[float, ...]:
    """Numbers of which none is 0.

    Raises:
        ValueError: one is.
    """
    found = numbers(value)
    if 0.0 in found:
        raise ValueError("a scale divides, so none may be 0")
    return found


Numbers = Annotated[tuple[float, ...], BeforeValidator(numbers)]
Divisors = Annotated[tuple[float, ...], BeforeValidator(divisors)]


class Asked(BaseModel):
    """What is asked of a set's page: a model's side, the draw of a conversion, and which files are shown."""

    model_config = ConfigDict(frozen=True)

    precision: Precision = Precision.INT8_STANDARD
    mean: Numbers = ()
    scale: Divisors = ()
    encoding: Literal["RGB", "BGR"] = "RGB"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    count: Annotated[int, Field(ge=1, le=100_000)] = CALIBRATION_IMAGES
    show: Literal["drawn", "held_out", "all"] = "drawn"
    page: Annotated[int, Field(ge=1, le=10_000)] = 1
    wait: bool = False

    def query(self, changes: Mapping[str, Any]) -> str:
        """The address' query for the same page with these changes; what is as by default is left out."""
        return query_of(self, changes)

    @property
    def expected(self) -> Expectation | None:
        """What the doctor is told of the model; nothing where all is as by default."""
        if not self.mean and not self.scale and self.precision is Precision.INT8_STANDARD:
            return None
        return Expectation(None, self.mean or None, self.scale or None, Encoding(self.encoding), self.precision)


def query_of(asked: BaseModel, changes: Mapping[str, Any]) -> str:
    """The query that asks for the same with these changes, without what is as by default."""
    words = {**asked.model_dump(exclude={"wait"}), **changes}
    default = type(asked)().model_dump(exclude={"wait"})
    return urlencode({name: _plain(value) for name, value in words.items() if value != default.get(name)})


def _plain(value: Any) -> str:
    return ",".join(f"{item:g}" for item in value) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)
class Need:
    """A mode's need of images beside what there is."""

    precision: Precision
    too_few: int
    few: int
    have: int

    @property
    def severity(self) -> Severity:
        """Whether it is too few (error), few (warning), or enough."""
        if self.have < self.too_few:
            return Severity.ERROR
        return Severity.WARNING if self.have < self.few else Severity.OK

    @property
    def percent(self) -> float:
        """Of what is wanted."""
        return min(100.0, 100 * self.have / self.few)


@dataclass(frozen=True)
class Report:
    """What the examination of a set shows: the doctor's word, the draw, and a page of its files by their numbers."""

    album: Album
    doctor: Diagnosis
    drawn: Split
    channels: Sequence[Channel]
    files: Sequence[int]
    last_page: int

    @property
    def needs(self) -> list[Need]:
        """What each mode needs of calibration images."""
        have = len(self.drawn.calibration_images)
        return [Need(precision, too_few, few, have) for precision, (too_few, few) in ENOUGH.items()]

    @property
    def sides(self) -> str:
        """Width and height of the median image."""
        sizes = [size for size in self.album.facts.sizes if size]
        return " × ".join(f"{median(sides):.0f}" for sides in zip(*sizes, strict=True)) if sizes else "–"


def examine(at: Hub, files: SetFiles, asking: Asked, owner: str) -> Report:
    """All that the page shows to a team; takes a while where nobody asked before.

    Raises:
        SourceError, LimitExceeded: the set cannot be looked at.
    """
    album = albums.album(at, files, owner)
    facts, expected = album.facts, asking.expected
    doctor = albums.diagnosis(at, files, expected, owner) if expected else facts.doctor
    drawn = split([Path(name) for name in facts.names], asking.count, HELD_OUT, asking.seed)
    shown = {"drawn": drawn.calibration_images, "held_out": drawn.held_out}.get(asking.show)
    places = range(len(facts.names)) if shown is None else [album.place_of(path.as_posix()) for path in shown]
    first = (asking.page - 1) * ON_PAGE
    backwards = asking.encoding == "BGR"
    return Report(
        album,
        doctor,
        drawn,
        channels(facts.histogram, doctor, asking.mean, asking.scale, backwards=backwards),
        places[first : first + ON_PAGE],
        -(-len(places) // ON_PAGE),
    )
