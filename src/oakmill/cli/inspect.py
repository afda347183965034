"""`oakmill inspect`: what a model is, source or converted: its tensors, operators, head and versions."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oakmill.cli.listing import print_facts, print_rows, size_of

if TYPE_CHECKING:
    from oakmill.model.sniff import Finding
    from oakmill.model.source import SourceModel, Tensor
    from oakmill.settings import Settings

_SHOWN = 12
"""Operators and names of classes that people are shown; programs get all."""


@click.command(context_settings={"max_content_width": 110})
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def command(model: Path, as_json: bool) -> None:
    """Say what MODEL is: its format, inputs, outputs, operators, head and versions.

    MODEL is a source (ONNX, OpenVINO IR, TFLite, TorchScript, an NN Archive) or a converted file, bare or in its NN
    Archive; `oakmill verify` looks at those more closely.
    """
    from oakmill.settings import current

    with tempfile.TemporaryDirectory(prefix="oakmill-") as folder:
        found = look(model, Path(folder), current())
    if as_json:
        click.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _show(found)


def look(path: Path, work: Path, settings: Settings) -> dict[str, Any]:
    """All that is known of a file, as plain data.

    Raises:
        NotAModel, BrokenModel, UnsafeSource: it is none, damaged or hostile.
        UnsupportedModel: it is a model that cannot be read here.
    """
    from oakmill.model import open_source
    from oakmill.model.nn_archive import look_into
    from oakmill.model.sniff import identify
    from oakmill.model.source import SourceFormat

    seen, config = identify(path), None
    if seen.format is SourceFormat.NN_ARCHIVE:
        config, seen = look_into(path, work / "archive", settings)
    if seen.compiled:
        return _of_compiled(path, seen, config or {})
    return _of_source(open_source(path, work / "source", settings), settings)


def _of_compiled(path: Path, seen: Finding, config: Mapping[str, Any]) -> dict[str, Any]:
    model = config.get("model") or {}
    return {
        "file": path.name,
        "format": seen.what.removeprefix("an already compiled "),
        "platform": seen.compiled,
        "bytes": path.stat().st_size,
        "name": (model.get("metadata") or {}).get("name", ""),
        "inputs": [_stated(item) for item in model.get("inputs") or []],
        "outputs": [_stated(item) for item in model.get("outputs") or []],
        "heads": list(model.get("heads") or []),
    }


def _stated(item: Mapping[str, Any]) -> dict[str, Any]:
    takes = (item.get("preprocessing") or {}).get("dai_type")
    return {**{key: item.get(key) for key in ("name", "shape", "dtype", "layout")}, "takes": takes}


def _of_source(source: SourceModel, settings: Settings) -> dict[str, Any]:
    import onnx

    from oakmill.model.source import SourceFormat

    graph = onnx.load(source.graph, load_external_data=False) if source.format is SourceFormat.ONNX else None
    return {
        "file": source.files[0].name,
        "format": source.format.value,
        "bytes": source.size,
        "sha256": source.sha256,
        "name": source.name,
        "files": [path.name for path in source.files],
        "producer": source.producer,
        "opset": source.opset,
        "opsets": {item.domain or "ai.onnx": item.version for item in graph.opset_import} if graph else {},
        "ir_version": graph.ir_version if graph else source.ir_version,
        "inputs": [_tensor(item) for item in source.inputs],
        "outputs": [_tensor(item) for item in source.outputs],
        "operators": dict(_operators(source, graph, settings)),
        "parameters": sum(_elements(item) for item in graph.graph.initializer) if graph else None,
        "archive": source.archive is not None,
        **_head(source, graph),
        "metadata": dict(source.metadata),
    }


def _tensor(item: Tensor) -> dict[str, Any]:
    from oakmill.conversion.inputs import guess_layout

    fixed = [size if isinstance(size, int) else 0 for size in item.shape]
    return {"name": item.name, "shape": list(item.shape), "dtype": item.dtype, "layout": guess_layout(fixed)}


def _operators(source: SourceModel, graph: Any, settings: Settings) -> list[tuple[str, int | None]]:
    """Each operator of an ONNX and how often it is there, the most frequent first; of others their names alone."""
    from oakmill.preflight.formats import operations_of

    if graph is not None:
        return [*Counter(node.op_type for node in graph.graph.node).most_common()]
    return [(name, None) for name in sorted(operations_of(source, settings))]


def _elements(tensor: Any) -> int:
    count = 1
    for size in tensor.dims:
        count *= size
    return count


def _head(source: SourceModel, graph: Any) -> dict[str, Any]:
    """What the outputs mean: by the archive's own words, else as they are recognised."""
    from oakmill.untrusted.model import recognised

    model = (source.archive or {}).get("model") or {}
    found = recognised(source, graph)
    known = found.model_dump(mode="json") if found else None
    return {"heads": list(model.get("heads") or []), "recognised": known}


def _show(found: Mapping[str, Any]) -> None:
    opsets = ", ".join(f"{domain} {version}" for domain, version in (found.get("opsets") or {}).items())
    operators = [f"{name} x {count}" if count else name for name, count in (found.get("operators") or {}).items()]
    print_facts(
        {
            "file": found["file"],
            "format": found["format"],
            "platform": str(found.get("platform") or "").upper(),
            "size": size_of(found["bytes"]),
            "sha256": found.get("sha256"),
            "name": found["name"],
            "beside it": (found.get("files") or [])[1:],
            "producer": found.get("producer"),
            "opset": opsets or found.get("opset"),
            "IR version": found.get("ir_version"),
            "parameters": f"{found['parameters']:,}" if found.get("parameters") else None,
            "operators": [
                *operators[:_SHOWN],
                *([f"{len(operators) - _SHOWN} more"] if len(operators) > _SHOWN else []),
            ],
            "head": list(_heads_in_words(found)),
        }
    )
    for kind in ("inputs", "outputs"):
        rows = [{kind[:-1]: item["name"], **{key: item[key] for key in item if key != "name"}} for item in found[kind]]
        if rows:
            click.echo()
            print_rows([{**row, "shape": _sizes(row["shape"])} for row in rows], as_json=False)


def _sizes(shape: list[Any] | None) -> str:
    return " x ".join("?" if size is None else str(size) for size in shape or ())


def _heads_in_words(found: Mapping[str, Any]) -> Iterator[str]:
    for head in found["heads"]:
        classes = (head.get("metadata") or {}).get("classes") or []
        yield f"{head.get('parser')} of {len(classes)} classes" if classes else str(head.get("parser"))
    if known := found.get("recognised"):
        seen = f" ({known['seen']})" if known["seen"] else ""
        yield f"{known['words'] or 'by its exporter'}: {known['sure']}{seen}"
        if known["classes"]:
            names = ", ".join(known["names"][:_SHOWN])
            yield f"{known['classes']} classes{f': {names}' if names else ''}"
