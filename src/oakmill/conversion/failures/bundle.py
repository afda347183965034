"""Packs the evidence of a failure into one zip that may be shown to others: no weights, no images, no paths."""

from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from oakmill.conversion.failures.facts import Graph, SourceFacts, graph_of
from oakmill.conversion.failures.failure import Failure
from oakmill.conversion.failures.stripping import strip
from oakmill.errors import OutputError
from oakmill.settings import Settings
from oakmill.spec import ConversionSpec
from oakmill.toolchains.machine import examine

ENDING = ".debug.zip"
_UNOPENED = ("UnsafeSource", "NotAModel")

README = """\
The evidence of a conversion by Oakmill that failed.

failure.json   what failed, where, why, and the remedies
log.txt        the tool's log, its last 64 kB at most, or where Oakmill itself failed
spec.json      what was asked
effective.json all parameters, those that nobody gave among them
events.jsonl   what the conversion told before, where that is known
machine.json   versions, toolchains, sandbox and settings, as `oakmill doctor` shows them
model.*        the source model without its weights: their shapes and types are there, their values are not;
               integers that say shapes and axes are kept, for they decide what fails

There are no images in here, and paths are cut to their last part.
"""


def write(
    target: Path,
    failure: Failure,
    *,
    settings: Settings,
    model: Path | None = None,
    events: Sequence[Mapping[str, Any]] = (),
    log: str = "",
    spec: ConversionSpec | None = None,
) -> Path:
    """Write the bundle of a failure, in the place of an older one.

    Args:
        target: the zip to write; its folder is made.
        failure: as `explain` gives it.
        settings: of the conversion.
        model: the source, of which the graph is put in without its weights; not where it is unsafe to open.
        events: what the conversion told, as plain data.
        log: all of the tool's log that is at hand; by default the lines that the failure shows.
        spec: what was asked, of which the parameters that nobody gave are told too.

    Raises:
        OutputError: it cannot be written.
    """
    opened = model if failure.code not in _UNOPENED else None
    facts = SourceFacts.read(opened, settings) if opened else SourceFacts()
    clean = _Cleaner(settings, model, facts)
    documents = {
        "README.txt": README,
        "failure.json": _json(clean.data(failure.model_dump(mode="json"))),
        "log.txt": clean.text(log.strip() or "\n".join(failure.log)) + "\n",
        "spec.json": _json(clean.data(failure.spec)),
        **({"effective.json": _json(clean.data(spec.model_dump(mode="json")))} if spec else {}),
        "events.jsonl": "".join(json.dumps(clean.data(dict(event)), ensure_ascii=False) + "\n" for event in events),
        "machine.json": _json(clean.data(examine(settings))),
    }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in documents.items():
                archive.writestr(name, text)
            for name, data in _model(opened, settings):
                archive.writestr(name, data)
    except OSError as error:
        raise OutputError(
            f"the debug bundle cannot be written: {error.strerror}",
            subject=str(target),
            remedy="name another file with --debug-bundle",
        ) from error
    return target


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, default=str) + "\n"


def _model(model: Path | None, settings: Settings) -> Iterator[tuple[str, bytes]]:
    """The graph without weights, or what little can be said of a file that is none."""
    if model is None:
        return
    with graph_of(model, settings) as graph:
        found = list(_graph(graph))
    size = model.stat().st_size if model.is_file() else None
    yield from found or [("model.txt", f"{model.name}: {size} bytes; its graph cannot be read or shown\n".encode())]


def _graph(graph: Graph) -> Iterator[tuple[str, bytes]]:
    if graph.onnx is not None:
        yield "model.onnx", strip(graph.onnx).SerializeToString()
    elif graph.ir is not None:  # the weights are in the .bin
        yield "model.xml", ElementTree.tostring(graph.ir)


class _Cleaner:
    """Takes paths of this machine and passwords in addresses out of texts; names of the model's nodes stay."""

    def __init__(self, settings: Settings, model: Path | None, facts: SourceFacts) -> None:
        folders = [Path.home(), Path.cwd(), Path(tempfile.gettempdir()), settings.home]
        folders += [model.absolute().parent] if model else []
        tops = {part for folder in folders for part in folder.parts[1:2]} | set(_listed("/"))
        self._path = re.compile(rf"(?<![\w.])/(?:{'|'.join(map(re.escape, sorted(tops)))})(?:/[^\s\"'`,;:()<>]*)?")
        self._names = {*facts.nodes, *facts.tensors, *facts.inputs}

    def text(self, text: str) -> str:
        """A text without paths and passwords."""
        shown = re.sub(r"://[^/@\s]+@", "://", text)
        return self._path.sub(lambda found: self._cut(found[0]), shown)

    def _cut(self, path: str) -> str:
        return path if path in self._names else f"<path>/{Path(path).name}"

    def data(self, value: Any) -> Any:
        """Plain data, all of its texts cleaned."""
        return _mapped(value, self.text)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are wanted, not paths
    except OSError:
        return []


_SECRET = re.compile(r"secret|password|token|credential|_key", re.IGNORECASE)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str | Path):
        return change(str(value))
    if isinstance(value, Mapping):
        return {
            change(str(key)): "<hidden>" if _SECRET.search(str(key)) else _mapped(item, change)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_mapped(item, change) for item in value]
    return value
