"""What an address says of a form's fields, and what preflight says of a source with the shapes in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from oakmill.hub import looks
from oakmill.hub.state import Hub
from oakmill.preflight.findings import Report
from oakmill.spec.platforms import PLATFORMS
from oakmill.web.forms.fields import fields_of
from oakmill.web.forms.source import Source
from oakmill.web.forms.submitted import Fields
from oakmill.web.forms.values import Checked


def given(said: Iterable[tuple[str, str]]) -> Fields:
    """What an address says of the form's fields, of any platform's; the rest of it is left out."""
    known = {item.name for row in PLATFORMS.values() for item in fields_of(row.spec)}
    return Fields([item for item in said if item[0].startswith("inputs.") or item[0] in known])


def texts(form: Fields) -> dict[str, str]:
    """The form's fields as they were sent."""
    return {name: ", ".join(form.all(name)) if len(form.all(name)) > 1 else form.get(name) for name in form}


def reports(at: Hub, source: Source, found: Checked, platforms: Sequence[str] | None = None) -> dict[str, Report]:
    """What preflight said of platforms, or all, when the file came; or says now, with the shapes that are asked for."""
    platforms = list(PLATFORMS) if platforms is None else platforms
    shapes = [item for item in found.spec.inputs if item.shape] if found.spec else []
    if not shapes:
        return {name: source.report(name) for name in platforms}
    said = looks.preflight(at, source.row, shapes, platforms)
    return {name: said[name] for name in platforms}
