"""Opens a finished file: an NN Archive with its documents, or a bare file with the recipe that lies beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from oakmill.conversion.recipe import read
from oakmill.errors import OutputError, SourceError, UnsafeSource
from oakmill.findings import Finding, Severity
from oakmill.model import unpack
from oakmill.model.sniff import identify
from oakmill.model.source import SourceFormat
from oakmill.settings import Settings
from oakmill.spec.recipe import Recipe

CONFIG, BUILD = "config.json", "buildinfo.json"
FRESH = "copy it anew from where it was made, or convert again"
_ENDINGS = (".superblob", ".blob", ".dlc", ".xml")
_ACCEPTED = (
    "give what a conversion made: an NN Archive (.tar.xz), a .superblob, .blob or .dlc, or an OpenVINO IR (.xml with "
    "its .bin)"
)
_NO_RECIPE = Finding(
    "no_recipe",
    Severity.WARNING,
    "there is no recipe: whether these are the bytes that were made, and of which model, cannot be said",
    title="No recipe",
    remedy="another converter's archives have none; beside a bare file of Oakmill's put its .recipe.yaml",
)


class NotAResult(SourceError):
    """The file is not what a conversion made."""


@dataclass(frozen=True)
class Artefact:
    """A finished file and what says how it was made; copies of all of it, so that it stays as it is meanwhile.

    `platform` is the one that its recipe names, else that of the file's own kind. `findings` tell of documents that
    are not there or cannot be read.
    """

    given: Path
    file: Path
    platform: str
    kind: str
    archive: Path | None = None
    parts: tuple[Path, ...] = ()
    recipe: Recipe | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def open_artefact(given: Path, work: Path, settings: Settings) -> Artefact:
    """Open a finished file; `work` is a folder that may be made.

    Raises:
        NotAResult: it is something else.
        BrokenModel, UnsafeSource: it is an archive that is damaged, or not safe to unpack.
        OutputError: it cannot be copied.
    """
    seen = identify(given)
    if seen.format is SourceFormat.NN_ARCHIVE:
        return _of_archive(given, work, settings)
    beside = given.with_name(f"{given.stem}.recipe.yaml")
    text = beside.read_bytes() if beside.is_file() else None
    recipe, told = _recipe(text, beside.name)
    if not recipe and not (seen.compiled or seen.format is SourceFormat.OPENVINO_IR):
        raise _foreign(given, given.name, seen.what)
    return _artefact(given, _copied(given, work), recipe, told)


def _of_archive(given: Path, work: Path, settings: Settings) -> Artefact:
    folder = work / "archive"
    try:
        files = unpack(given, folder, settings)
    except SourceError as error:
        error.remedy = error.remedy or FRESH
        raise
    text = {name: (folder / name).read_bytes() for name in (CONFIG, BUILD, read.NAME) if folder / name in files}
    config, broken = _document(text.get(CONFIG), CONFIG)
    build, damaged = _document(text.get(BUILD, b"{}"), BUILD)
    recipe, told = _recipe(text.get(read.NAME), read.NAME)
    file = _named(given, folder, files, config, recipe)
    seen = identify(file)
    ir = seen.format is SourceFormat.OPENVINO_IR
    if not recipe and not (seen.compiled or ir):
        raise _foreign(given, f"{file.name} in {given.name}", seen.what)
    return _artefact(
        given, file, recipe, (*broken, *damaged, *told), archive=given.absolute(), config=config, build=build
    )


def _artefact(given: Path, file: Path, recipe: Recipe | None, told: Sequence[Finding], **more: Any) -> Artefact:
    seen = identify(file)
    kind = "rvc3" if seen.format is SourceFormat.OPENVINO_IR else seen.compiled
    if not recipe and kind not in ("rvc2", "rvc3", "rvc4"):
        raise NotAResult(f"{given.name} is {seen.what}, for no camera of ours", subject=str(given), remedy=_ACCEPTED)
    platform = recipe.spec.platform if recipe else kind
    weights = file.with_suffix(".bin")
    parts = (weights,) if weights.is_file() and file.suffix == ".xml" else ()
    return Artefact(given, file, platform, kind, parts=parts, recipe=recipe, findings=tuple(told), **more)


def _named(given: Path, folder: Path, files: Sequence[Path], config: Mapping[str, Any], recipe: Recipe | None) -> Path:
    """The model that the archive's config names; where that names none, the one that its recipe does.

    Raises:
        NotAResult: it is not there.
        UnsafeSource: it is named outside of the archive.
    """
    model = config.get("model")
    metadata = model.get("metadata") if isinstance(model, Mapping) else None
    path = metadata.get("path") if isinstance(metadata, Mapping) else None
    name = PurePosixPath(path if isinstance(path, str) else recipe.artefact.get("name", "") if recipe else "")
    if name.is_absolute() or ".." in name.parts:
        raise UnsafeSource(f"the {CONFIG} of {given.name} names a file outside: {name}", subject=str(given))
    if not name.parts:
        raise NotAResult(f"{given.name} holds no {CONFIG} that names its model", subject=str(given), remedy=_ACCEPTED)
    if folder / name not in files:
        raise NotAResult(
            f"the {CONFIG} of {given.name} names the model {name}, which is not in it", subject=str(given), remedy=FRESH
        )
    return folder / name


def _copied(given: Path, work: Path) -> Path:
    """The file, and the weights of an IR, as copies: depthai's reader writes beside what it reads."""
    folder = work / "file"
    weights = given.with_suffix(".bin")
    try:
        folder.mkdir(parents=True)
        if given.suffix == ".xml" and weights.is_file():
            shutil.copyfile(weights, folder / weights.name)
        return Path(shutil.copyfile(given, folder / given.name))
    except OSError as error:
        raise OutputError(f"{given.name} cannot be copied: {error.strerror}", subject=str(given)) from error


def _recipe(text: bytes | None, name: str) -> tuple[Recipe | None, tuple[Finding, ...]]:
    if text is None:
        return None, (_NO_RECIPE,)
    try:
        return read.validated(read.parse(text, name), name), ()
    except read.BadRecipe as error:
        told = Finding("bad_recipe", Severity.ERROR, error.message, "The recipe cannot be read", FRESH, name)
        return None, (told,)


def _document(text: bytes | None, name: str) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    try:
        found = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found, ()
    said = f"the archive has no {name}" if text is None else f"the archive's {name} is damaged"
    return {}, (Finding("bad_document", Severity.ERROR, said, "A document cannot be read", FRESH, name),)


def _foreign(given: Path, where: str, what: str) -> NotAResult:
    """The error for a source model, or anything else that was never converted; a name of ours says that it is cut."""
    if given.suffix.lower() in _ENDINGS:
        return NotAResult(f"{where} is {what}, whatever it is called", subject=str(given), remedy=FRESH)
    return NotAResult(
        f"{where} is {what}, and not what a conversion made",
        subject=str(given),
        remedy=f"{_ACCEPTED}; a model that is to be compared goes after --source",
    )
