"""How a severity looks on a terminal: the same mark and colour for it in every command."""

from __future__ import annotations

from collections.abc import Mapping

from oakmill.findings import Severity

MARKS: Mapping[Severity, str] = {Severity.OK: "✓", Severity.NOTE: "i", Severity.WARNING: "!", Severity.ERROR: "✗"}
COLOURS: Mapping[Severity, str] = {
    Severity.OK: "green",
    Severity.NOTE: "cyan",
    Severity.WARNING: "yellow",
    Severity.ERROR: "red",
}


def marked(severity: Severity) -> str:
    """Its mark in its colour, in rich's markup."""
    return f"[{COLOURS[severity]}]{MARKS[severity]}[/]"


def named(severity: Severity) -> str:
    """Its name in its colour, in rich's markup."""
    return f"[{COLOURS[severity]}]{severity}[/]"
