"""Labels in a table: a .csv of files with the class or the text of each; or the folders that the images lie in."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from oakmill.calibration.labels.labels import BadLabels, Kind
from oakmill.calibration.labels.said import MOST_CLASSES, Said, Saying, read_text
from oakmill.calibration.samples import SUFFIXES

_FILES = ("file", "image", "filename", "file_name", "path", "image_path")
_TEXTS = ("text", "transcription", "words", "plate")
_NAMES = ("class", "label", "class_name", "category", "name")
_INDICES = ("class_index", "class_id", "label_id", "index", "target")
_REMEDY = "the first line names the columns: file, and class (a name or a number), class_index, or text"


def read(path: Path) -> Said:
    """The class, or the text, of each file that a table lists.

    Raises:
        BadLabels: it is no such table, or says two things of one file or class.
    """
    rows = _rows(path)
    columns = rows[0].keys()
    file, text = (next((name for name in names if name in columns), "") for names in (_FILES, _TEXTS))
    if not file:
        raise BadLabels(f"{path.name} has no column of files", subject=str(path), remedy=_REMEDY)
    files = [row[file].strip() for row in rows]
    name, count = Counter(files).most_common(1)[0]
    if count > 1:
        raise BadLabels(f"{path.name} labels {name!r} {count} times", subject=str(path))
    if text:
        return Said(Kind.TEXTS, (), {name: Saying(text=row[text]) for name, row in zip(files, rows, strict=True)})
    names, labels = _classes(rows, path)
    return Said(Kind.CLASSES, names, {name: Saying(label=at) for name, at in zip(files, labels, strict=True)})


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows by the columns' names; two columns without names are a file and its class."""
    content = read_text(path)
    delimiter = max(",;\t", key=content.partition("\n")[0].count)
    try:
        lines = [line for line in csv.reader(io.StringIO(content), delimiter=delimiter) if any(line)]
    except csv.Error as error:
        raise BadLabels(f"{path.name} is no table: {error}", subject=str(path), remedy=_REMEDY) from error
    if not lines:
        raise BadLabels(f"{path.name} lists no file", subject=str(path), remedy=_REMEDY)
    bare = len(lines[0]) == 2 and Path(lines[0][0]).suffix.lower() in SUFFIXES
    head = ["file", "class"] if bare else [cell.strip().lower() for cell in lines[0]]
    body = lines if bare else lines[1:]
    for number, line in enumerate(body, 1 if bare else 2):
        if len(line) != len(head):
            raise BadLabels(
                f"{path.name} has {len(line)} columns in line {number}, and {len(head)} names of columns",
                subject=str(path), remedy=_REMEDY,
            )  # fmt: skip
    if not body:
        raise BadLabels(f"{path.name} lists no file", subject=str(path), remedy=_REMEDY)
    return [dict(zip(head, line, strict=True)) for line in body]


def _classes(rows: Sequence[Mapping[str, str]], path: Path) -> tuple[tuple[str, ...], list[int]]:
    """The names of the classes by index, and the index of each row."""
    columns = rows[0].keys()
    name, index = (next((word for word in words if word in columns), "") for words in (_NAMES, _INDICES))
    if not name and not index:
        raise BadLabels(f"{path.name} has no column of classes", subject=str(path), remedy=_REMEDY)
    words = [row[name].strip() for row in rows] if name else []
    if not index and all(word.isdecimal() for word in words):
        index, name = name, ""
    if not index:
        return _by_name(words)
    labels = [_number(row[index].strip(), path) for row in rows]
    found: dict[int, str] = {}
    for place, at in enumerate(labels if name else ()):
        if found.setdefault(at, words[place]) != words[place]:
            said = f"{path.name} calls class {at} both {found[at]!r} and {words[place]!r}"
            raise BadLabels(said, subject=str(path))
    return tuple(found.get(at, "") for at in range(max(found, default=-1) + 1)), labels


def _number(word: str, path: Path) -> int:
    if not word.isdecimal() or int(word) >= MOST_CLASSES:
        raise BadLabels(f"{path.name} has {word!r} as the number of a class", subject=str(path), remedy=_REMEDY)
    return int(word)


def _by_name(words: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    """Classes that have names only are numbered in the names' order, as torchvision does with folders."""
    names = sorted(set(words))
    places = {name: place for place, name in enumerate(names)}
    return tuple(names), [places[word] for word in words]


def of_folders(files: Iterable[str]) -> Said:
    """Each image's class is the name of the folder that it lies in; those that lie in none are not labelled.

    Raises:
        BadLabels: all lie in one folder.
    """
    inside = [name for name in files if "/" in name]
    names, labels = _by_name([name.split("/")[-2] for name in inside])
    if len(names) < 2:
        raise BadLabels("the images do not lie in folders of two classes or more", remedy=_REMEDY)
    return Said(Kind.CLASSES, names, {name: Saying(label=at) for name, at in zip(inside, labels, strict=True)})
