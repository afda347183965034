"""Writes the classes' names that are given into the heads of a source, and tells where they do not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from oakmill.errors import SpecError
from oakmill.findings import Finding, Severity
from oakmill.heads.families.texts import BLANK, SPACE
from oakmill.model.source import SourceModel

SHOWN = 5
"""Names that are listed where something is told of many."""


def named(
    source: SourceModel, names: Sequence[str], told: Sequence[Finding] = ()
) -> tuple[SourceModel, tuple[Finding, ...]]:
    """The source whose heads have these names, where they have classes; and all that is told of its heads.

    Args:
        source: with the heads that its archive declares, or that were recognised.
        names: what is given; nothing changes without any.
        told: what is told of the heads already; that the file names no classes is nothing to tell then.

    Raises:
        SpecError: there are not as many names as a head has classes.
    """
    heads: list[Mapping[str, Any]] = ((source.archive or {}).get("model") or {}).get("heads") or []
    of_classes = [head for head in heads if classes_of(head)]
    if not names:
        return source, tuple(told)
    told = [item for item in told if item.code != "class_names_missing"]
    for head in of_classes:
        _require(head, _of_head(head, names))
    told += _twice(names)
    if not of_classes or source.archive is None:
        return source, (*told, _unused(names, heads))
    changed = [_with_names(head, _of_head(head, names)) if classes_of(head) else head for head in heads]
    return replace(source, archive={**source.archive, "model": {**source.archive["model"], "heads": changed}}), tuple(
        told
    )


def classes_of(head: Mapping[str, Any]) -> int:
    """How many classes a head has; 0 where it has none, or does not say."""
    metadata = head.get("metadata") or {}
    return int(metadata.get("n_classes") or len(metadata.get("classes") or ()))


def _with_names(head: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {**head, "metadata": {**head["metadata"], "classes": [*names], "n_classes": len(names)}}


def _of_head(head: Mapping[str, Any], names: Sequence[str]) -> Sequence[str]:
    """The names as a head has them: of a text's characters, CTC's blank stands before them, maybe a space behind."""
    blank = head.get("parser") == "ClassificationSequenceParser" and head["metadata"].get("ignored_indexes") == [0]
    missing = classes_of(head) - len(names)
    return (BLANK, *names, SPACE)[: classes_of(head)] if blank and missing in (1, 2) else names


def _require(head: Mapping[str, Any], names: Sequence[str]) -> None:
    wanted = classes_of(head)
    if wanted != len(names):
        raise SpecError(
            f"--classes names {len(names)} classes, and the head {head.get('parser')!r} of the model has {wanted}",
            subject="--classes",
            remedy=f"give {wanted} names, in the order in which the model was trained; or omit --classes",
        )


def _unused(names: Sequence[str], heads: Sequence[Any]) -> Finding:
    what = "none of its heads has classes" if heads else "it has no head, and none is recognised"
    return Finding(
        "class_names_unused", Severity.WARNING,
        f"the names of {len(names)} classes are given, and the model has no place for them: {what}",
        "class names are not written", remedy="declare a head with classes in an NN Archive of the source",
    )  # fmt: skip


def _twice(names: Sequence[str]) -> tuple[Finding, ...]:
    """Two classes of one name cannot be told apart by those who read names; ImageNet has two pairs of them."""
    counted = [name for name, count in Counter(names).items() if count > 1]
    if not counted:
        return ()
    listed = ", ".join(map(repr, counted[:SHOWN])) + (" and more" if len(counted) > SHOWN else "")
    return (
        Finding(
            "class_names_twice", Severity.NOTE,
            f"{len(counted)} of {len(names)} class names stand for several classes: {listed}",
            "class names come twice", remedy="correct the list where that was not meant",
        ),
    )  # fmt: skip
