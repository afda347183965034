"""A source's conversions side by side: for each platform and number format the latest, and which one to take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from oakmill.conversion import ladder
from oakmill.conversion.passport import choice
from oakmill.conversion.passport.ladder import Rung
from oakmill.conversion.passport.report import Passport
from oakmill.findings import Severity
from oakmill.jobs.tables import LIVE, Job, JobStatus
from oakmill.registry.tables import InstanceFile, Role
from oakmill.spec import Precision
from oakmill.spec.platforms import PLATFORMS
from oakmill.web.views import documents, filters


@dataclass(frozen=True)
class Line:
    """One conversion: what was asked, and what came of it as far as it has ended. `files` are those of its result.

    `taken` is the format that AUTO took; `why` says what keeps the verdict from ok; `measured` is what a camera says.
    """

    job: Job
    precision: str
    taken: str = ""
    rung: Rung | None = None
    time: str = ""
    about_time: str = ""
    why: str = ""
    files: tuple[InstanceFile, ...] = ()
    measured: str = ""

    @property
    def file(self) -> InstanceFile | None:
        """What is downloaded."""
        return next((file for file in self.files if file.role == Role.MODEL), None)

    @property
    def folder(self) -> str:
        """Where its files lie in a zip of all."""
        return f"{self.job.platform}-{self.precision}".lower().replace(" ", "_")


def precision_of(job: Job) -> str:
    """The number format that was asked for, in words."""
    facts = PLATFORMS[str(job.platform)]
    if not facts.quantizes:
        return facts.limits.mode.upper()
    word = job.spec.get("target_precision") or facts.spec.model_fields["target_precision"].default
    return filters.precision(str(word)) if word != Precision.AUTO else str(word)


def latest(jobs: Iterable[Job]) -> list[Job]:
    """Of jobs, the latest first, the one of each platform and format; by platform, and the fastest format first."""
    found: dict[tuple[str, str], Job] = {}
    for job in jobs:
        if job.platform in PLATFORMS:
            found.setdefault((job.platform, precision_of(job)), job)
    return sorted(found.values(), key=_place)


def _place(job: Job) -> tuple[int, int, str]:
    platform, word = str(job.platform), precision_of(job)
    formats = [filters.precision(item) for item in ladder.precisions(platform)]
    return list(PLATFORMS).index(platform), formats.index(word) if word in formats else len(formats), word


def line(job: Job, files: Sequence[InstanceFile], measured: str = "") -> Line:
    """A job as a line; `measured` is how fast a camera ran its result, in words."""
    asked = precision_of(job)
    passport = documents.passport_in((job.result or {}).get("passport") or {})
    size = next((file.size for file in files if file.role == Role.MODEL), None)
    if job.status != JobStatus.SUCCEEDED or passport is None or size is None:
        return Line(job, asked, files=tuple(files))
    taken = next((rung.precision for rung in passport.ladder if rung.fit), "")
    title = filters.precision(taken) if taken else asked
    rung = choice.rung_of(passport, title, size, job.spec.get("max_drop"))
    why = next(iter(passport.reasons), "")
    return Line(job, asked, title if title != asked else "", rung, *_time(passport, rung), why, tuple(files), measured)


def _time(passport: Passport, rung: Rung) -> tuple[str, str]:
    cost = passport.cost
    if math.isnan(rung.milliseconds) or cost is None or cost.expected is None:
        return "", cost.untimed if cost else ""
    return f"≈ {rung.milliseconds:.2g} ms", cost.expected.words


@dataclass(frozen=True)
class Choice:
    """What to take for one platform: the job that made it where it is ok, the reason in words, how many are to come."""

    platform: str
    words: str
    job_id: str
    live: int


def choices(lines: Sequence[Line]) -> Iterator[Choice]:
    """Which to take, for each platform that has a result."""
    for name in dict.fromkeys(str(item.job.platform) for item in lines):
        own = [item for item in lines if item.job.platform == name]
        rungs = [item.rung for item in own if item.rung]
        if words := choice.advice(rungs):
            best = choice.best(rungs)
            taken = next(
                (
                    item.job.id
                    for item in own
                    if best and best.fit and best.verdict is Severity.OK and item.rung is best
                ),
                "",
            )
            yield Choice(name, words[0].upper() + words[1:], taken, sum(item.job.status in LIVE for item in own))
