"""Evaluates a finished file on labelled images: the task's own metric, and what the source model reaches on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oakmill.calibration import datasets
from oakmill.calibration.datasets.files import is_image
from oakmill.calibration.labels import Labels, labels_of
from oakmill.calibration.samples import distinct
from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Observer, Progress, Stage, unobserved
from oakmill.conversion.images import choose
from oakmill.conversion.images.linked import linked
from oakmill.conversion.output import publish
from oakmill.conversion.passport import bar, choose_tasks
from oakmill.conversion.passport.labelled import UNUSED, Accuracy, Judge, Truth, judges_of, unused
from oakmill.conversion.verify import trial
from oakmill.conversion.verify.again import Look, Verified
from oakmill.conversion.verify.artefact import Artefact, open_artefact
from oakmill.errors import AccuracyDropped, SpecError
from oakmill.files import file_sha256
from oakmill.findings import Finding
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, Resize

MOST = 256
"""Images where nobody says how many: an interval of a share is then some 5 points wide on either side."""


@dataclass(frozen=True)
class Asked:
    """What a file is evaluated on, and against: a set or folder, the model it was made of, and how much may be lost.

    `resize` is how images are brought to size, where not as the recipe says.
    """

    data: str
    source: Path | None = None
    max_drop: float | None = None
    most: int = MOST
    resize: Resize | None = None


@dataclass(frozen=True)
class Evaluated:
    """What labels say of a finished file, by which method, and what was seen on the way.

    `left_out` are images that calibrated it, and were not taken.
    """

    verified: Verified
    method: str
    accuracy: Accuracy
    left_out: int = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is told of the file."""
        return self.verified.findings

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "file": str(self.verified.file),
            "sha256": file_sha256(self.verified.file),
            "platform": self.verified.platform,
            "method": self.method,
            "accuracy": self.accuracy.as_dict(),
            "calibrating_images_left_out": self.left_out,
            "reasons": list(self.verified.reasons),
        }

    def require(self, max_drop: float | None) -> None:
        """That no more is lost than may be.

        Raises:
            AccuracyDropped: it is.
        """
        score = self.accuracy.headline
        if max_drop is not None and not bar.Drop(score.drop, "", 0).is_within(max_drop):
            allowed = f"--max-drop {max_drop:g} allows {100 * max_drop:g} points"
            raise AccuracyDropped(
                f"{score.text} on {self.accuracy.images} images; {allowed}",
                remedy="convert with --target-precision AUTO, which finds the fastest format that keeps it",
            )


def evaluate(
    given: Path,
    asked: Asked,
    *,
    settings: Settings,
    observer: Observer = unobserved,
    install: Callable[[ConversionSpec], None] = lambda spec: None,
) -> Evaluated:
    """Run a finished file on labelled images; images that calibrated it are left out.

    Args:
        given: an NN Archive, or a bare file, beside which its recipe lies.
        asked: on what, against what.
        settings: where sets and toolchains are, and limits.
        observer: is told of the stages.
        install: makes the toolchains ready that a conversion with these parameters takes.

    Raises:
        SpecError: the images are not labelled, nothing here runs the file, or the labels say nothing of its outputs.
        NotAResult: it is something that no conversion made.
        NoLongerHolds: it cannot be read, or is not what its recipe says.
        OakmillError: as `verify` raises them.
    """
    if asked.max_drop is not None and asked.source is None:
        raise SpecError(
            "what is lost can be told beside the model only that the file was made of",
            subject="--max-drop", remedy="give --source MODEL",
        )  # fmt: skip
    progress = Progress(observer)
    with publish.work_folder() as work, Depthai(work / "depthai", settings) as depthai:
        with progress.stage(Stage.INSPECT):
            artefact = open_artefact(given, work, settings)
            folder, labels, left_out = _labelled(asked, artefact, work, settings)
            look = Look(artefact, folder, work, settings, progress, patient=True)
            changed = {"resize": asked.resize or look.spec.resize, "max_verification_images": asked.most}
            look.spec = look.spec.model_copy(update=changed)
            look.at_bytes()
            install(look.spec)
            look.at_contents(depthai)
        if look.found is None:
            look.result().require()
        if asked.source:
            look.at_source(asked.source)
            return _compared(look.result(), left_out)
        with progress.stage(Stage.VERIFY):
            method, accuracy = _alone(look, artefact, labels, progress)
        return Evaluated(look.result(), method, accuracy, left_out)


def _labelled(asked: Asked, artefact: Artefact, work: Path, settings: Settings) -> tuple[Path, Labels, int]:
    """A folder of the labelled images that did not calibrate, with their labels, and how many did."""
    found = datasets.resolve(asked.data, settings, work)
    labels = labels_of(found.folder, [path for path in found.files if is_image(path)])
    if labels is None:
        raise SpecError(
            f"{asked.data} has no labels",
            subject=asked.data,
            remedy="oakmill datasets add NAME FOLDER --labels PATH makes a set that has; or put labels.json, "
            "labels.csv or a folder labels among the images",
        )
    taught = set(artefact.recipe.calibration.sha256) if artefact.recipe else set()
    known = [(path, file_sha256(path)) for path in distinct(found.files)]
    labelled = [(path, digest) for path, digest in known if digest in labels.images]
    fresh = [path for path, digest in labelled if digest not in taught]
    if not fresh:
        raise SpecError(
            f"every labelled image of {asked.data} calibrated this file", subject=asked.data,
            remedy="give images that taught it nothing",
        )  # fmt: skip
    return linked(found, fresh, work / "labelled"), labels, len(labelled) - len(fresh)


def _compared(verified: Verified, left_out: int) -> Evaluated:
    """Beside its source, as the passport has it."""
    if verified.passport is None:
        verified.require()
        raise SpecError("nothing here runs this file, nor what it was compiled from", subject=str(verified.file))
    if verified.passport.accuracy:
        return Evaluated(verified, *verified.passport.accuracy, left_out)
    raise _unjudged(next(item for item in verified.passport.findings if item.code == UNUSED))


def _alone(look: Look, artefact: Artefact, labels: Labels, progress: Progress) -> tuple[str, Accuracy]:
    """Without its source: what the file itself reaches."""
    finished, found = look.finished, look.found
    assert finished is not None
    assert found is not None
    if finished.not_run:
        raise SpecError(finished.not_run, remedy="give --source MODEL: then the network that was compiled is measured")
    inputs = trial.inputs_of(found.inputs, artefact)
    images = choose.choose_test_images(look.spec, inputs, progress)
    samples = [trial.cast(sample, found.inputs) for sample in images.held_out]
    size, model = trial.size_of(inputs), artefact.config.get("model")
    heads = model.get("heads") if isinstance(model, dict) else None
    truth = Truth.of(labels, images.held_out, size, look.spec.resize)
    judges: tuple[Judge, ...] = ()
    running = replace(finished, patient=True).run(found, samples, progress)
    for place, (name, outputs) in enumerate(zip(images.held_out.names, running, strict=False), 1):
        progress.doing("running the file", place, len(samples))
        plain = trial.as_trained(outputs, channels_last=finished.platform.needs.channels_last)
        judges = judges or judges_of(choose_tasks.of_image(plain, heads, size), truth)
        for judge in judges:
            judge.add(name, None, plain)
    scored = [accuracy for judge in judges if (accuracy := judge.accuracy())]
    if not scored:
        raise _unjudged(unused(labels, truth, judges))
    return f"{found.document['name']}, the finished file on this machine", scored[0]


def _unjudged(found: Finding) -> SpecError:
    return SpecError(found.message, remedy=found.remedy)
