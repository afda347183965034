"""`oakmill convert --hub`: the conversion runs in a hub; the model goes up, the display and the result come down."""

from __future__ import annotations

import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from oakmill.cli.connecting import connected, moving
from oakmill.cli.listing import print_line
from oakmill.cli.places import place, type_of
from oakmill.cli.progress import Display
from oakmill.cli.several import Take, nothing_taken
from oakmill.client import Hub, Instance, Job, Line, Told
from oakmill.conversion.events import Event, Kind, Observer, Stage
from oakmill.errors import AccuracyDropped, OakmillError, SourceError, SpecError
from oakmill.files import file_sha256
from oakmill.findings import Severity, severity_of
from oakmill.spec import ConversionSpec

_FILES = {".onnx", ".xml", ".tflite", ".pt", ".pth", ".xz", ".tar", ".zip", ".yaml", ".yml"}
"""What stands nowhere and is called so is no address, but a file that is missing."""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Remote:
    """One conversion in a hub that was asked for on the command line."""

    url: str
    model: Path
    spec: ConversionSpec
    output: Path
    overwrite: bool
    force: bool
    as_json: bool
    verbose: bool

    def run(self) -> None:
        """Convert, and fetch the result with its recipe and passport; a failure ends with its exit code."""
        with connected(self.url or None) as hub, _told_to_machines(self.as_json):
            self.finish(hub, self.start(hub))

    def start(self, hub: Hub) -> Job:
        """Ask for it, with all that it needs."""
        with moving(self.model.name) as progress:
            source = self._source(hub, progress)
            with _spec_without_files(hub, self.spec) as (values, images):
                return hub.convert(source, values, images=images, force=self.force, progress=progress)

    def finish(self, hub: Hub, job: Job, take: Take = nothing_taken) -> None:
        """Wait until it has ended, and fetch the result; `take` is given it.

        Raises:
            SystemExit: it failed, and that was explained.
            AccuracyDropped: it lost more than it may; its files are there.
        """
        began = time.monotonic()
        job = self._ended(hub, job)
        if job.status == "failed":
            self._fail(job)
        job.require_success()
        with moving(job.name) as progress:
            paths = hub.instances.download(
                str(job.result_id), self.output, everything=True, overwrite=self.overwrite, progress=progress
            )
        self._tell(hub, job, paths, time.monotonic() - began)
        take(self.spec, {"files": list(map(str, paths)), **(job.result or {})})
        AccuracyDropped.require_none((job.result or {}).get("passport") or {})

    def _ended(self, hub: Hub, job: Job) -> Job:
        """The job as it has ended; interrupted, it is cancelled where it was begun for this command."""
        if not job.is_live:
            return job
        try:
            return watched(hub, job, as_json=self.as_json, verbose=self.verbose)
        except KeyboardInterrupt:
            hub.jobs.cancel(job.id)
            click.echo(f"job {job.id} is cancelled", err=True)
            raise

    def _source(self, hub: Hub, progress: Callable[[int, int], None]) -> Instance:
        """The hub's own, where an address was given or the hub has these bytes; else uploaded."""
        if not self.model.is_file():
            if self.model.suffix.lower() in _FILES:
                raise SourceError(f"There is no file {self.model}.", subject=str(self.model))
            return hub.source(str(self.model))
        sha256 = file_sha256(self.model)
        for found in hub.instances.list(hash=sha256, origin="source", status="available", team_id=hub.me().team.id):
            if found.sha256 == sha256:
                return found
        address = f"{_slug(self.model)}:default"
        _, _, instance = place(hub, address, [self.model], model_type=type_of(self.model), progress=progress)
        return instance

    def _fail(self, job: Job) -> None:
        from oakmill.cli.failing import in_words
        from oakmill.conversion.failures import Failure

        failure = Failure.model_validate(job.failure)
        if self.as_json:
            error = {"code": failure.code, "exit_code": failure.exit_code, "message": failure.sentence}
            print_line("error", {**error, "job": job.id, "failure": failure.model_dump(mode="json")})
        for words in in_words(failure, log=not self.verbose):
            click.echo(words, err=True)
        raise SystemExit(failure.exit_code)

    def _tell(self, hub: Hub, job: Job, paths: Any, seconds: float) -> None:
        result = job.result or {}
        if self.as_json:
            print_line("result", {"files": list(map(str, paths)), **result, "job": job.id, "hub": hub.url})
            return
        if job.answered_by:
            click.echo(f"the hub had it already: made by job {job.answered_by}", err=True)
        passport = result.get("passport") or {}
        if passport:
            verdict, images = severity_of(passport["verdict"]), passport["images"]["count"]
            click.echo(f"Accuracy passport: {verdict} on {images} images", err=True)
            for reason in passport["reasons"] if verdict is not Severity.OK else ():
                click.echo(f"! {reason}", err=True)
        click.echo(f"{paths[0]} {paths[0].stat().st_size / 1e6:.2f} MB in {seconds:.1f} s", err=True)


@dataclass(frozen=True)
class _Watch:
    """Makes of what a job tells the events of a conversion on this machine."""

    show: Observer
    waiting: Callable[[str], None] = lambda words: None

    def __call__(self, told: Told) -> None:
        if isinstance(told, Job):
            self._stands(told)
        elif event := event_of(told):
            self.show(event)

    def _stands(self, job: Job) -> None:
        if job.status in {"waiting", "queued"}:
            place = f", place {job.position}" if job.position else ""
            begins = f", begins in about {job.wait:.0f} s" if job.wait else ""
            self.waiting(f"{job.status}{place}{begins}")
        elif job.status == "running" and (stage := _stage(str(job.progress.get("stage")))):
            progress = job.progress
            done, total = int(progress.get("done", 0)), int(progress.get("total", 0))
            self.show(
                Event(
                    stage, Kind.PROGRESS, str(progress.get("text", "")), done, total, unit=str(progress.get("unit", ""))
                )
            )


def watched(hub: Hub, job: Job, *, as_json: bool, verbose: bool) -> Job:
    """A job as it has ended, with what it tells meanwhile shown as a command of this machine shows it."""
    if as_json:
        return hub.jobs.wait(job, _Watch(lambda event: print_line("event", event.as_dict())))
    with Display(verbose=verbose) as display:
        display.installing(f"job {job.id} at {hub.url}")
        return hub.jobs.wait(job, _Watch(display.show, display.waiting))


def event_of(line: Line) -> Event | None:
    """The event that a line of the log was made of; None where there is none of its kind."""
    if line.kind not in set(Kind):
        return None
    stage, kind = _stage(line.stage) or Stage.INSPECT, Kind(line.kind)
    if kind is Kind.STARTED:
        return Event(stage, kind)
    if kind is Kind.FINISHED:
        seconds = line.text.partition(" ")[0]
        return Event(stage, kind, seconds=float(seconds) if seconds.replace(".", "", 1).isdigit() else 0.0)
    return Event(stage, kind, line.text)


def _stage(name: str) -> Stage | None:
    return Stage(name) if name in set(Stage) else None


@contextmanager
def _spec_without_files(hub: Hub, spec: ConversionSpec) -> Iterator[tuple[dict[str, Any], Path | None]]:
    """The spec's values as a hub takes them: images of this machine become a set of the team's, or go with the job."""
    values = {**spec.model_dump(mode="json", exclude_unset=True), "platform": spec.platform}
    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        packed_set = None
        images = values.get("quantization_data")
        if images and Path(images).exists() and not _is_known(hub, images):
            packed_set = _packed(Path(images), Path(folder) / "calibration.zip")
            del values["quantization_data"]
        if spec.verification_images is not None and spec.verification_images.exists():
            packed = _packed(spec.verification_images, Path(folder) / "images.zip")
            name = f"images-{file_sha256(packed)[:12]}"
            there = any(found.slug == name for found in hub.datasets.list())
            values["verification_images"] = name if there else hub.datasets.add(name, packed).slug
        yield values, packed_set


def _is_known(hub: Hub, name: str) -> bool:
    """Whether a bare word is a set, which goes before a folder of that name, as it does without a hub."""
    from oakmill.calibration.datasets import SETS

    return "/" not in name and (name in SETS or any(found.slug == name for found in hub.datasets.list()))


def _packed(source: Path, target: Path) -> Path:
    """A zip of the images at a path; the same images make the same bytes, so that the hub knows them again."""
    from oakmill.calibration.datasets.files import find_files

    if source.is_file() and source.suffix.lower() == ".zip":
        return source
    files = [source] if source.is_file() else find_files(source)
    if not files:
        raise SourceError(f"There are no images in {source}.", subject=str(source))
    root = source.parent if source.is_file() else source
    with zipfile.ZipFile(target, "w") as packed:
        for file in files:
            packed.writestr(zipfile.ZipInfo(file.relative_to(root).as_posix(), _LONG_AGO), file.read_bytes())
    return target


def refuse_local_options(**given: Any) -> None:
    """Options that speak of this machine do not apply to a hub.

    Raises:
        SpecError: one of them was given.
    """
    for name, value in given.items():
        if value:
            flag = f"--{name.replace('_', '-')}"
            raise SpecError(f"{flag} does not apply to a hub", subject=flag, remedy="omit it, or omit --hub")


@contextmanager
def _told_to_machines(as_json: bool) -> Iterator[None]:
    """With --json, the last line names the error."""
    try:
        yield
    except OakmillError as error:
        if as_json:
            print_line("error", error.as_dict())
        raise


def _slug(path: Path) -> str:
    return path.name.partition(".")[0].replace(":", "-") or "model"
