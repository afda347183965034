"""Keeps of an NN Archive's heads those whose outputs the network still has, and tells of the others.

DepthAI's parsers look a head's outputs up by name on the camera; one that is not there is an error only then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from oakmill.findings import Finding, Severity
from oakmill.heads.outputs import named
from oakmill.model.source import SourceModel


def fitting(source: SourceModel, outputs: Collection[str]) -> tuple[SourceModel, tuple[Finding, ...]]:
    """The source without the heads that name an output which the network does not have, and a finding for each.

    Args:
        source: with the config of its NN Archive, if it came in one.
        outputs: the names of the network's outputs, as it is ended now.
    """
    heads = ((source.archive or {}).get("model") or {}).get("heads") or []
    own = [tensor.name for tensor in source.outputs]
    missing = [[name for name in named(head) or own if name not in outputs] for head in heads]
    if not source.archive or not any(missing):
        return source, ()
    kept = [head for head, names in zip(heads, missing, strict=True) if not names]
    archive = {**source.archive, "model": {**source.archive["model"], "heads": kept}}
    told = tuple(_told(head, names, own) for head, names in zip(heads, missing, strict=True) if names)
    return replace(source, archive=archive), told


def _told(head: Mapping[str, Any], names: list[str], own: Collection[str]) -> Finding:
    """A head of outputs that a cut removed is only noted; one of outputs that never were is an error of the archive."""
    parser, listed = head.get("parser") or head.get("name") or "head", ", ".join(map(repr, names))
    if all(name in own for name in names):
        return Finding(
            "head_cut", Severity.NOTE,
            f"the head {parser!r} needs {listed}, which the network ends before: it is not in the new NN Archive",
            "a head is dropped", remedy="keep its outputs, or write a head for the new ones", subject=parser,
        )  # fmt: skip
    unknown = ", ".join(repr(name) for name in names if name not in own)
    return Finding(
        "head_unknown_output", Severity.WARNING,
        f"the archive's head {parser!r} names {unknown}, and the model's outputs are {', '.join(map(repr, own))}: it "
        "is not in the new NN Archive, as DepthAI would look for them on the camera", "a head names no output",
        remedy="correct the names in the source archive's config.json", subject=parser,
    )  # fmt: skip
