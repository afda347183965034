"""Whatever is told to a person about a file, a set, a spec or a result: one kind of finding, one scale of severity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad it is, in the words that people meet everywhere: pages, command line, JSON.

    ok: fit to use. note: good to know. warning: look closer, the result may disappoint. error: it fails, or is wrong.
    """

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for ok, up to 3 for error."""
        return list(Severity).index(self)


_EARLIER = {
    **dict.fromkeys(("pass", "green", "yes"), Severity.OK),
    "info": Severity.NOTE,
    **dict.fromkeys(("warn", "amber", "with warnings"), Severity.WARNING),
    **dict.fromkeys(("fail", "red", "no"), Severity.ERROR),
}


def severity_of(word: str) -> Severity:
    """A severity by its word, or by one that documents written before there was one scale have for it.

    Raises:
        ValueError: it is none of them.
    """
    return _EARLIER.get(word) or Severity(word)


def words_of(severity: Severity) -> tuple[str, ...]:
    """Every word that documents of any version have for it."""
    return (severity.value, *(word for word, found in _EARLIER.items() if found is severity))


def worst_of(severities: Iterable[Severity]) -> Severity:
    """The worst of several; ok where there are none, or nothing but notes."""
    worst = max(severities, key=lambda item: item.rank, default=Severity.OK)
    return Severity.OK if worst is Severity.NOTE else worst


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    `code` is its name for programs; `title` a few words, `message` what was seen, `remedy` what helps. `subject` is
    the node, input, output or file that it is about, `others` those that it is about too. `evidence` has the numbers.
    """

    code: str
    severity: Severity
    message: str
    title: str = ""
    remedy: str = ""
    subject: str = ""
    others: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


def finding_of(document: Mapping[str, Any]) -> Finding:
    """A finding out of stored JSON; also one that was written before there was one kind of finding.

    Raises:
        KeyError, ValueError: it is none.
    """
    earlier = {"op": document["op"]} if document.get("op") else {}
    return Finding(
        document["code"],
        severity_of(document.get("severity") or document["level"]),
        document["message"],
        document.get("title", ""),
        document.get("remedy", ""),
        document.get("subject", document.get("node", "")),
        tuple(document.get("others", ())),
        document.get("evidence", earlier),
    )


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sorted by severity, in their order otherwise."""
    return tuple(sorted(findings, key=lambda item: -item.severity.rank))
