"""`oakmill convert` to several platforms and precisions: each with each a conversion, and one table of them all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from oakmill.cli.listing import print_line, print_rows
from oakmill.errors import AccuracyDropped, OakmillError
from oakmill.files import plain_name
from oakmill.spec import ConversionSpec, InputSpec
from oakmill.spec.platforms import PLATFORMS

if TYPE_CHECKING:
    from oakmill.client import Hub, Job
    from oakmill.conversion.passport.ladder import Rung

Take = Callable[[ConversionSpec, Mapping[str, Any]], None]
"""Hears of a finished conversion: its spec, and its summary as plain data."""

_PRECISION = "target_precision"
_FLOATS = {"FP16", "FP32"}


class InHub(Protocol):
    """A conversion in a hub: it is asked for, and later waited for."""

    def start(self, hub: Hub) -> Job:
        """Ask for it."""

    def finish(self, hub: Hub, job: Job, take: Take) -> None:
        """Wait for it, and fetch what it made."""


class Asked(Protocol):
    """What a command line asks of each of its conversions."""

    @property
    def hub(self) -> str | None:
        """Where they run: an address, or empty for that of the last login; None is on this machine."""

    @property
    def as_json(self) -> bool:
        """Whether programs read what is told."""

    def convert(self, one: Combination, take: Take, shared: Path) -> None:
        """Convert on this machine."""

    def remote(self, one: Combination) -> InHub:
        """The conversion in a hub."""


def nothing_taken(spec: ConversionSpec, made: Mapping[str, Any]) -> None:
    """What one conversion alone tells is enough."""


@dataclass(frozen=True)
class Combination:
    """A platform with the options' values for it; `apart` is what its result's name has to say beside the model's."""

    platform: str
    values: Mapping[str, Any]
    precision: str = ""
    apart: tuple[str, ...] = ()

    @property
    def is_float(self) -> bool:
        """Whether nothing is quantized."""
        return not PLATFORMS[self.platform].quantizes or self.precision in _FLOATS

    @property
    def title(self) -> str:
        """RVC4 INT8."""
        return f"{PLATFORMS[self.platform].title} {self.precision}".strip()

    def named(self, model: Path, base: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values, with a name for the result that no other of these conversions has."""
        given = self.values.get("name") or base.get("name")
        apart = (self.platform, *self.apart[1:]) if given else self.apart
        if len(self.apart) < (1 if given else 2):
            return self.values
        stem = given or plain_name(model).replace(":", "-")
        return {**self.values, "name": ".".join((str(stem), *apart))}


def combinations(platforms: Sequence[str], values: Mapping[str, Any]) -> list[Combination]:
    """Each platform with each precision that it has; options go to the platforms that know them, if one does."""
    precisions = _words(values.get(_PRECISION))
    found: list[Combination] = []
    for platform in platforms:
        own = {name: value for name, value in values.items() if _is_for(name, platform, platforms)}
        apart = (platform,) if len(platforms) > 1 else ()
        if len(precisions) < 2 or not PLATFORMS[platform].quantizes:
            word = precisions[0] if precisions and _PRECISION in own else ""
            found.append(Combination(platform, own, _short(word), apart))
            continue
        found += [
            Combination(platform, {**own, _PRECISION: word}, _short(word), (platform, _short(word).lower()))
            for word in precisions
        ]
    tested = _same_images(values) if len(found) > 1 else {}
    return [replace(one, values={**one.values, **tested}) if one.is_float else one for one in found]


def _same_images(values: Mapping[str, Any]) -> dict[str, Any]:
    """The images that test what is not quantized: those of the others, or verdicts side by side would not compare."""
    images, stated = values.get("quantization_data"), values.get("verification_images")
    return {"verification_images": images} if images and not stated and Path(images).is_dir() else {}


def _words(text: str | None) -> list[str]:
    """The precisions of a list with commas, each once; a word that is none is refused where it is asked for."""
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    return list({_short(word): word for word in words}.values())


def _short(word: str) -> str:
    return word.upper().removesuffix("_STANDARD")


def _is_for(name: str, platform: str, platforms: Sequence[str]) -> bool:
    """Whether an option goes to a platform: it knows it, or none of them does, and is to say so."""
    known = [each for each in platforms if name in PLATFORMS[each].spec.model_fields]
    return name in InputSpec.model_fields or not known or platform in known


@dataclass
class Row:
    """A conversion in the table: how it ended, and what it made."""

    of: Combination
    code: int = 0
    why: str = ""
    precision: str = ""
    made: dict[str, Any] = field(default_factory=dict)
    rung: Rung | None = None

    def take(self, spec: ConversionSpec, made: Mapping[str, Any]) -> None:
        """Note what was made."""
        from oakmill.conversion.passport import choice, report

        passport = report.read(made["passport"])
        asked = str(getattr(spec, _PRECISION, PLATFORMS[spec.platform].limits.mode))
        taken = next((item.precision for item in passport.ladder if item.fit), "")
        self.precision = " → ".join(filter(None, (_short(asked), _short(taken))))
        self.made = dict(made)
        size = Path(made["files"][0]).stat().st_size
        self.rung = choice.rung_of(passport, self.precision, size, spec.max_drop)

    def failed(self, code: int, error: BaseException | None) -> None:
        """Note how it ended."""
        self.code, self.why = code, error.message if isinstance(error, OakmillError) else ""

    def as_dict(self) -> dict[str, Any]:
        """As a line of the table."""
        rung = self.rung
        verdict = str(rung.verdict) if rung else f"failed ({self.code})"
        return {
            "platform": PLATFORMS[self.of.platform].title,
            "precision": self.precision or self.of.precision,
            "verdict": verdict,
            "accuracy": rung.measured if rung else self.why,
            "size": f"{rung.size / 1e6:.2f} MB" if rung else "",
            "file": self.made["files"][0] if rung else "",
        }


def run(asked: Asked, wanted: Sequence[Combination]) -> None:
    """Convert all of them, whatever becomes of one; then tell of all.

    Raises:
        SystemExit: with the code of the worst, where one failed or lost too much.
    """
    rows = [Row(one) for one in wanted]
    (_in_hub if asked.hub is not None else _here)(asked, rows)
    _tell(rows, as_json=asked.as_json)
    if code := worst(row.code for row in rows):
        raise SystemExit(code)


def worst(codes: Iterable[int]) -> int:
    """The code of the first failure; else that of a loss of accuracy; else 0."""
    failed = [code for code in codes if code]
    return next((code for code in failed if code != AccuracyDropped.exit_code), failed[0] if failed else 0)


def _here(asked: Asked, rows: Sequence[Row]) -> None:
    """One after the other on this machine: what they share is made by the first of them."""
    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        for row in rows:
            _begin(row.of.title, as_json=asked.as_json)
            try:
                asked.convert(row.of, row.take, Path(folder) / "shared")
            except SystemExit as ended:
                row.failed(int(ended.code or 0), ended.__cause__)


def _in_hub(asked: Asked, rows: Sequence[Row]) -> None:
    """All are asked for, so that the hub's workers share them; then they are waited for in turn."""
    from oakmill.cli.connecting import connected

    began: list[tuple[Row, InHub, Job]] = []
    with connected(asked.hub or None) as hub:
        try:
            for row in rows:
                with _noted(row):
                    remote = asked.remote(row.of)
                    began.append((row, remote, remote.start(hub)))
            for row, remote, job in began:
                _begin(row.of.title, as_json=asked.as_json)
                with _noted(row):
                    remote.finish(hub, job, row.take)
        except KeyboardInterrupt:
            _cancel(hub, [job for _, _, job in began])
            raise


def _cancel(hub: Hub, jobs: Sequence[Job]) -> None:
    for job in jobs:
        if hub.jobs.get(job.id).is_live:
            hub.jobs.cancel(job.id)
    click.echo(f"{len(jobs)} jobs are cancelled, where they had not ended", err=True)


@contextmanager
def _noted(row: Row) -> Iterator[None]:
    """How the block fails is noted and told, and does not end the others; a row that failed is not gone on with."""
    try:
        yield
    except OakmillError as error:
        row.failed(error.exit_code, error)
        click.echo(click.style(f"error: {row.of.title}: ", fg="red", bold=True) + error.message, err=True)
    except SystemExit as ended:
        row.failed(int(ended.code or 0), ended.__cause__)


def _begin(title: str, *, as_json: bool) -> None:
    print_line("conversion", title) if as_json else click.secho(f"\n{title}", bold=True, err=True)


def _tell(rows: Sequence[Row], *, as_json: bool) -> None:
    """The table, and for each platform which of its results to take."""
    choices = list(_choices(rows))
    if as_json:
        print_line("matrix", {"rows": [row.as_dict() | {"exit_code": row.code} for row in rows], "choices": choices})
        return
    click.echo()
    print_rows([row.as_dict() for row in rows], as_json=False)
    for words in choices:
        click.echo(words)


def _choices(rows: Sequence[Row]) -> Iterator[str]:
    from oakmill.conversion.passport import choice

    for platform in dict.fromkeys(row.of.platform for row in rows):
        rungs = [row.rung for row in rows if row.of.platform == platform and row.rung]
        if words := choice.in_words(PLATFORMS[platform].title, rungs):
            yield words
