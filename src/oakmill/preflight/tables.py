"""The measured tables of operators: what became of one-operator models in each toolchain."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from oakmill.preflight.variants import Variant

FOLDER = Path(__file__).parent / "coverage"

OK, POOR, WRONG, REFUSED, FAILED, CRASHED, MIXED = "ok", "poor", "wrong", "refused", "failed", "crashed", "mixed"
BAD = frozenset({WRONG, REFUSED, FAILED, CRASHED})


@dataclass(frozen=True)
class Outcome:
    """What became of a variant at an opset: a word, and why, in the tool's words; `mixed` is both good and bad."""

    word: str
    reason: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether no model of it was converted rightly."""
        return self.word in BAD


@dataclass(frozen=True)
class Answer:
    """What a table says of a variant: `exact` where this very one was measured at this opset.

    `sure` is whether it can be relied on: of a variant that was not measured, whether all that make it up was.
    """

    outcome: Outcome
    exact: bool
    tried: int = 1
    sure: bool = True


USUAL = "float32"
"""What is computed with where a tensor's type is not known."""


def _is_likely_good(variant: Variant, known: Mapping[Variant, Outcome]) -> bool:
    """Whether each detail of the variant was seen to convert, on its type of numbers, and no part of it to fail.

    A variant is made up of its details: one that was not measured is likely good where every detail is among those of
    variants that are, and none that failed has no other details than it. Where its rank is not known, what failed on
    some ranks alone does not count.
    """
    wanted, dtype = variant.parts, variant.dtype or USUAL
    same_type = [(item, found) for item, found in known.items() if item.dtype == dtype]
    good = {item.parts for item, found in same_type if not found.is_bad and found.word != MIXED}
    bad = {item.parts for item, found in same_type if found.is_bad or found.word == MIXED}
    if not variant.tensors.endswith("-D"):
        bad -= good
    return bool(good) and wanted <= frozenset().union(*good) and not any(parts <= wanted for parts in bad)


class Table:
    """The measured operators of one toolchain, in its modes (number formats)."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.platform: str = document["platform"]
        self.toolchain: str = document["toolchain"]
        self.first_opset: int = document["opsets"][0]
        self.last_opset: int = document["opsets"][1]
        self.modes: tuple[str, ...] = tuple(document["modes"])
        self.cases: int = document["cases"]
        self._outcomes = [Outcome(word, reason) for word, reason in document["outcomes"]]
        self._rows: dict[str, dict[Variant, Mapping[str, str]]] = {}
        measured = (
            (op, details, one, modes)
            for op, modes, alike in document["rows"]
            for details, tensors in alike.items()
            for one in tensors
        )
        for op, details, one, modes in sorted(measured, key=lambda row: row[:3]):
            self._rows.setdefault(op, {})[Variant(op, details, one)] = modes

    def variants(self) -> Iterable[tuple[Variant, Mapping[str, Mapping[int, Outcome]]]]:
        """All variants and their outcomes by mode and opset."""
        for rows in self._rows.values():
            for variant, modes in rows.items():
                yield variant, {mode: self._by_opset(modes.get(mode, "")) for mode in self.modes}

    def of_operator(self, op: str, mode: str) -> list[Outcome]:
        """The outcomes of all of an operator's variants, at the newest opset that each was measured at."""
        by_opset = (self._by_opset(modes.get(mode, "")) for modes in self._rows.get(op, {}).values())
        return [found[max(found)] for found in by_opset if found]

    def ask(self, variant: Variant, opset: int, mode: str) -> Answer | None:
        """What is known of a variant; None where its operator was never tried.

        Where this very variant was not measured at this opset, the answer is of those most like it: itself at another
        opset, else those of the same details, else all of its operator. It is bad only if all of them were, and good
        for sure only as `_is_likely_good` says.
        """
        rows = self._rows.get(variant.op, {})
        near = min(max(opset, self.first_opset), self.last_opset)
        if variant in rows and (found := self._at(rows[variant], near, mode)):
            return Answer(found, exact=near == opset, sure=found.word != MIXED)
        known = {item: found for item, modes in rows.items() if (found := self._near(modes, near, mode))}
        for alike in (
            [known[variant]] if variant in known else [],
            [found for item, found in known.items() if item.details == variant.details],
            list(known.values()),
        ):
            bad = [found for found in alike if found.is_bad]
            if alike and len(bad) == len(alike):
                return Answer(bad[0], exact=False, tried=len(alike))
            if alike:
                sure = variant in known or _is_likely_good(variant, known)
                return Answer(Outcome(OK), exact=False, tried=len(alike), sure=sure)
        return None

    def _near(self, modes: Mapping[str, str], opset: int, mode: str) -> Outcome | None:
        """The outcome at an opset, else at the next one that was measured."""
        by_opset = self._by_opset(modes.get(mode, ""))
        return by_opset[min(by_opset, key=lambda one: abs(one - opset))] if by_opset else None

    def _at(self, modes: Mapping[str, str], opset: int, mode: str) -> Outcome | None:
        return self._by_opset(modes.get(mode, "")).get(opset)

    def _by_opset(self, text: str) -> dict[int, Outcome]:
        """Of `11-12:3 13-20:0`: the outcome's number by opset."""
        found = {}
        for part in text.split():
            span, _, number = part.partition(":")
            first, _, last = span.partition("-")
            found.update(dict.fromkeys(range(int(first), int(last or first) + 1), self._outcomes[int(number)]))
        return found


@lru_cache
def tables() -> Mapping[str, Table]:
    """All tables by platform."""
    found = (Table(json.loads(path.read_text())) for path in sorted(FOLDER.glob("*.json")))
    return {table.platform: table for table in found}
