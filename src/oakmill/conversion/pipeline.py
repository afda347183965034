"""A conversion from end to end: a source file and a spec in, a verified file with its passport and recipe out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import oakmill
from oakmill.conversion import camera_app, ladder, loading, registry
from oakmill.conversion.cache import identity
from oakmill.conversion.cache.stages import Reuse
from oakmill.conversion.converted import Converted
from oakmill.conversion.depthai import Depthai
from oakmill.conversion.events import Observer, Progress, Stage, failing_in, unobserved
from oakmill.conversion.output import nn_archive, publish
from oakmill.conversion.passport import Passport, bar, page, thumbnails
from oakmill.conversion.passport.ladder import Rung
from oakmill.conversion.platform import Built, Images, Network, Platform
from oakmill.conversion.prepare import Prepared
from oakmill.conversion.recipe import read
from oakmill.conversion.sources import as_onnx, camera_heads
from oakmill.files import file_sha256, plain_name
from oakmill.findings import Severity
from oakmill.graph import equality
from oakmill.model import open_source
from oakmill.model.source import SourceModel
from oakmill.processes import sandbox
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, OutputFormat
from oakmill.spec.class_names import in_words
from oakmill.spec.recipe import CalibrationRecord, Recipe, SourceRecord, ToolchainRecord

NAMES_IN_SHORT = 100
"""Names of classes that a conversion's summary has of a head: COCO's 80, and not a text's alphabet."""
_DOCUMENTS = ("passport.json", "passport.html", "recipe.yaml")
_FILES = frozenset({"quantization_data", "verification_images", "aimet_encodings"})
"""Parameters that may name a file of this machine."""


@dataclass(frozen=True)
class Names:
    """The names of the files that a conversion writes."""

    stem: str
    artefact: str
    result: str
    parts: tuple[str, ...] = ()

    @classmethod
    def of(cls, spec: ConversionSpec, source: Path, suffix: str, part_suffixes: Sequence[str] = ()) -> Names:
        """By the instance's name, else by the source's."""
        own = re.sub(r"[^\w.+-]+", "_", spec.name).strip("._") or "model" if spec.name else ""
        stem = own or f"{plain_name(source)}.{spec.platform}"
        artefact = f"{stem}.{suffix}"
        packed = spec.output_format is OutputFormat.NN_ARCHIVE
        parts = () if packed else tuple(f"{stem}.{part}" for part in part_suffixes)
        return cls(stem, artefact, f"{stem}.tar.xz" if packed else artefact, parts)

    def all(self) -> list[str]:
        """Every file that appears in the output folder."""
        return [self.result, *self.parts, *(f"{self.stem}.{ending}" for ending in _DOCUMENTS)]


def convert(
    path: Path,
    spec: ConversionSpec,
    output: Path,
    *,
    settings: Settings,
    observer: Observer = unobserved,
    overwrite: bool = False,
    recorded: CalibrationRecord | None = None,
) -> Converted:
    """Convert a source model and write the result, its passport and its recipe into the output folder.

    Either all files appear there, complete and verified, or none. What a conversion decides by measuring is decided as
    a recipe `recorded` it, where one is followed.

    Raises:
        OakmillError: one of its named kinds; `events.stage_of` names the stage, `conversion.failures` explains it.
    """
    attempt = partial(_convert, path, free=output, observer=observer, overwrite=overwrite, recorded=recorded)
    try:
        if not ladder.is_asked(spec):
            return attempt(spec, output, None, settings=settings)
        return ladder.climb(spec, attempt, output, settings=settings, observer=observer, overwrite=overwrite)
    except MemoryError as error:
        raise equality.no_memory("The conversion") from error


def _convert(  # noqa: PLR0913 - what a conversion is told
    path: Path,
    spec: ConversionSpec,
    output: Path,
    tried: tuple[Rung, ...] | None,
    /,
    *,
    free: Path,
    settings: Settings,
    observer: Observer,
    overwrite: bool,
    recorded: CalibrationRecord | None,
) -> Converted:
    """One conversion in one number format; `tried` are those before it, and `free` is where the result will lie."""
    progress = Progress(observer)
    with publish.work_folder() as work, Depthai(work / "depthai", settings) as depthai:
        with progress.stage(Stage.INSPECT):
            platform = _platform(spec, settings, recorded)
            names = Names.of(spec, path, platform.suffix, platform.part_suffixes)
            publish.require_free(free, names.all(), overwrite=overwrite)
            source = open_source(path, work / "source", settings)
            platform = registry.reading(platform, source)
            if platform.asks_depthai:
                depthai.start()
            inputs, told = loading.asked_inputs(platform, source, progress)
            reuse = Reuse.of(platform, source, progress)
            source = as_onnx.once(source, inputs, work / "as-onnx", spec.seed, settings, progress, reuse.as_onnx)
            inputs, told = camera_heads.exported(inputs, told, source, platform.spec.head or "")
        with progress.stage(Stage.PREFLIGHT):
            loaded = loading.loaded(platform, source, inputs, told, reuse, progress)
            source, inputs = loaded.source, loaded.inputs
        with progress.stage(Stage.PREPARE):
            prepared = platform.prepare(loaded.network, source, inputs, work / "prepare", progress, reuse.prepared)
            images = platform.images(prepared, source, work, progress)
            network = platform.network(prepared, work / "network", progress)
        if platform.calibrates:
            with progress.stage(Stage.CALIBRATE):
                network = reuse.calibrated(prepared, images, network, work / "calibrate")
        with progress.stage(Stage.COMPILE):
            built = reuse.compiled(prepared, network, work / "compile")
        with progress.stage(Stage.PACKAGE):
            built = built.moved(work / names.artefact)
            recipe = _recipe(spec, _source_record(path, source), prepared, platform, built, network, images, names)
            archive = _archive(work, names, platform, source, prepared, built, recipe)
        with progress.stage(Stage.VERIFY):
            found = platform.check(built, archive, prepared, depthai, work / "read")
            app = camera_app.of(platform, archive, prepared, built.ports, work / "app", loaded.original)
            passport = reuse.measured(prepared, network, built, images, work, app)
            passport = replace(passport, vendor_reader=found, findings=(*passport.findings, *loaded.findings))
            passport = replace(passport, cost=platform.cost(network, built), layers=network.layers)
            platform.require_fit(passport)
            passport = _judged(passport, spec, built, tried, progress)
            passport = replace(passport, thumbnails=thumbnails.of(passport, images))
        documents = _documents(work, names.stem, _page(spec, source, passport, recipe), passport, recipe)
        files = {names.result: archive or built.file, **_parts(built, archive), **documents}
        with failing_in(Stage.PUBLISH):
            written = publish.publish(files, output, overwrite=overwrite)
        beside = tuple(file for file in source.files if file != path and work not in file.parents)
    heads = tuple(nn_archive.heads(prepared.heads, prepared.names))
    return Converted(tuple(written), passport, recipe, progress, beside, heads)


def _platform(spec: ConversionSpec, settings: Settings, recorded: CalibrationRecord | None) -> Platform:
    platform = registry.of(spec, settings)
    return platform.following(recorded) if recorded else platform


def _parts(built: Built, archive: Path | None) -> dict[str, Path]:
    """The files that stand beside a bare one; an archive holds them."""
    return {} if archive else {part.name: part for part in built.parts}


def _documents(work: Path, stem: str, page: str, passport: Passport, recipe: Recipe) -> dict[str, Path]:
    """What is told of the result, by its name in the output folder."""
    numbers = nn_archive.as_json(passport.as_dict(drawings=True))
    return {
        f"{stem}.passport.json": _write(work / "passport.json", numbers),
        f"{stem}.passport.html": _write(work / "passport.html", page),
        f"{stem}.recipe.yaml": _write(work / "recipe.yaml", recipe.as_yaml()),
    }


def _judged(
    passport: Passport, spec: ConversionSpec, built: Built, tried: tuple[Rung, ...] | None, progress: Progress
) -> Passport:
    """The passport by the user's bar, and as a number format that was tried; why it is not ok is told."""
    passport = bar.held(passport, spec.max_drop)
    if tried is not None:
        passport = ladder.with_rung(passport, spec, built.file, tried)
    if passport.verdict is not Severity.OK:
        for reason in passport.reasons:
            progress.warn(reason)
    return passport


def _page(spec: ConversionSpec, source: SourceModel, passport: Passport, recipe: Recipe) -> str:
    """The passport as a page for people."""
    facts = {
        "name": recipe.artefact["name"],
        "source": source.files[0].name,
        "platform": spec.platform.upper(),
        "sha256": recipe.artefact["sha256"],
        "toolchain": ", ".join(item.name for item in recipe.toolchains),
        "Oakmill": recipe.oakmill,
        "parameters": {
            name: _for_people(name, value)
            for name, value in spec.model_dump(mode="json", exclude_defaults=True).items()
            if name not in ("inputs", "platform")
        },
        **{f"input {item.name}": item.model_dump(mode="json") for item in recipe.inputs},
    }
    return page.render(passport, facts)


def _for_people(name: str, value: Any) -> Any:
    """A parameter's value; of a file its name, and not where it lies on this machine."""
    if name == "class_names":
        return in_words(value)
    return Path(value).name if name in _FILES and isinstance(value, str) else value


def _recipe(
    spec: ConversionSpec,
    source: SourceRecord,
    prepared: Prepared,
    platform: Platform,
    built: Built,
    network: Network,
    images: Images,
    names: Names,
) -> Recipe:
    isolation = sandbox.choose(platform.settings).level.value
    before = as_onnx.toolchains(source.format, platform.settings)
    used = [toolchain.status() for toolchain in (*before, *platform.toolchains)]
    return Recipe(
        oakmill=oakmill.__version__,
        code=identity.code(),
        source=source,
        spec=read.portable(spec),
        inputs=[item.record for item in prepared.inputs],
        toolchains=[ToolchainRecord(name=item.name, digest=item.digest, isolation=isolation) for item in used],
        packages=identity.packages(),
        commands=[
            *map(shlex.join, as_onnx.commands(source.format, source.name)),
            *map(shlex.join, platform.commands(prepared, names.artefact).values()),
        ],
        images=list(images.held_out.sha256),
        calibration=network.calibration,
        files=_named_files(spec),
        artefact={
            "name": names.artefact,
            "sha256": file_sha256(built.file),
            **{f"sha256 of {part.name}": file_sha256(part) for part in built.parts},
        },
    )


def _named_files(spec: ConversionSpec) -> dict[str, str]:
    """The files that decide the result, besides the model and images."""
    named = {name: getattr(spec, name) for name in type(spec).model_fields if name != "verification_images"}
    return {name: file_sha256(path) for name, path in named.items() if isinstance(path, Path) and path.is_file()}


def _source_record(given: Path, source: SourceModel) -> SourceRecord:
    return SourceRecord(
        name=source.files[0].name,
        format=source.format.value,
        sha256=source.sha256,
        given=given.name,
        given_sha256=file_sha256(given),
    )


def _archive(
    work: Path,
    names: Names,
    platform: Platform,
    source: SourceModel,
    prepared: Prepared,
    built: Built,
    recipe: Recipe,
) -> Path | None:
    """The NN Archive, or None where the bare file was asked for."""
    if names.result == names.artefact:
        return None
    named = nn_archive.Named(names.stem, names.artefact, platform.precision, prepared.names)
    config = nn_archive.config(named, prepared.boundary, prepared.outputs, built.ports, source.archive)
    build_info = platform.build_info(built, platform.commands(prepared, names.artefact))
    documents = {
        "config.json": nn_archive.as_json(config),
        "buildinfo.json": nn_archive.as_json(build_info),
        "recipe.yaml": recipe.as_yaml(),
    }
    archive = work / names.result
    nn_archive.write_archive(archive, built.file, documents, built.parts)
    return archive


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _in_short(head: Mapping[str, Any]) -> dict[str, Any]:
    """A head with as many names of classes as somebody reads."""
    metadata = dict(head.get("metadata") or {})
    classes = list(metadata.get("classes") or [])
    short = {"classes": classes[:NAMES_IN_SHORT]} if classes else {}
    return {**head, "metadata": {**metadata, **short}}


def summary(converted: Converted) -> dict[str, Any]:
    """The conversion as plain data, for `--json`."""
    return {
        "files": [str(path) for path in converted.files],
        "sha256": file_sha256(converted.file),
        "verdict": converted.passport.verdict.value,
        "passport": converted.passport.as_dict(),
        "seconds": {stage: round(seconds, 3) for stage, seconds in converted.progress.seconds.items()},
        "notes": converted.progress.notes,
        "warnings": converted.progress.warnings,
        "heads": [_in_short(head) for head in converted.heads],
        "cache": {"hit": False},
    }
