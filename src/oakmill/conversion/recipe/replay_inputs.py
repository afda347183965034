"""Finds what a recipe was made of: the source model and the images that calibrated it, known by their sha256."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oakmill.calibration import datasets
from oakmill.calibration.datasets import Dataset
from oakmill.calibration.images import ARRAYS
from oakmill.calibration.samples import distinct, find_images
from oakmill.conversion.images.choose import split
from oakmill.errors import OakmillError, SourceError
from oakmill.files import file_sha256
from oakmill.model import open_source
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec
from oakmill.spec.recipe import Recipe

_NAMED = 5
"""Missing images that are named; of the others only the number."""
_SEARCHED = 200
"""Files beside a recipe that are looked at by content."""


class ReplayInputMissing(SourceError):
    """What a recipe was made of is not here."""


@dataclass(frozen=True)
class Found:
    """The source model; `as_given` is whether the file is the one that was given then, byte for byte."""

    path: Path
    as_given: bool


def find_source(recipe: Recipe, path: Path, given: Path | None, work: Path, settings: Settings) -> Found:
    """The recipe's source model: at the place given, else beside the recipe or here, by name or by content.

    Raises:
        ReplayInputMissing: it is not there, or what is there is another model.
        OakmillError: the file given is no model.
    """
    if given is not None and not given.is_dir():
        if _digest_of_model(given, work, settings) != recipe.source.sha256:
            raise ReplayInputMissing(
                f"{given} is another model than the recipe's {recipe.source.name} (sha256 {recipe.source.sha256})",
                subject=str(given),
                remedy="give the model that the recipe was made from",
            )
        return Found(given, file_sha256(given) == recipe.source.given_sha256)
    folders = [given] if given is not None else [path.parent, path.parent.parent, Path()]
    for candidate in _candidates(recipe, folders, path):
        try:
            if _digest_of_model(candidate, work, settings) == recipe.source.sha256:
                return Found(candidate, file_sha256(candidate) == recipe.source.given_sha256)
        except OakmillError:
            continue  # no model, or one that cannot be read: not the one
    places = ", ".join(dict.fromkeys(str(folder.resolve()) for folder in folders))
    raise ReplayInputMissing(
        f"the recipe's source model {recipe.source.name} (sha256 {recipe.source.sha256}) is not in {places}",
        subject=recipe.source.name,
        remedy="say where it is: --source MODEL",
    )


def _candidates(recipe: Recipe, folders: Sequence[Path], but: Path) -> Iterator[Path]:
    """Files of the right name first, then those of the right content."""
    names = [name for name in (recipe.source.given, recipe.source.name) if name]
    yield from (
        folder / Path(name).name for folder in folders for name in names if (folder / Path(name).name).is_file()
    )
    wanted = {recipe.source.sha256, recipe.source.given_sha256}
    for folder in folders:
        files = sorted(file for file in folder.iterdir() if file.is_file() and file != but) if folder.is_dir() else []
        yield from (file for file in files[:_SEARCHED] if _is_one_of(file, wanted))


def _is_one_of(file: Path, digests: set[str]) -> bool:
    try:
        return file_sha256(file) in digests
    except OSError:
        return False


def _digest_of_model(path: Path, work: Path, settings: Settings) -> str:
    folder = Path(tempfile.mkdtemp(dir=work, prefix="look-"))
    try:
        return open_source(path, folder / "source", settings).sha256
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def with_files(recipe: Recipe, spec: ConversionSpec, beside: Path) -> ConversionSpec:
    """The spec with the other files that it names where they are now: at their place, or beside the recipe.

    Raises:
        ReplayInputMissing: one is not there, or is another.
    """
    changes: dict[str, Any] = {}
    for field, digest in recipe.files.items():
        named = Path(str(getattr(spec, field)))
        places = [place for place in (named, beside / named.name, Path(named.name)) if place.is_file()]
        right = next((place for place in places if _is_one_of(place, {digest})), None)
        if right is None:
            raise ReplayInputMissing(
                f"the file {named.name} that the recipe names ({field}, sha256 {digest}) is not here",
                subject=str(named),
                remedy="put it beside the recipe",
            )
        changes[field] = right
    return spec.model_copy(update=changes)


def with_calibration_images(
    recipe: Recipe, spec: ConversionSpec, given: str | None, beside: Path, work: Path, settings: Settings
) -> ConversionSpec:
    """The spec with quantization data from which the recorded images are drawn, in the recorded order.

    Names do not matter, and what else is in the folder does not either.

    Raises:
        ReplayInputMissing: images are not there.
        SourceError: the folder or set is not there.
    """
    wanted = list(recipe.calibration.sha256)
    if not wanted:
        return spec
    asked: Any = spec
    data = given if given is not None else asked.quantization_data
    if given is None and data is not None and (beside / data).exists() and not Path(data).exists():
        data = str(beside / data)
    found = _dataset(data, given, work, settings)
    spec = spec.model_copy(update={"quantization_data": data})
    inputs = [item.name for item in recipe.inputs]
    if len(inputs) > 1 and all((found.folder / name).is_dir() for name in inputs):
        return spec  # a folder for each input: the comparison of the recipes says whether they are the same images
    if _drawn(spec, found.files) == wanted:
        return spec
    return _arranged(recipe, spec, found, wanted, work)


def _dataset(data: str | None, given: str | None, work: Path, settings: Settings) -> Dataset:
    """The set or folder: where the user says, where it was then, or beside the recipe."""
    try:
        return datasets.resolve(data, settings, work)
    except datasets.SetMissing:
        raise
    except SourceError as error:
        if given is not None:
            raise
        raise ReplayInputMissing(
            f"the images that calibrated the quantization are not where they were: {error.message}",
            subject=str(data),
            remedy="say where they are: --quantization-data FOLDER; their names do not matter",
        ) from error


def _drawn(spec: Any, files: Sequence[Path]) -> list[str]:
    """The images that a conversion would learn from."""
    parts = split(distinct(files), spec.max_quantization_images, spec.max_verification_images, spec.seed)
    return [file_sha256(file) for file in parts.calibration_images]


def _arranged(recipe: Recipe, spec: ConversionSpec, found: Dataset, wanted: list[str], work: Path) -> ConversionSpec:
    """The images in a folder of their own, called so that the seed draws them in the recorded order."""
    by_digest = {file_sha256(file): file for file in found.files}
    _require_all(recipe, wanted, by_digest, found)
    held_out = [by_digest[digest] for digest in recipe.images if digest in by_digest and digest not in wanted]
    # One image is always kept back; where none is here, a calibration image stands in, and accuracy is not compared.
    called = re.sub(r"[^\w.-]", "_", recipe.calibration.set).lstrip(".") or "images"
    for kept_back in (held_out, [*held_out, by_digest[wanted[0]]][:1]):
        arranged = _laid_out(spec, [by_digest[digest] for digest in wanted], kept_back, work, called)
        if _drawn(arranged, find_images(Path(str(arranged.quantization_data)))) == wanted:
            break
    result: ConversionSpec = arranged
    return result


def _laid_out(spec: Any, calibrating: Sequence[Path], held_out: Sequence[Path], work: Path, called: str) -> Any:
    """The spec with a folder in which the seed's draw begins with what calibrates and ends with what is held out."""
    ordered = [*calibrating, *reversed(held_out)]
    places = np.random.RandomState(spec.seed).permutation(len(ordered))
    folder = Path(tempfile.mkdtemp(dir=work, prefix="calibration-")) / called
    folder.mkdir()
    laid: set[Path] = set()
    for file, place in zip(ordered, places, strict=True):
        shutil.copyfile(file, target := folder / f"{place:08}{file.suffix.lower()}")
        if file in laid:
            _make_another(target)
        laid.add(file)
    return spec.model_copy(update={"quantization_data": f"{folder}/", "max_verification_images": max(1, len(held_out))})


def _make_another(copy: Path) -> None:
    """A copy that shows the same, but is no copy by its bytes: those count once."""
    content = copy.read_bytes()
    changed = content[:-1] + bytes([content[-1] ^ 1]) if copy.suffix in ARRAYS else content + b"\0"
    copy.write_bytes(changed)


def _require_all(recipe: Recipe, wanted: list[str], there: Mapping[str, Path], found: Dataset) -> None:
    names = recipe.calibration.names
    missing = [
        f"{names[index] if index < len(names) else f'number {index + 1}'} (sha256 {digest[:16]})"
        for index, digest in enumerate(wanted)
        if digest not in there
    ]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise ReplayInputMissing(
            f"{len(missing)} of the {len(wanted)} images that calibrated the quantization are not in {found.name!r}: "
            f"{', '.join(missing[:_NAMED])}{more}",
            subject=found.name,
            remedy="say where they are: --quantization-data FOLDER; their names do not matter",
        )
