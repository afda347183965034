"""Puts two results side by side: what was asked, the tools, sizes, the graph's boundary, and the accuracy."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from oakmill.conversion.output.differences import compare_files, fields
from oakmill.conversion.passport import Passport, report
from oakmill.conversion.recipe import read
from oakmill.errors import SourceError
from oakmill.files import file_sha256
from oakmill.model import unpack
from oakmill.model.archives import holds_tar
from oakmill.settings import Settings
from oakmill.spec.class_names import in_words

ARCHIVE = ".tar.xz"
_ENDINGS = (ARCHIVE, ".recipe.yaml", ".passport.json", ".passport.html")
_DOCUMENTS = re.compile(r"(config\.json|buildinfo\.json|recipe\.yaml)(:|$)")
"""What the other sections speak of already."""
CLASSES = 20
"""Classes of a head whose names are shown where they differ."""
_MISSING = frozenset({"-", "–", "not there"})
"""What stands for a value that a side has not."""
_REMEDY = "give a result of oakmill convert: the NN Archive, its passport.json, its recipe.yaml, or their folder"


@dataclass(frozen=True)
class Row:
    """One line of a comparison: a section (spec, tools, size, graph, accuracy, files), what, and both sides' values."""

    section: str
    what: str
    a: str
    b: str

    @property
    def same(self) -> bool:
        """Whether both sides are equal."""
        return self.a == self.b

    @property
    def is_single(self) -> bool:
        """Whether only one side has it."""
        return not self.same and bool({self.a, self.b} & _MISSING)

    @property
    def change(self) -> str:
        """By how much the second is more than the first, where both are numbers."""
        try:
            return f"{float(self.b) - float(self.a):+.4g}"
        except ValueError:
            return ""


@dataclass(frozen=True)
class Comparison:
    """All lines, of which those that differ count; `equal` is whether the converted files are the same bytes."""

    a: str
    b: str
    equal: bool
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "a": self.a,
            "b": self.b,
            "equal": self.equal,
            "rows": [{**asdict(row), "same": row.same} for row in self.rows],
        }


@dataclass(frozen=True)
class Side:
    """What is known of one result; what is not at hand is empty."""

    name: str
    file: Path | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    passport: Passport | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """sha256 of the bare converted file, else of whatever file there is."""
        recorded = self.recipe.get("artefact", {}).get("sha256")
        return str(recorded) if recorded else file_sha256(self.file) if self.file else ""


def compare(a: Path, b: Path, settings: Settings) -> Comparison:
    """Compare two results, each given as its archive, bare file, passport or recipe, or the folder that holds one.

    Raises:
        SourceError: there is no result, or several, or its documents are damaged.
    """
    left, right = load(a, settings), load(b, settings)
    rows = [row for section in _SECTIONS for row in section(left, right)]
    equal = bool(left.digest) and left.digest == right.digest
    if left.file and right.file and _kind(left.file) == _kind(right.file):
        places = compare_files(_kind(left.file), left.file, right.file, settings)
        bare = [item for item in places if not _DOCUMENTS.search(item.where)]
        rows += [Row("files", item.where, item.before, item.after) for item in bare]
    return Comparison(str(a), str(b), equal, tuple(rows))


def _kind(file: Path) -> str:
    return "archive" + ARCHIVE if file.name.endswith(ARCHIVE) else f"model{file.suffix}"


def load(path: Path, settings: Settings) -> Side:
    """All that is known of a result.

    Raises:
        SourceError: there is no result, or its documents are damaged.
    """
    folder, stem = _result_of(path)
    files = [file for file in _files_of(folder, stem) if not file.name.endswith(_ENDINGS[1:])]
    file = path if path in files else next(iter(sorted(files, key=lambda item: not item.name.endswith(ARCHIVE))), None)
    inside = _inside(file, settings) if file and file.name.endswith(ARCHIVE) else {}
    recipe = folder / f"{stem}.recipe.yaml"
    text = recipe.read_bytes() if recipe.is_file() else inside.get(read.NAME)
    side = Side(
        name=stem,
        file=file,
        recipe=read.parse(text, recipe.name) if text else {},
        passport=_passport(folder / f"{stem}.passport.json"),
        config=_read(inside.get("config.json", b"{}"), f"{path.name}: config.json"),
        build=_read(inside.get("buildinfo.json", b"{}"), f"{path.name}: buildinfo.json"),
    )
    if not (side.recipe or side.passport or side.config):
        raise SourceError(f"{path} is no result of a conversion", subject=str(path), remedy=_REMEDY)
    return side


def _result_of(path: Path) -> tuple[Path, str]:
    """The folder of a result, and the beginning that its files' names share."""
    if path.is_dir():
        stems = {_stem(file) for file in path.iterdir() if file.name.endswith(_ENDINGS[:3])}
        if len(stems) != 1:
            said = f"holds {len(stems)} results ({', '.join(sorted(stems)[:5])})" if stems else "holds no result"
            raise SourceError(f"{path} {said}", subject=str(path), remedy=_REMEDY)
        return path, stems.pop()
    if not path.is_file():
        raise SourceError(f"{path} does not exist", subject=str(path), remedy=_REMEDY)
    return path.parent, _stem(path)


def _stem(file: Path) -> str:
    ending = next((ending for ending in _ENDINGS if file.name.endswith(ending)), file.suffix)
    return file.name.removesuffix(ending)


def _files_of(folder: Path, stem: str) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.is_file() and _stem(file) == stem)


def _inside(archive: Path, settings: Settings) -> dict[str, bytes]:
    """The text documents in an archive."""
    if not holds_tar(archive):
        raise SourceError(f"{archive.name} is no NN Archive, or damaged", subject=str(archive), remedy=_REMEDY)
    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        files = unpack(archive, Path(folder) / "archive", settings)
        small = [file for file in files if file.suffix in (".json", ".yaml") and file.stat().st_size <= read.LARGEST]
        return {file.name: file.read_bytes() for file in small}


def _passport(path: Path) -> Passport | None:
    if not path.is_file():
        return None
    document = _read(path.read_bytes(), path.name)
    try:
        return report.read(document)
    except ValueError as error:
        raise SourceError(f"{path.name} is no accuracy passport", subject=path.name, remedy=_REMEDY) from error


def _read(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{name} is no JSON: {error}", subject=name, remedy=_REMEDY) from error
    if not isinstance(found, dict):
        raise SourceError(f"{name} is no document of a result", subject=name, remedy=_REMEDY)
    return found


def _spec(a: Side, b: Side) -> Iterator[Row]:
    yield from _rows("spec", {"source": _source(a)}, {"source": _source(b)})
    yield from _differing("spec", *(_asked(side) for side in (a, b)))
    yield from _differing("spec", *(_by_name(side.recipe.get("inputs", []), "input") for side in (a, b)))
    yield from _differing("spec", *(_calibration(side) for side in (a, b)))


def _asked(side: Side) -> dict[str, Any]:
    """The parameters, but for the inputs: of those, what was decided counts; names of classes stand in the heads."""
    asked = {key: value for key, value in side.recipe.get("spec", {}).items() if key != "inputs"}
    names = asked.get("class_names")
    return {**asked, "class_names": in_words(names)} if isinstance(names, list) else asked


def _source(side: Side) -> str:
    source = side.recipe.get("source", {})
    return f"{source.get('name', '?')}, sha256 {str(source.get('sha256', '?'))[:16]}"


def _calibration(side: Side) -> dict[str, Any]:
    """The calibration in short: its hundreds of digests as one."""
    recorded = side.recipe.get("calibration", {})
    short = {key: value for key, value in recorded.items() if key not in ("names", "sha256", "search")}
    return {"calibration": {**short, "list of images": _digest(recorded.get("sha256"))}} if recorded else {}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _tools(a: Side, b: Side) -> Iterator[Row]:
    yield from _differing("tools", *(_tools_of(side) for side in (a, b)))


def _tools_of(side: Side) -> dict[str, Any]:
    recipe = side.recipe
    chains = {f"toolchain {item['name']}": item for item in recipe.get("toolchains", [])}
    versions = {key: value for key, value in side.build.items() if key.endswith("_version")}
    return {
        "oakmill": recipe.get("oakmill"),
        "code": recipe.get("code"),
        **chains,
        **recipe.get("packages", {}),
        **versions,
    }


def _size(a: Side, b: Side) -> Iterator[Row]:
    sizes = [side.file.stat().st_size if side.file else 0 for side in (a, b)]
    if all(sizes):
        yield Row("size", "result", f"{sizes[0]} bytes", f"{sizes[1]} bytes ({sizes[1] / sizes[0] - 1:+.1%})")


def _graph(a: Side, b: Side) -> Iterator[Row]:
    yield from _differing("graph", *(_ports(side) for side in (a, b)))
    yield from _heads(a, b)
    for key in ("kind", "stages"):
        values = [str(_vendor_reader(side).get(key, "?")) for side in (a, b)]
        yield Row("graph", key, *values)


def _vendor_reader(side: Side) -> Mapping[str, Any]:
    return side.passport.vendor_reader if side.passport else {}


def _ports(side: Side) -> dict[str, Any]:
    """The inputs and outputs: as the archive's config has them, else as the vendor's reader did."""
    model = side.config.get("model") or _vendor_reader(side)
    found = {}
    for kind in ("input", "output"):
        found.update(_by_name(model.get(f"{kind}s") or [], kind))
    return found


def _heads(a: Side, b: Side) -> Iterator[Row]:
    """What the archives say that their outputs mean, where that differs; of many classes' names the first that do."""
    left, right = ((side.config.get("model") or {}).get("heads") or [] for side in (a, b))
    for place, (one, other) in enumerate(zip_longest(left, right, fillvalue=None)):
        name = f"head {place}"
        if one is None or other is None:
            yield Row("graph", name, *(_parser_of(head) for head in (one, other)))
            continue
        first, second = (dict(head.get("metadata") or {}) for head in (one, other))
        classes = [list(map(str, metadata.pop("classes", None) or [])) for metadata in (first, second)]
        yield from _differing("graph", {name: {**one, "metadata": first}}, {name: {**other, "metadata": second}})
        yield from _class_names(name, *classes)


def _parser_of(head: Mapping[str, Any] | None) -> str:
    return str(head.get("parser", "?")) if head is not None else "-"


def _class_names(head: str, a: Sequence[str], b: Sequence[str]) -> Iterator[Row]:
    if len(a) != len(b):
        yield Row("graph", f"{head}.classes", in_words(a) or "-", in_words(b) or "-")
        return
    apart = [place for place, (one, other) in enumerate(zip(a, b, strict=True)) if one != other]
    for place in apart[:CLASSES]:
        yield Row("graph", f"{head}.classes.{place}", a[place], b[place])


def _by_name(items: Any, kind: str) -> dict[str, Any]:
    return {f"{kind} {item['name']}": {k: v for k, v in item.items() if k != "name"} for item in items}


def _accuracy(a: Side, b: Side) -> Iterator[Row]:
    """Every number of every check that either side has, equal or not."""
    yield from _rows("accuracy", dict(_numbers(a)), dict(_numbers(b)))


def _numbers(side: Side) -> Iterator[tuple[str, str]]:
    passport = side.passport
    if passport is None:
        return
    yield "verdict", passport.verdict.value
    yield "images", f"{len(passport.images.names)} ({passport.images.source})"
    for check in passport.checks:
        for output in check.outputs:
            for key in ("snr_db", "cosine", "max_abs", "top1"):
                if getattr(output, key) is not None:
                    yield f"{check.name}: {output.name}: {key}", _number(getattr(output, key))
        for task in check.tasks:
            for key, metric in task.metrics.items():
                yield f"{check.name}: {task.name}: {key}", _number(metric.value)
    if passport.findings:
        yield "findings", "; ".join(sorted(finding.title for finding in passport.findings))


def _number(value: float) -> str:
    return "not measured" if math.isnan(value) else f"{value:.4g}"


def _differing(section: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Row]:
    left, right = dict(fields(a)), dict(fields(b))
    return (row for row in _rows(section, left, right) if not row.same)


def _rows(section: str, a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[Row]:
    for key in dict.fromkeys((*a, *b)):
        if key:
            yield Row(section, key, a.get(key, "-"), b.get(key, "-"))


_SECTIONS = (_spec, _tools, _size, _graph, _accuracy)
