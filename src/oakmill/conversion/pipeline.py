"""A conversion from end to end: a source file and a spec in, a verified file with its passport and recipe out."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

import oakmill
from oakmill.conversion import packaging, publish
from oakmill.conversion.events import Observer, Progress, Stage, unobserved
from oakmill.conversion.passport import Passport, Verdict
from oakmill.conversion.pictures import Pictures
from oakmill.conversion.prepare import Prepared, prepare
from oakmill.conversion.rvc2 import NEEDS, Rvc2
from oakmill.errors import PreparationFailed, VerificationFailed
from oakmill.model import load_onnx, merge_inputs, open_source, prefill, require_finite_weights
from oakmill.model.source import SourceModel
from oakmill.settings import Settings
from oakmill.spec import InputSpec, OutputFormat, Rvc2Spec
from oakmill.spec.recipe import Recipe, SourceRecord, ToolchainRecord
from oakmill.toolchains import sandbox
from oakmill.toolchains.rvc2.toolchain import Compiled

_PACKAGES = ("onnx", "onnxruntime", "onnxslim", "numpy", "pillow", "luxonis-ml", "depthai")


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
    def of(cls, spec: Rvc2Spec, source: Path) -> Names:
        """By the instance's name, else by the source's."""
        plain = re.sub(r"(\.rvc\d)?(\.onnx|\.xml|\.tflite|\.tar(\.\w+)?|\.zip)?$", "", source.name) or "model"
        stem = re.sub(r"[^\w.+-]+", "_", spec.name).strip("._") or "model" if spec.name else f"{plain}.rvc2"
        artefact = f"{stem}.{'blob' if spec.blob else 'superblob'}"
        packed = spec.output_format is OutputFormat.NN_ARCHIVE
        return cls(stem, artefact, f"{stem}.tar.xz" if packed else artefact)

    def all(self) -> list[str]:
        """Every file that appears in the output folder."""
        return [self.result, f"{self.stem}.passport.json", f"{self.stem}.recipe.yaml"]


def convert(
    path: Path,
    spec: Rvc2Spec,
    output: Path,
    *,
    settings: Settings,
    observer: Observer = unobserved,
    overwrite: bool = False,
) -> Converted:
    """Convert a source model and write the result, its passport and its recipe into the output folder.

    Either all three files appear there, complete and verified, or none.

    Raises:
        OakmillError: one of its named kinds; see `oakmill.errors` for the kinds and their exit codes.
    """
    progress, names = Progress(observer), Names.of(spec, path)
    with publish.work_folder() as work:
        with progress.stage(Stage.INSPECT):
            platform = Rvc2.of(spec, settings)
            publish.require_free(output, names.all(), overwrite=overwrite)
            source = open_source(path, work / "source", settings)
            inputs = platform.inputs(_asked_inputs(spec, source, progress), source, progress)
        with progress.stage(Stage.PREFLIGHT):
            model = platform.cut(load_onnx(source))
            require_finite_weights(model)
            platform.preflight(model)
        with progress.stage(Stage.PREPARE):
            prepared = prepare(model, source, inputs, spec, NEEDS, progress)
            pictures = _pictures(spec, prepared)
            graph = _save(platform.graph(prepared), work / "graph" / "prepared.onnx")
        with progress.stage(Stage.COMPILE):
            network = platform.optimize(prepared, graph, work / "optimize", progress)
            compiled = platform.compile(prepared, network, work / "compile", progress)
        with progress.stage(Stage.PACKAGE):
            compiled = replace(compiled, file=compiled.file.rename(work / names.artefact))
            recipe = _recipe(spec, source, prepared, platform, compiled, pictures, names)
            archive = _archive(work, names, platform, source, prepared, compiled, recipe)
        with progress.stage(Stage.VERIFY):
            found = platform.check(compiled, archive, prepared, work / "read")
            passport = platform.passport(prepared, network, pictures, work, progress)
            passport = platform.with_reader(passport, found)
            _require_fit(passport, progress)
        files = {
            names.result: archive or compiled.file,
            f"{names.stem}.passport.json": _write(work / "passport.json", packaging.as_json(passport.as_dict())),
            f"{names.stem}.recipe.yaml": _write(work / "recipe.yaml", recipe.as_yaml()),
        }
        written = publish.publish(files, output, overwrite=overwrite)
    return Converted(tuple(written), passport, recipe, progress)


def _asked_inputs(spec: Rvc2Spec, source: SourceModel, progress: Progress) -> tuple[InputSpec, ...]:
    """The user's values over those of the NN Archive; what came from the archive is told."""
    merged = merge_inputs(spec.inputs, prefill(source.archive, source.inputs))
    from_archive = sorted(name for name, origin in merged.origins.items() if origin == "archive")
    if from_archive:
        progress.note(f"from the NN Archive: {', '.join(from_archive)}")
    return merged.inputs


def _pictures(spec: Rvc2Spec, prepared: Prepared) -> Pictures:
    count, seed = spec.max_verification_images, spec.seed
    if spec.verification_images is None:
        return Pictures.generated(prepared.inputs, count, seed)
    return Pictures.of_files(prepared.inputs, spec.verification_images, count, seed)


def _save(model: onnx.ModelProto, path: Path) -> Path:
    path.parent.mkdir()
    try:
        onnx.save(model, path)
    except ValueError as error:
        raise PreparationFailed(f"the prepared model cannot be written: {error}") from error
    return path


def _require_fit(passport: Passport, progress: Progress) -> None:
    """Refuse a result that computes something else than its source; warn of what may spoil it on the device."""
    for check in passport.checks:
        for output in (*check.outputs_with(Verdict.WARN), *check.outputs_with(Verdict.FAIL)):
            words = f"{output.snr_db:.1f} dB by the {check.name}, worst on {output.worst}"
            progress.warn(f"output {output.name!r} has {words}")
    for output in passport.checks[0].outputs_with(Verdict.FAIL):
        raise VerificationFailed(
            f"the converted network does not compute what the source model does: output {output.name!r} has "
            f"{output.snr_db:.1f} dB, worst on {output.worst}",
            subject=output.name,
            remedy="convert with --disable-onnx-simplification, and compare the passports",
        )
    for overflow in passport.overflows:
        progress.warn(
            f"tensor {overflow.tensor!r} reaches {overflow.peak:.3g} on {overflow.image}, beyond FP16's 65504"
        )


def _recipe(
    spec: Rvc2Spec,
    source: SourceModel,
    prepared: Prepared,
    platform: Rvc2,
    compiled: Compiled,
    pictures: Pictures,
    names: Names,
) -> Recipe:
    isolation = sandbox.choose(platform.settings).level.value
    used = [toolchain.status() for toolchain in platform.toolchains]
    return Recipe(
        oakmill=oakmill.__version__,
        source=SourceRecord(name=source.files[0].name, format=source.format.value, sha256=source.sha256),
        spec=spec.model_copy(update={"verification_images": None}),  # a path means nothing elsewhere
        inputs=[item.as_dict() for item in prepared.inputs],
        toolchains=[ToolchainRecord(name=item.name, digest=item.digest, isolation=isolation) for item in used],
        packages={package: version(package) for package in _PACKAGES},
        commands=[shlex.join(command) for command in platform.commands(prepared, names.artefact).values()],
        images=list(pictures.sha256),
        artefact={"name": names.artefact, "sha256": _sha256(compiled.file)},
    )


def _archive(
    work: Path,
    names: Names,
    platform: Rvc2,
    source: SourceModel,
    prepared: Prepared,
    compiled: Compiled,
    recipe: Recipe,
) -> Path | None:
    """The NN Archive, or None where the bare file was asked for."""
    if names.result == names.artefact:
        return None
    config = packaging.config(
        names.stem, names.artefact, prepared.inputs, prepared.outputs, compiled.ports, source.archive
    )
    build_info = platform.build_info(compiled.file, platform.commands(prepared, names.artefact))
    documents = {
        "config.json": packaging.as_json(config),
        "buildinfo.json": packaging.as_json(build_info),
        "recipe.yaml": recipe.as_yaml(),
    }
    archive = work / names.result
    packaging.write_archive(archive, compiled.file, documents)
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
