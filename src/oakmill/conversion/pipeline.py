"""A conversion from end to end: a source file and a spec in, a verified file with its passport and recipe out."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import oakmill
from oakmill.conversion import packaging, platforms, publish
from oakmill.conversion.events import Observer, Progress, Stage, unobserved
from oakmill.conversion.passport import Passport, Verdict, page
from oakmill.conversion.platform import Built, Images, Network, Platform
from oakmill.conversion.prepare import Prepared, prepare
from oakmill.model import load_onnx, merge_inputs, open_source, prefill, require_finite_weights
from oakmill.model.source import SourceModel
from oakmill.settings import Settings
from oakmill.spec import AnySpec, InputSpec, OutputFormat, Rvc4Spec
from oakmill.spec.recipe import Recipe, SourceRecord, ToolchainRecord
from oakmill.toolchains import sandbox

_PACKAGES = ("onnx", "onnxruntime", "onnxslim", "numpy", "pillow", "luxonis-ml", "depthai")
_DOCUMENTS = ("passport.json", "passport.html", "recipe.yaml")


@dataclass(frozen=True)
class Converted:
    """A finished conversion: its files, the result first, and what is known of it."""

    files: tuple[Path, ...]
    passport: Passport
    recipe: Recipe
    progress: Progress

    @property
    def file(self) -> Path:
        """The converted model: an NN Archive or the bare file."""
        return self.files[0]


@dataclass(frozen=True)
class Names:
    """The names of the files that a conversion writes."""

    stem: str
    artefact: str
    result: str

    @classmethod
    def of(cls, spec: AnySpec, source: Path, suffix: str) -> Names:
        """By the instance's name, else by the source's."""
        plain = re.sub(r"(\.rvc\d)?(\.onnx|\.xml|\.tflite|\.tar(\.\w+)?|\.zip)?$", "", source.name) or "model"
        own = re.sub(r"[^\w.+-]+", "_", spec.name).strip("._") or "model" if spec.name else ""
        stem = own or f"{plain}.{spec.platform}"
        artefact = f"{stem}.{suffix}"
        packed = spec.output_format is OutputFormat.NN_ARCHIVE
        return cls(stem, artefact, f"{stem}.tar.xz" if packed else artefact)

    def all(self) -> list[str]:
        """Every file that appears in the output folder."""
        return [self.result, *(f"{self.stem}.{ending}" for ending in _DOCUMENTS)]


def convert(
    path: Path,
    spec: AnySpec,
    output: Path,
    *,
    settings: Settings,
    observer: Observer = unobserved,
    overwrite: bool = False,
) -> Converted:
    """Convert a source model and write the result, its passport and its recipe into the output folder.

    Either all files appear there, complete and verified, or none.

    Raises:
        OakmillError: one of its named kinds; see `oakmill.errors` for the kinds and their exit codes.
    """
    progress = Progress(observer)
    with publish.work_folder() as work:
        with progress.stage(Stage.INSPECT):
            platform = platforms.of(spec, settings)
            names = Names.of(spec, path, platform.suffix)
            publish.require_free(output, names.all(), overwrite=overwrite)
            source = open_source(path, work / "source", settings)
            inputs = platform.inputs(_asked_inputs(platform.spec, source, progress), source, progress)
        with progress.stage(Stage.PREFLIGHT):
            model = platform.cut(load_onnx(source))
            require_finite_weights(model)
            platform.preflight(model)
        with progress.stage(Stage.PREPARE):
            prepared = prepare(model, source, inputs, spec, platform.needs, progress)
            images = platform.images(prepared, source, work, progress)
            network = platform.network(prepared, work / "network", progress)
        if platform.calibrates:
            with progress.stage(Stage.CALIBRATE):
                network = platform.calibrate(prepared, images, network, work / "calibrate", progress)
        with progress.stage(Stage.COMPILE):
            built = platform.compile(prepared, network, work / "compile", progress)
        with progress.stage(Stage.PACKAGE):
            built = replace(built, file=built.file.rename(work / names.artefact))
            recipe = _recipe(spec, source, prepared, platform, built, network, images, names)
            archive = _archive(work, names, platform, source, prepared, built, recipe)
        with progress.stage(Stage.VERIFY):
            found = platform.check(built, archive, prepared, work / "read")
            passport = platform.passport(prepared, network, built, images, work, progress)
            passport = replace(passport, reader=found)
            platform.require_fit(passport)
            _warn(passport, progress)
        files = {
            names.result: archive or built.file,
            f"{names.stem}.passport.json": _write(work / "passport.json", packaging.as_json(passport.as_dict())),
            f"{names.stem}.passport.html": _write(
                work / "passport.html", _page(spec, source, passport, images, recipe)
            ),
            f"{names.stem}.recipe.yaml": _write(work / "recipe.yaml", recipe.as_yaml()),
        }
        written = publish.publish(files, output, overwrite=overwrite)
    return Converted(tuple(written), passport, recipe, progress)


def _asked_inputs(spec: AnySpec, source: SourceModel, progress: Progress) -> tuple[InputSpec, ...]:
    """The user's values over those of the NN Archive; what came from the archive is told."""
    merged = merge_inputs(spec.inputs, prefill(source.archive, source.inputs))
    from_archive = sorted(name for name, origin in merged.origins.items() if origin == "archive")
    if from_archive:
        progress.note(f"from the NN Archive: {', '.join(from_archive)}")
    return merged.inputs


def _warn(passport: Passport, progress: Progress) -> None:
    """Say why the verdict is not green."""
    if passport.verdict is not Verdict.PASS:
        for reason in passport.reasons:
            progress.warn(reason)


def _page(spec: AnySpec, source: SourceModel, passport: Passport, images: Images, recipe: Recipe) -> str:
    """The passport as a page for people, with the images that it speaks of."""
    facts = {
        "name": recipe.artefact["name"],
        "source": source.files[0].name,
        "platform": spec.platform.upper(),
        "sha256": recipe.artefact["sha256"],
        "toolchain": ", ".join(item.name for item in recipe.toolchains),
        "Oakmill": recipe.oakmill,
        "parameters": {
            name: value
            for name, value in spec.model_dump(mode="json", exclude_defaults=True).items()
            if name not in ("inputs", "platform")
        },
        **{f"input {item['name']}": item for item in recipe.inputs},
    }
    return page.render(passport, images.held_out.thumbnails(_worst(passport)), facts)


def _worst(passport: Passport) -> set[str]:
    """The images that the page shows."""
    outputs = {output.worst for check in passport.checks for output in check.outputs}
    return outputs | {item.image for _, task in passport.tasks for item in task.worst}


def _recipe(
    spec: AnySpec,
    source: SourceModel,
    prepared: Prepared,
    platform: Platform,
    built: Built,
    network: Network,
    images: Images,
    names: Names,
) -> Recipe:
    isolation = sandbox.choose(platform.settings).level.value
    used = [toolchain.status() for toolchain in platform.toolchains]
    return Recipe(
        oakmill=oakmill.__version__,
        source=SourceRecord(name=source.files[0].name, format=source.format.value, sha256=source.sha256),
        spec=_without_paths(platform.spec, images),
        inputs=[item.as_dict() for item in prepared.inputs],
        toolchains=[ToolchainRecord(name=item.name, digest=item.digest, isolation=isolation) for item in used],
        packages={package: version(package) for package in _PACKAGES},
        commands=[shlex.join(command) for command in platform.commands(prepared, names.artefact).values()],
        images=list(images.held_out.sha256),
        calibration=dict(network.calibration),
        artefact={"name": names.artefact, "sha256": _sha256(built.file)},
    )


def _without_paths(spec: AnySpec, images: Images) -> AnySpec:
    """The parameters without what means nothing elsewhere: a set of images keeps its name, a file of them none."""
    paths: dict[str, object] = {"verification_images": None}
    if isinstance(spec, Rvc4Spec):
        paths |= {"quantization_data": images.lessons_from or None, "aimet_encodings": None}
    return spec.model_copy(update=paths)


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
    named = packaging.Named(names.stem, names.artefact, platform.precision, prepared.names)
    config = packaging.config(named, prepared.boundary, prepared.outputs, built.ports, source.archive)
    build_info = platform.build_info(built, platform.commands(prepared, names.artefact))
    documents = {
        "config.json": packaging.as_json(config),
        "buildinfo.json": packaging.as_json(build_info),
        "recipe.yaml": recipe.as_yaml(),
    }
    archive = work / names.result
    packaging.write_archive(archive, built.file, documents)
    return archive


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def summary(converted: Converted) -> dict[str, Any]:
    """The conversion as plain data, for `--json`."""
    return {
        "files": [str(path) for path in converted.files],
        "sha256": _sha256(converted.file),
        "verdict": converted.passport.verdict.value,
        "passport": converted.passport.as_dict(),
        "seconds": {stage: round(seconds, 3) for stage, seconds in converted.progress.seconds.items()},
        "notes": converted.progress.notes,
        "warnings": converted.progress.warnings,
    }
