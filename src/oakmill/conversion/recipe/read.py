"""Reads recipes: a recipe.yaml, or the one inside an NN Archive; what is no recipe is refused in clear words."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from oakmill.errors import SourceError
from oakmill.files import expanded
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec, plain_yaml, wrong
from oakmill.spec.recipe import Recipe

VERSION = 1
LARGEST = 16 << 20
"""Bytes; a recipe with 65536 calibration images has 10 MB."""
DEEPEST = 32
"""Lists and mappings in one another; recipes have up to ten."""
NAME = "recipe.yaml"

_EARLIER = {"keep_outputs": True}
"""Detectors kept their outputs."""
_EARLIER_RVC4 = {"no_equalization": True, "no_bias_correction": True}
"""Channels were quantized as they are, and biases left alone."""
_EARLIER_ACCURATE = "mse"
"""What an accuracy-focused conversion chose its ranges by: recorded beside the calibration, and no parameter."""
_REMEDY = "give the recipe.yaml that lies beside a converted model, or the NN Archive that holds it"


class BadRecipe(SourceError):
    """The file is no recipe, or not one that can be followed."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain data without references, with which a small file could describe an endless one."""


def parse(data: bytes, name: str) -> dict[str, Any]:
    """A YAML document that is a mapping of plain data.

    Raises:
        BadRecipe: it is too large, damaged, or something else.
    """
    if len(data) > LARGEST:
        raise BadRecipe(f"{name} has more than {LARGEST >> 20} MB, and is no recipe", subject=name, remedy=_REMEDY)
    try:
        plain_yaml.check(data, _Loader, DEEPEST)
        found = yaml.load(data, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise BadRecipe(f"{name} is not YAML that a recipe has: {first}", subject=name, remedy=_REMEDY) from error
    if not isinstance(found, dict):
        raise BadRecipe(f"{name} is no recipe", subject=name, remedy=_REMEDY)
    return found


def read(path: Path, settings: Settings) -> Recipe:
    """The recipe in a file: YAML, or an NN Archive with a recipe.yaml.

    Raises:
        BadRecipe: there is none, or not one that this version can follow.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise BadRecipe(f"{path} cannot be read: {error.strerror}", subject=str(path), remedy=_REMEDY) from error
    if not _is_text(data):
        data = _inside(path, settings)
    return validated(parse(data, path.name), path.name)


def _is_text(data: bytes) -> bool:
    return b"\0" not in data[:4096]


def _inside(path: Path, settings: Settings) -> bytes:
    """The recipe.yaml of an archive."""
    from oakmill.model import unpack
    from oakmill.model.archives import holds_tar

    if not holds_tar(path):
        raise BadRecipe(
            f"{path.name} is no recipe, nor an NN Archive that holds one", subject=str(path), remedy=_REMEDY
        )
    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        unpack(path, Path(folder) / "archive", settings)
        recipe = Path(folder) / "archive" / NAME
        if not recipe.is_file():
            raise BadRecipe(f"{path.name} holds no {NAME}: another converter made it", subject=str(path))
        return recipe.read_bytes()


def validated(document: dict[str, Any], name: str) -> Recipe:
    """The document as a recipe.

    Raises:
        BadRecipe: a field is missing, wrong or unknown, or the recipe is of another version.
    """
    version = document.get("recipe_version")
    if version != VERSION:
        known = f"{name} is a recipe of version {version}, and this Oakmill follows version {VERSION}"
        words = f"{name} is no recipe: it has no recipe_version" if version is None else known
        raise BadRecipe(words, subject=name, remedy=_REMEDY if version is None else "use the Oakmill that made it")
    try:
        return Recipe.model_validate(_as_meant(document))
    except ValidationError as error:
        place, words = wrong.first_of(error.errors())
        message = f"{name} is no recipe that this Oakmill can follow: {place}: {words}"
        raise BadRecipe(message, subject=name, remedy="use the Oakmill that made it, whose version it states") from None


def _as_meant(document: dict[str, Any]) -> dict[str, Any]:
    """An earlier recipe's words for what a spec without them means otherwise today."""
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return document
    earlier = {**_EARLIER, **(_EARLIER_RVC4 if spec.get("platform") == "rvc4" else {})}
    calibration = document.get("calibration")
    if isinstance(calibration, dict) and calibration.get("method") == _EARLIER_ACCURATE:
        spec = {**spec, "range_method": spec.get("range_method") or _EARLIER_ACCURATE}
    return {**document, "spec": {**earlier, **spec}}


def portable(spec: ConversionSpec) -> ConversionSpec:
    """The spec without places that only this machine has: test images go, absolute paths keep their last part.

    A path relative to where the command ran is kept as it was typed: a recipe that travels with its folder finds it.
    """
    changes: dict[str, Any] = {"verification_images": None}
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        if name not in changes and isinstance(value, str | Path) and expanded(value).is_absolute():
            changes[name] = type(value)(Path(value).name)
    return spec.model_copy(update=changes)
