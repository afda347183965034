"""Edits of a spec as a click: what a finding or a remedy changes, as an address of the form that has it filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from oakmill.conversion.failures.failure import Edit
from oakmill.findings import Finding
from oakmill.preflight.findings import Code, Report
from oakmill.web.views.filters import plain, shape

_INPUTS = "inputs."
_SET = re.compile(r"^oakmill datasets install ([a-z]+)$")
_TOOLS = re.compile(r"^oakmill toolchains install ([\w./-]+)$")


@dataclass(frozen=True)
class Choice:
    """A way to answer what a finding asks: a word for it, and the query of the form that has it."""

    label: str
    query: str


def query_of(edit: Edit, names: Sequence[str]) -> str:
    """An edit as the query of a form, whose inputs are numbered in the order of their names."""
    return urlencode([pair for place, value in edit.items() if (pair := _field(place, value, names))])


def _field(place: str, value: Any, names: Sequence[str]) -> tuple[str, str] | None:
    if not place.startswith(_INPUTS):
        return place, plain(value)
    name, _, field = place.removeprefix(_INPUTS).rpartition(".")
    at = names.index(name) if name in names else 0
    return f"{_INPUTS}{at}.{field}", plain(value)


def choices(finding: Finding, names: Sequence[str]) -> list[Choice]:
    """The edits that a finding offers."""
    return [Choice(label_of(edit), query_of(edit, names)) for edit in _edits(finding)]


def _edits(finding: Finding) -> list[Edit]:
    found = finding.evidence.get("edits") or ()
    return [dict(edit) for edit in found if isinstance(edit, Mapping) and edit]


def label_of(edit: Edit) -> str:
    """An edit in a word: a shape by the side of its images, where they are square."""
    words = []
    for place, value in edit.items():
        field = place.rpartition(".")[2]
        if field == "shape" and isinstance(value, Sequence):
            sides = {size for size in value if isinstance(size, int) and size > 4}
            words.append(str(next(iter(sides))) if len(sides) == 1 and len(value) == 4 else shape(value))
        else:
            words.append(f"{field.replace('_', ' ')} {plain(value)}")
    return ", ".join(words)


def shapes_wanted(reports: Iterable[Report], names: Sequence[str]) -> list[Choice]:
    """The shapes of which one has to be chosen before anything else is known; of several inputs, one for each."""
    wanted: dict[str, list[Edit]] = {}
    for finding in (item for report in reports for item in report.findings if item.code == Code.OPEN_SHAPE):
        if _edits(finding):
            wanted.setdefault(finding.subject, _edits(finding))
    return list(_together(list(wanted.values()), names)) if wanted else []


def _together(wanted: Sequence[Sequence[Edit]], names: Sequence[str]) -> Iterator[Choice]:
    for place in range(max(map(len, wanted))):
        chosen = [edits[min(place, len(edits) - 1)] for edits in wanted]
        label = " and ".join(dict.fromkeys(map(label_of, chosen)))
        yield Choice(label, query_of({key: value for edit in chosen for key, value in edit.items()}, names))


def installs(command: str) -> tuple[str, str] | None:
    """The address that does what a remedy's command does, and a word for it; None where only a person can."""
    if found := _SET.match(command):
        return f"/datasets/named/{found[1]}/install", f"Install {found[1].capitalize()}"
    if found := _TOOLS.match(command):
        return f"/toolchains/{found[1]}/install", f"Install {found[1]}"
    return None
