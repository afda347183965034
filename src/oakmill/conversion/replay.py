"""Replays a recipe: finds what it names by content, converts again, and says whether the bytes are the same.

Where they are not, it says where they differ, and in what this conversion was another than the recorded one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oakmill.conversion.converted import Converted
from oakmill.conversion.events import Observer, unobserved
from oakmill.conversion.output import publish
from oakmill.conversion.output.differences import Difference, compare_files, compare_parts, fields
from oakmill.conversion.pipeline import convert
from oakmill.conversion.recipe import read, replay_inputs
from oakmill.errors import VerificationFailed
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, InputSpec
from oakmill.spec.recipe import InputRecord, Recipe

_RESULT_OF = "artefact"


class ReplayDiffers(VerificationFailed):
    """The recipe does not give the same bytes here."""


@dataclass(frozen=True)
class Replayed:
    """A recipe that was followed: the new conversion, and in what it differs from the recorded one.

    `places` are where the converted file differs, as far as the old one is at hand; `causes` what was otherwise.
    `old_file` is the recorded result, if it lies beside the recipe.
    """

    recipe: Recipe
    converted: Converted
    causes: tuple[Difference, ...]
    places: tuple[Difference, ...]
    old_file: Path | None

    @property
    def same(self) -> bool:
        """Whether the converted model has the recorded bytes."""
        return self.recipe.artefact.get("sha256") == self.converted.recipe.artefact["sha256"]

    @property
    def explained(self) -> bool:
        """Whether something that decides bytes was otherwise: tools, packages, Oakmill itself, parameters, images."""
        return bool(self.causes)

    def lines(self) -> Iterator[str]:
        """What there is to say, line by line."""
        digest = self.converted.recipe.artefact["sha256"]
        if self.same:
            yield f"the same bytes: {self.recipe.artefact['name']}, sha256 {digest}"
        else:
            yield f"other bytes: sha256 {digest}, recorded is {self.recipe.artefact.get('sha256', 'none')}"
            yield from (f"  {item.words}" for item in self.places)
            if self.old_file is None:
                yield "  where they differ cannot be said: the recorded result does not lie beside the recipe"
        if self.causes:
            yield "otherwise than recorded, without a change in the model:" if self.same else "otherwise than recorded:"
            yield from (f"  {item.words}" for item in self.causes)
        elif not self.same:
            yield "nothing that the recipe records was otherwise: the conversion itself is not repeatable here"
        if self.same and self.places:
            yield "around the model:"
            yield from (f"  {item.words}" for item in self.places)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "same": self.same,
            "sha256": self.converted.recipe.artefact["sha256"],
            "recorded_sha256": self.recipe.artefact.get("sha256"),
            "files": [str(path) for path in self.converted.files],
            "causes": [asdict(item) for item in self.causes],
            "places": [asdict(item) for item in self.places],
            "compared_with": str(self.old_file) if self.old_file else None,
        }


@dataclass(frozen=True)
class Given:
    """Where the user says that what a recipe names is; what is left out is looked for beside the recipe."""

    source: Path | None = None
    quantization_data: str | None = None
    images: Path | None = None


def replay(
    path: Path,
    output: Path,
    given: Given,
    *,
    settings: Settings,
    observer: Observer = unobserved,
    overwrite: bool = False,
) -> Replayed:
    """Follow a recipe, or that of an NN Archive, and compare; nothing is taken from the cache.

    Raises:
        BadRecipe: it cannot be followed.
        ReplayInputMissing: the source model or images that calibrated it are not found, or are others.
        OakmillError: as `pipeline.convert`.
    """
    recipe = read.read(path, settings)
    with publish.work_folder() as work:
        source = replay_inputs.find_source(recipe, path, given.source, work, settings)
        spec = spec_of(recipe, source)
        spec = replay_inputs.with_calibration_images(recipe, spec, given.quantization_data, path.parent, work, settings)
        spec = replay_inputs.with_files(recipe, spec, path.parent)
        spec = spec.model_copy(update={"verification_images": given.images})
        fresh = settings.model_copy(update={"cache_max_mb": 0})
        converted = convert(
            source.path, spec, output, settings=fresh, observer=observer, overwrite=overwrite,
            recorded=recipe.calibration,
        )  # fmt: skip
    old = _old_file(path, recipe, converted)
    places = compare_files(converted.file.name, old, converted.file, settings) if old else []
    places = [item for item in places if read.NAME not in item.where]  # the causes speak of those
    return Replayed(recipe, converted, tuple(causes(recipe, converted.recipe)), tuple(places), old)


def causes(recorded: Recipe, now: Recipe) -> list[Difference]:
    """All that two recipes record differently, but for what came of it."""
    before, after = (_decisive(recipe.model_dump(mode="json")) for recipe in (recorded, now))
    return compare_parts(read.NAME, before, after)


def _decisive(document: Mapping[str, Any]) -> dict[str, str]:
    return dict(fields({key: value for key, value in document.items() if key != _RESULT_OF}))


def spec_of(recipe: Recipe, source: replay_inputs.Found) -> ConversionSpec:
    """The recorded parameters; where the model came otherwise, with what its NN Archive or its file's name said."""
    changes: dict[str, Any] = {}
    if not source.as_given:
        changes["inputs"] = tuple(_input(item) for item in recipe.inputs)
    if source.path.name != recipe.source.given and recipe.spec.name is None:
        changes["name"] = str(Path(recipe.artefact["name"]).stem)
    return recipe.spec.model_copy(update=changes)


def _input(decided: InputRecord) -> InputSpec:
    more = {"mean_values": decided.mean, "scale_values": decided.scale}
    return InputSpec(**decided.model_dump(exclude={"dtype", "mean", "scale"}), **more)


def _old_file(path: Path, recipe: Recipe, converted: Converted) -> Path | None:
    """The recorded result: the archive that holds the recipe, or the file of its name beside it."""
    ours = {file.resolve() for file in converted.files}
    beside = path.parent / converted.file.name
    candidates = [path] if path.suffix not in (".yaml", ".yml") else [beside, path.parent / recipe.artefact["name"]]
    return next((file for file in candidates if file.is_file() and file.resolve() not in ours), None)
