"""Writes what was measured as the compact table that the preflight reads."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from making import EARLY, OPSETS, Case
from onnx import ModelProto

from oakmill.preflight.graph import Facts
from oakmill.preflight.tables import BAD, FOLDER, MIXED, OK, POOR, tables
from oakmill.preflight.variants import variant_of

ABOUT = (
    "Made by bench/coverage/measure.py; do not edit. One-operator models at opsets 11 to 20 went through the product's "
    "own stages (prepare, quantize, compile in the toolchain's sandbox), and what compiled was run on the host "
    "(RVC2 and RVC3: OpenVINO's CPU plugin; RVC4: Qualcomm's emulated processor) and compared with onnxruntime. No "
    "device was asked. rows: [operator, {mode: 'opsets:outcome ...'}, {attributes that matter: [type and rank]}]; an "
    "outcome's number is its place in outcomes. ok: converted and equal. poor: equal to its simulation, but 8 bits "
    "leave little. "
    "wrong: compiled, computes something else. refused: by prepare or a check. failed: the compiler refused. crashed: "
    "the tool did. mixed: models of one variant differ."
)
_NOISE = (
    (re.compile(r"\s+The compiler says: ", re.DOTALL), " Compiler: "),
    (re.compile(r" ?\(node '[^']*', \w+\)"), ""),
    (re.compile(r"The model cannot be brought from opset \d+ to 16: "), "cannot be brought to opset 16: "),
    (re.compile(r"A node cannot be written in operators that the compiler has: "), ""),
    (re.compile(r"^\w+: "), ""),
    (re.compile(r"RVC4's processor cannot run the node 'one' \([\w.]+\): "), ""),
    (re.compile(r"RVC4's processor cannot run the node '[^']*' \(([\w.]+)\): "), r"\1 in it: "),
    (re.compile(r"\. Nor can it run .*", re.DOTALL), ""),
    (re.compile(r"Failed to compile layer \"[^\"]*\": "), ""),
    (re.compile(r"Check '.*?' failed at \S+:\d+:\s*", re.DOTALL), ""),
    (re.compile(r"While validating ONNX node '<Node\((\w+)\): [^>]*>':\s*", re.DOTALL), ""),
    (re.compile(r"(Const layer Constant)_\d+"), r"\1"),
    (re.compile(r"([A-Z][A-Za-z]+)_\d+\b"), r"\1"),
    (re.compile(r"\w+ 'one'(/\w+)?:? ?"), ""),
    (re.compile(r"\b(one(?= of type| \(|/)|y\d|x\d)(?!\w)(/\w+)?"), "it"),
    (re.compile(r"\s+"), " "),
)
_LONGEST = 200


Key = tuple[str, str, str]
Found = Mapping[Key, Mapping[str, Mapping[int, tuple[str, str]]]]
"""Outcomes by variant, mode and opset."""


def write_table(platform: str, toolchain: str, modes: Iterable[str], count: int, found: Found) -> tuple[Path, Any]:
    """Write a platform's table; returns its path, and how many variants have which outcome at their newest opset."""
    outcomes: dict[tuple[str, str], int] = {}
    rows: dict[str, tuple[str, dict[str, str], dict[str, list[str]]]] = {}
    counts = Counter[str]()
    for (op, details, tensors), by_mode in sorted(found.items()):
        texts = {}
        for mode, by_opset in sorted(by_mode.items()):
            numbers = {opset: outcomes.setdefault(item, len(outcomes)) for opset, item in sorted(by_opset.items())}
            texts[mode] = _spans(numbers)
            counts[f"{mode} {by_opset[max(by_opset)][0]}"] += 1
        _, _, alike = rows.setdefault(json.dumps([op, texts]), (op, texts, {}))
        alike.setdefault(details, []).append(tensors)
    document = {
        "about": ABOUT,
        "platform": platform,
        "toolchain": toolchain,
        "opsets": [EARLY[0], OPSETS[-1]],
        "modes": sorted(modes),
        "cases": count,
    }
    head = json.dumps(document, indent=1, ensure_ascii=False)[:-2]
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{toolchain.replace('/', '-')}.json"
    path.write_text(f'{head},\n "outcomes": {_rows(outcomes)},\n "rows": {_rows(rows.values())}\n}}\n')
    return path, {"variants": len(found), **dict(sorted(counts.items()))}


def stored(platform: str, cases: Mapping[str, Case]) -> Found:
    """What the platform's table says today of variants that the cases still make."""
    table = tables().get(platform)
    made = {key for case in cases.values() for key in variants(case)}
    return {
        (item.op, item.details, item.tensors): {
            mode: {opset: (one.word, one.reason) for opset, one in by_opset.items()}
            for mode, by_opset in by_mode.items()
            if by_opset
        }
        for item, by_mode in (table.variants() if table else ())
        if (item.op, item.details, item.tensors) in made
    }


def to_measure(cases: Mapping[str, Case], only: str, known: Iterable[Key]) -> dict[str, Case]:
    """The cases of whose names a word of `only` is part, or `new`: those that the table does not know; and all others
    that make one of their variants, as a row of the table speaks of all of them."""
    have = set(known)
    wanted = {name for name, case in cases.items() if any(word in name for word in only.split(","))}
    wanted |= {name for name, case in cases.items() if "new" in only.split(",") and not variants(case) <= have}
    shared = {key for name in wanted for key in variants(cases[name])}
    return {name: case for name, case in cases.items() if variants(case) & shared}


_KEPT: dict[str, frozenset[Key]] = {}


def variants(case: Case) -> frozenset[Key]:
    """Those that a case makes at its opsets."""
    if case.name not in _KEPT:
        _KEPT[case.name] = frozenset(map(variant_key, filter(None, map(case.model, case.opsets))))
    return _KEPT[case.name]


def variant_key(model: ModelProto) -> Key:
    """The variant that a case's model is about."""
    found = variant_of(next(node for node in model.graph.node if node.name == "one"), Facts(model))
    return found.op, found.details, found.tensors


def _rows(items: Iterable[Any]) -> str:
    """A JSON list with one line for each item."""
    return "[\n" + ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in items) + "\n ]"


def merged(cases: Mapping[str, Case], answers: Mapping[str, Any]) -> dict[Key, Any]:
    """Outcomes by variant, mode and opset; several cases of one variant are one row."""
    found: dict[Key, dict[str, dict[int, list[tuple[str, str]]]]] = {}
    for name, case in cases.items():
        for opset in case.opsets:
            model = case.model(opset)
            if model is None:
                continue
            key = variant_key(model)
            for mode, (word, reason) in answers[name][str(opset)].items():
                by_opset = found.setdefault(key, {}).setdefault(mode, {})
                by_opset.setdefault(opset, []).append((word, tidy(reason)))
    return {
        key: {mode: {opset: _joined(items) for opset, items in by_opset.items()} for mode, by_opset in by_mode.items()}
        for key, by_mode in found.items()
    }


def _joined(items: list[tuple[str, str]]) -> tuple[str, str]:
    """Of several: what all are; good where some are poor; mixed where some are bad."""
    bad = [item for item in items if item[0] in BAD]
    if not bad:
        return items[0] if all(word == POOR for word, _ in items) else (OK, "")
    return bad[0] if len(bad) == len(items) else (MIXED, bad[0][1])


def tidy(reason: str) -> str:
    """A reason in words that are no longer about a model of one operator."""
    for pattern, words in _NOISE:
        reason = pattern.sub(words, reason)
    reason = reason.strip(" .")
    return reason if len(reason) <= _LONGEST else reason[: _LONGEST - 1].rsplit(" ", 1)[0] + "…"


def _spans(numbers: Mapping[int, int]) -> str:
    parts: list[list[int]] = []
    for opset, number in numbers.items():
        if parts and parts[-1][2] == number and parts[-1][1] == opset - 1:
            parts[-1][1] = opset
        else:
            parts.append([opset, opset, number])
    return " ".join(
        f"{first}-{last}:{number}" if last > first else f"{first}:{number}" for first, last, number in parts
    )
