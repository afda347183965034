"""Verifies a finished file again, as far as its documents and what is given allow, and says what no longer holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from oakmill.conversion import camera_app, loading, registry
from oakmill.conversion.cache.stages import Reuse
from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Observer, Progress, Stage, unobserved
from oakmill.conversion.finished import Finished, Found
from oakmill.conversion.images import choose
from oakmill.conversion.output import publish
from oakmill.conversion.passport import Passport
from oakmill.conversion.passport.cost import Cost
from oakmill.conversion.passport.measure import Subject
from oakmill.conversion.platform import Platform
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.recipe import replay_inputs
from oakmill.conversion.replay import spec_of
from oakmill.conversion.sources import as_onnx, camera_heads
from oakmill.conversion.sources.camera_heads import Original
from oakmill.conversion.verify import documents, trial
from oakmill.conversion.verify.artefact import FRESH, Artefact, open_artefact
from oakmill.errors import VerificationFailed
from oakmill.files import file_sha256
from oakmill.findings import Finding, Severity, worst_first, worst_of
from oakmill.model import open_source
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec
from oakmill.spec.platforms import PLATFORMS
from oakmill.toolchains.door import RunnerError


class NoLongerHolds(VerificationFailed):
    """A finished file is not what it was when it was made, or does not do what its source does."""


@dataclass(frozen=True)
class Verified:
    """What was seen of a finished file: what still holds, in sentences, and what does not, the worst first.

    `reader` is what the vendor's reader found, empty where it could not read the file; `passport` is there where the
    file was compared with its source.
    """

    file: Path
    platform: str
    holds: tuple[str, ...]
    findings: tuple[Finding, ...]
    reader: dict[str, Any]
    passport: Passport | None = None

    @property
    def verdict(self) -> Severity:
        """The worst of the findings and the passport."""
        own = (finding.severity for finding in self.findings)
        return worst_of([*own, *([self.passport.verdict] if self.passport else [])])

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not ok, a sentence each."""
        own = (f"{found.title}: {found.message}" for found in self.findings if found.severity is not Severity.NOTE)
        return (*own, *(self.passport.reasons if self.passport else ()))

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "file": str(self.file),
            "sha256": file_sha256(self.file),
            "platform": self.platform,
            "verdict": self.verdict.value,
            "reasons": list(self.reasons),
            "holds": list(self.holds),
            "findings": [asdict(finding) for finding in self.findings],
            "reader": self.reader,
            "passport": self.passport.as_dict() if self.passport else None,
        }

    def also(self, holds: Sequence[str], findings: Sequence[Finding]) -> Verified:
        """With what was seen elsewhere."""
        return replace(self, holds=(*self.holds, *holds), findings=tuple(worst_first([*self.findings, *findings])))

    def require(self) -> None:
        """That all holds, but for what is only told.

        Raises:
            NoLongerHolds: something does not.
        """
        if self.verdict is Severity.ERROR:
            errors = [found for found in self.findings if found.severity is Severity.ERROR]
            more = f", and {len(self.reasons) - 1} more" if len(self.reasons) > 1 else ""
            remedy = errors[0].remedy if errors else "see the passport, and compare with the one beside the file"
            raise NoLongerHolds(f"{self.reasons[0]}{more}", subject=str(self.file), remedy=remedy)


def verify(
    given: Path,
    source: Path | None = None,
    images: Path | None = None,
    *,
    settings: Settings,
    observer: Observer = unobserved,
    install: Callable[[ConversionSpec], None] = lambda spec: None,
) -> Verified:
    """Look at a finished file again.

    Args:
        given: an NN Archive, or a bare file, beside which its recipe may lie.
        source: the model that it was made of, to be compared with; known by the digest in the recipe.
        images: to run it on; without them, generated ones.
        settings: where the toolchains are, and limits.
        observer: is told of the stages.
        install: makes the toolchains ready that a conversion with these parameters takes.

    Raises:
        NotAResult: it is something that no conversion made.
        SourceError: it is damaged beyond opening; or images cannot be read.
        ToolchainMissing: what reads or runs it is not installed.
        OakmillError: one of its other kinds, where the source cannot be prepared again.
    """
    progress = Progress(observer)
    with publish.work_folder() as work, Depthai(work / "depthai", settings) as depthai:
        with progress.stage(Stage.INSPECT):
            artefact = open_artefact(given, work, settings)
            look = Look(artefact, images, work, settings, progress)
            look.at_bytes()
            install(look.spec)
            look.at_contents(depthai)
        if source:
            look.at_source(source)
        elif look.found:
            with progress.stage(Stage.VERIFY):
                look.at_run()
    return look.result()


class Look:
    """One look at an artefact: what it saw by now; `patient` runs the file on all images, however long that takes."""

    def __init__(
        self,
        artefact: Artefact,
        images: Path | None,
        work: Path,
        settings: Settings,
        progress: Progress,
        *,
        patient: bool = False,
    ) -> None:
        self._artefact, self._work, self._settings, self._progress = artefact, work, settings, progress
        self._patient = patient
        self.spec = spec_for(artefact, images)
        self._holds: list[str] = []
        self._findings: list[Finding] = list(artefact.findings)
        self.finished: Finished | None = None
        self._passport: Passport | None = None
        self._cost: Cost | None = None
        self.found: Found | None = None

    def result(self) -> Verified:
        """All that was seen."""
        document = dict(self.found.document) if self.found else {}
        found = worst_first(self._findings)
        return Verified(
            self._artefact.given, self._artefact.platform, tuple(self._holds), found, document, self._passport
        )

    def at_bytes(self) -> None:
        """The digests, and the kind."""
        found = tuple(documents.of_bytes(self._artefact))
        self._findings += found
        if self._artefact.recipe and not found:
            self._holds.append("the bytes are those that the recipe records")

    def at_contents(self, depthai: Depthai) -> None:
        """The vendor's reader, and the documents held against what it found."""
        if any(finding.code == "other_platform" for finding in self._findings):
            return
        artefact, progress = self._artefact, self._progress
        platform = registry.of(self.spec, self._settings)
        kind = registry.ROWS[artefact.platform].finished(artefact.file)
        finished = kind(platform, artefact.file, artefact.archive, self._work / "finished")
        try:
            self.found = finished.read(depthai, progress)
        except VerificationFailed as error:
            remedy = error.remedy or FRESH
            said = Finding("unreadable", Severity.ERROR, error.message, "It cannot be read", remedy, artefact.file.name)
            self._findings.append(said)
            return
        self.finished = finished
        told = tuple(documents.of_contents(artefact, self.found, platform.build_info(self.found.built, {})))
        self._findings += told
        self._holds.append(f"{self.found.document['name']} reads it")
        if artefact.config and not told:
            self._holds.append("its documents say of it what the reader finds")

    def at_run(self) -> None:
        """Without a source: whether it runs at all."""
        assert self.finished is not None
        assert self.found is not None
        if self.finished.not_run:
            self._findings.append(_not_run(self.finished, measured=False))
            return
        try:
            tried = trial.run(self.finished, self.found, self._artefact, self.spec, self._progress)
        except RunnerError as error:
            said = f"it cannot be run: {error.message}"
            self._findings.append(Finding("does_not_run", Severity.ERROR, said, "It does not run", FRESH))
            return
        self._findings += tried.findings
        if tried.findings:
            return
        if tried.ran > 1:
            self._holds.append(f"it runs, and gives numbers that depend on the image ({tried.ran}: {tried.source})")
        else:
            self._holds.append("it runs")
            self._findings.append(_ONE_IMAGE)

    def at_source(self, given: Path | None, also: Callable[[Subject], Subject] = lambda subject: subject) -> None:
        """The source by its digest, at its place or beside the file, then what both compute; `also` adds methods."""
        source = self._source(given)
        if source:
            self._measure(source, also)

    def subject(self, given: Path) -> Subject | None:
        """What the passport would measure of the source, prepared again; None where findings say why there is none."""
        source = self._source(given)
        return self._subject(source, *source.prepared()) if source else None

    def _source(self, given: Path | None) -> _Source | None:
        recipe = self._artefact.recipe
        if recipe is None:
            self._findings.append(_NOT_COMPARED)
            return None
        with self._progress.stage(Stage.PREFLIGHT):
            try:
                known = replay_inputs.find_source(recipe, self._artefact.given, given, self._work, self._settings)
            except replay_inputs.ReplayInputMissing as error:
                where = given.name if given else error.subject
                told = Finding("other_source", Severity.ERROR, error.message, "Another model", error.remedy, where)
                self._findings.append(told)
                return None
            self._holds.append(f"{known.path.name} is the model that it was made of")
        if self.found is None or self.finished is None:
            return None
        same = {"verification_images", "max_verification_images", "resize"}
        own = {name: getattr(self.spec, name) for name in same}
        spec = spec_of(recipe, known).model_copy(update=own)
        return _Source(known.path, spec, self._work, self._settings, self._progress)

    def _subject(self, source: _Source, prepared: Prepared, known: Sequence[Finding]) -> Subject | None:
        """The file and its source as it is prepared again."""
        finished, found, recipe = self.finished, self.found, self._artefact.recipe
        assert finished is not None
        assert found is not None
        assert recipe is not None
        with self._progress.stage(Stage.VERIFY):
            again = replace(finished, platform=source.platform)
            told = tuple(_of_prepared(found, prepared))
            # What is only noted of a source helps who converts it.
            self._findings += [*(item for item in known if item.severity is not Severity.NOTE), *told]
            network = None if told else again.network(prepared, found, recipe.calibration, self._progress)
            if again.not_run:
                self._findings.append(_not_run(again, measured=network is not None))
            if network is None:
                return None
            self._cost = again.cost(network, found)
            images = choose.choose_test_images(source.spec, prepared.boundary, self._progress)
            images = replace(images, patient=self._patient)
            return source.platform.subject(
                prepared, network, found.built, images, self._work / "measure", self._progress
            )

    def _measure(self, source: _Source, also: Callable[[Subject], Subject]) -> None:
        """The passport's own measurement."""
        found, recipe = self.found, self._artefact.recipe
        assert found is not None
        assert recipe is not None
        prepared, known = source.prepared()
        subject = self._subject(source, prepared, known)
        if subject is None:
            return
        subject, images = also(subject), subject.images
        with self._progress.stage(Stage.VERIFY):
            archive, folder = self._artefact.archive, self._work / "app"
            app = camera_app.of(source.platform, archive, prepared, found.built.ports, folder, source.original)
            passport = camera_app.measured(subject, self._progress, app)
            self._passport = replace(passport, vendor_reader=found.document, cost=self._cost)
            self._findings += _calibrated_by(recipe.calibration.sha256, images.held_out.sha256)
            try:
                source.platform.require_fit(self._passport)
            except VerificationFailed as error:
                self._findings.append(
                    Finding("does_otherwise", Severity.ERROR, error.message, "It computes something else", FRESH)
                )
        if self._passport.verdict is Severity.OK:
            self._holds.append(f"it computes as {source.path.name} does, on {len(images.held_out)} images")


@dataclass
class _Source:
    """The model that a file was made of, on its way to be compared with it, as a conversion goes."""

    path: Path
    spec: ConversionSpec
    work: Path
    settings: Settings
    progress: Progress
    platform: Platform = field(init=False)
    original: Original | None = None

    def prepared(self) -> tuple[Prepared, tuple[Finding, ...]]:
        """The prepared network, as the recipe says, and what is told of the source. Raises: as a conversion."""
        progress = self.progress
        with progress.stage(Stage.PREPARE):
            source = open_source(self.path, self.work / "source", self.settings)
            fresh = self.settings.model_copy(update={"cache_max_mb": 0})  # what is looked at again is proved again
            self.platform = registry.reading(registry.of(self.spec, fresh), source)
            inputs, told = loading.asked_inputs(self.platform, source, progress)
            source = as_onnx.as_onnx(source, inputs, self.work / "as-onnx", self.spec.seed, self.settings, progress)
            inputs, told = camera_heads.exported(inputs, told, source, self.platform.spec.head or "")
            reuse = Reuse.of(self.platform, source, progress)
            loaded = loading.loaded(self.platform, source, inputs, told, reuse, progress)
            self.original = loaded.original
            work = self.work / "prepare"
            prepared = self.platform.prepare(loaded.network, loaded.source, loaded.inputs, work, progress)
        return prepared, loaded.findings


def spec_for(artefact: Artefact, images: Path | None) -> ConversionSpec:
    """The recipe's parameters, else the platform's defaults; nothing is calibrated, whatever they say."""
    kind = PLATFORMS[artefact.platform].spec
    alone = {"blob": True} if "blob" in kind.model_fields and artefact.file.suffix == ".blob" else {}
    spec = artefact.recipe.spec if artefact.recipe else kind.model_validate(alone)
    return spec.model_copy(update={"verification_images": images})


def _of_prepared(found: Found, prepared: Prepared) -> Iterator[Finding]:
    """That the file has the prepared network's inputs and outputs; others cannot be compared."""
    sides = (
        ("inputs", {tensor.name for tensor in found.inputs}, {item.name for item in prepared.boundary}),
        ("outputs", {tensor.name for tensor in found.outputs}, {tensor.name for tensor in prepared.outputs}),
    )
    for kind, has, wanted in sides:
        if has != wanted:
            said = f"the file has the {kind} {', '.join(sorted(has))}; made anew, {', '.join(sorted(wanted))}"
            yield Finding("other_boundary", Severity.ERROR, said, f"Other {kind} than its source gives", FRESH)


def _calibrated_by(calibrating: tuple[str, ...], measured: tuple[str, ...]) -> list[Finding]:
    both = set(calibrating) & set(measured)
    if not both:
        return []
    said = f"{len(both)} of the {len(measured)} images calibrated the quantization, and say too much good of it"
    return [Finding("not_held_out", Severity.WARNING, said, "Not held out", "give other images with --images")]


def _not_run(finished: Finished, *, measured: bool) -> Finding:
    said = finished.not_run if measured else finished.not_run.partition(":")[0]
    helps = "oakmill replay makes the file again, and compares each byte" if measured else (
        "--source MODEL --images FOLDER compares what it was made of; oakmill replay makes it again, byte for byte"
    )  # fmt: skip
    return Finding("not_run", Severity.NOTE, said, "The file itself was not run", helps)


_ONE_IMAGE = Finding(
    "one_image",
    Severity.NOTE,
    "it ran on one image, which cannot show that what it gives depends on the image",
    "Run on one image",
    "give more images with --images, or compare it with its model: --source MODEL",
)
_NOT_COMPARED = Finding(
    "not_compared",
    Severity.ERROR,
    "without a recipe nothing says what preprocessing is in the file, so it cannot be compared with a model",
    "Not compared",
    "convert the model with Oakmill, whose archives hold their recipe, and verify that",
)
